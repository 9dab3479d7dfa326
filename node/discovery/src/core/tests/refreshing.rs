//! `spec/devp2p.md` §6.4: timers of the table.

use std::time::Duration;

use super::peer::{Bench, Peer};
use crate::{Event, packet::Packet, proof::State};

const S: Duration = Duration::from_secs(1);

fn pings(bench: &mut Bench) -> usize {
    bench.packets().iter().filter(|packet| matches!(packet, Packet::Ping(_))).count()
}

/// `spec/devp2p.md` §6.4: without seeds a refresh is tried every 10 s, and who called in the meantime is a seed.
#[test]
fn section_6_4_without_boot_nodes_it_waits_for_others() {
    let mut bench = Bench::new(vec![]);
    bench.pass(S);
    let first = bench.core.stats().lookups;
    bench.pass(60 * S);
    assert_eq!((first, bench.core.stats().lookups), (1, 7), "one each 10 s");
    assert!(bench.events().is_empty());
    bench.prove(&Peer::new(1));
    bench.pass(10 * S);
    assert_eq!(bench.events(), [Event::TableReady]);
}

/// `spec/devp2p.md` §6.4: repeated while the table is empty.
#[test]
fn section_6_4_a_boot_node_that_is_away_is_asked_until_it_is_there() {
    let boot = Peer::new(1);
    let mut bench = Bench::new(vec![boot.node()]);
    bench.pass(60 * S - S / 10);
    let asked = pings(&mut bench);
    assert_eq!(asked, 60, "one a second");
    assert_eq!(bench.state(&boot.id()), None);
    while bench.answer_pings(&boot) == 0 {
        bench.pass(S / 10);
    }
    bench.pass(2 * S);
    assert_eq!(bench.events(), [Event::TableReady]);
    assert_eq!(bench.core.table(), [boot.node()]);
}

/// `spec/devp2p.md` §6.4: a bucket refresh a minute, the boot nodes again every hour.
#[test]
fn section_6_4_refreshes() {
    let [boot, peer] = [1, 2].map(Peer::new);
    let mut bench = Bench::new(vec![boot.node()]);
    bench.prove(&peer);
    let mut boot_pings = 0;
    for _ in 0..3700 {
        bench.pass(S);
        for (to, received) in bench.sent() {
            match received.packet {
                Packet::Ping(_) if to == boot.at => boot_pings += 1,
                Packet::Ping(_) => drop(bench.hear(&peer, &peer.pong(&received, vec![]))),
                Packet::FindNodeHash { .. } => {
                    bench.hear(&peer, &Packet::Neighbors { nodes: vec![], expiration: 0 });
                }
                _ => {}
            }
        }
    }
    assert_eq!(boot_pings, 2, "at the start and after an hour");
    let lookups = bench.core.stats().lookups;
    assert!((58..=62).contains(&lookups), "{lookups}");
}

/// Loss and vanished nodes: a table that nobody looks anything up in loses who is gone, and nobody else.
#[test]
fn silent_nodes_of_the_table_are_asked_whether_they_are_there() {
    let mut bench = Bench::new(vec![]);
    let [there, gone] = [1, 2].map(Peer::new);
    bench.prove(&there);
    bench.prove(&gone);
    for _ in 0..1200 {
        bench.pass(S / 10);
        bench.answer_pings(&there);
    }
    assert_eq!(bench.state(&gone.id()), Some(State::Unresponsive));
    assert_eq!(bench.core.table(), [there.node()]);
}

#[test]
fn who_is_gone_for_an_hour_is_forgotten() {
    let mut bench = Bench::new(vec![]);
    bench.prove(&Peer::new(1));
    bench.pass(1800 * S);
    assert_eq!((bench.core.stats().nodes, bench.core.stats().table), (1, 0));
    bench.pass(1900 * S);
    assert_eq!(bench.core.stats().nodes, 0);
}

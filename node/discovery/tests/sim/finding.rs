//! Nodes with one boot node and no static peers find each other by topic; gone ones are forgotten.

use std::time::Duration;

use crate::network::Network;

const FAST: Duration = Duration::from_secs(3);
const MINUTE: Duration = Duration::from_secs(60);
const LOSS: f64 = 0.05;

/// Who of `who` has not found whom of `whom`, itself aside.
fn missing(network: &Network, name: &str, who: &[usize], whom: &[usize]) -> Vec<(usize, usize)> {
    let pairs = who.iter().flat_map(|who| whom.iter().map(move |whom| (*who, *whom)));
    pairs.filter(|(who, whom)| who != whom && network.found(*who, name, *whom).is_none()).collect()
}

#[test]
fn nodes_with_one_boot_node_find_each_other_by_topic() {
    let mut network = Network::new(1, LOSS);
    network.populate(200);
    let fleet: Vec<usize> = (10..200).step_by(16).collect();
    for index in &fleet {
        network.register(*index, "whisper");
        network.search(*index, "whisper", FAST);
    }
    network.run(4 * MINUTE);
    assert_eq!(missing(&network, "whisper", &fleet, &fleet), []);
    assert!(network.core(0).stats().table > 50, "the boot node's table: {}", network.core(0).stats().table);
}

#[test]
fn a_small_fleet_finds_itself() {
    let mut network = Network::new(2, LOSS);
    network.populate(20);
    let fleet: Vec<usize> = (1..20).collect();
    for index in &fleet {
        network.register(*index, "whisper");
        network.search(*index, "whisper", FAST);
    }
    network.run(MINUTE);
    assert_eq!(missing(&network, "whisper", &fleet, &fleet), []);
}

#[test]
fn a_late_node_is_found_by_topic_within_two_minutes() {
    for (seed, minutes) in [(3, 1), (5, 5)] {
        let mut network = Network::new(seed, LOSS);
        network.populate(200);
        let searchers = [20, 60, 100, 140, 180];
        for index in searchers {
            network.search(index, "whispermail", FAST);
        }
        network.run(minutes * MINUTE);
        let joined = network.elapsed();
        let late = network.join(&[network.node(0)]);
        network.register(late, "whispermail");
        network.run(2 * MINUTE);
        let took: Vec<Option<Duration>> =
            searchers.iter().map(|who| Some(network.found(*who, "whispermail", late)? - joined)).collect();
        assert!(took.iter().all(Option::is_some), "seed {seed}: {took:?}");
    }
}

/// Found through registrars alone: whoever registered is gone before the search begins.
#[test]
fn a_registrar_names_who_registered() {
    let mut network = Network::new(7, LOSS);
    network.populate(60);
    network.register(30, "whispermail");
    network.run(5 * MINUTE);
    let listing = network.alive().filter(|index| network.core(*index).stats().topic_entries == 1).count();
    assert!(listing >= 5, "{listing} registrars list it");
    network.kill(30);
    network.search(50, "whispermail", FAST);
    network.run(2 * MINUTE);
    assert!(network.found(50, "whispermail", 30).is_some());
}

#[test]
fn vanished_nodes_are_forgotten() {
    let mut network = Network::new(8, LOSS);
    network.populate(40);
    for index in 10..18 {
        network.register(index, "whisper");
    }
    network.run(10 * MINUTE);
    let gone: Vec<usize> = (14..34).collect();
    for index in &gone {
        network.kill(*index);
    }
    network.run(10 * MINUTE);
    let gone_ids: Vec<_> = gone.iter().map(|index| network.node(*index).id).collect();
    let alive: Vec<usize> = network.alive().collect();
    for index in &alive {
        let left: Vec<_> =
            network.core(*index).table().into_iter().filter(|n| gone_ids.contains(&n.id)).collect();
        assert!(left.is_empty(), "{index} still has {left:?} in its table");
    }
    // Registrars list a node for an hour (§6.7): then a new search finds those that are there, and no other.
    network.run(55 * MINUTE);
    network.search(5, "whisper", FAST);
    network.run(2 * MINUTE);
    assert_eq!(missing(&network, "whisper", &[5], &[10, 11, 12, 13]), []);
    let found: Vec<_> = gone.iter().filter(|index| network.found(5, "whisper", **index).is_some()).collect();
    assert!(found.is_empty(), "{found:?} are gone");
    let most = alive.iter().map(|index| network.core(*index).stats().nodes).max().unwrap();
    assert!(most < alive.len() + gone.len() / 4, "{most} nodes remembered where there are {}", alive.len());
}

#[test]
fn the_same_seed_gives_the_same_course() {
    let course = |seed| {
        let mut network = Network::new(seed, 0.2);
        network.populate(30);
        network.register(3, "whisper");
        network.search(20, "whisper", FAST);
        network.run(2 * MINUTE);
        (network.departed(), network.found(20, "whisper", 3))
    };
    assert_eq!(course(9), course(9));
    assert_ne!(course(9), course(10));
}

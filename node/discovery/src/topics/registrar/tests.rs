//! Each rule of `spec/devp2p.md` §6.7 and §6.8 that a registrar keeps.

use super::*;
use crate::topics::testing::node;

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

/// A registrar with its two clocks, the ticket clock at 5000 s when it starts.
struct Clocked {
    registrar: Registrar,
    start: Instant,
    elapsed: u64,
}

impl Clocked {
    fn new() -> Self {
        Self { registrar: Registrar::new([1; 32]), start: Instant::now(), elapsed: 0 }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.elapsed)
    }

    /// Uses a ticket with one topic that became usable `age` seconds ago.
    fn use_ticket(&mut self, sender: &Node, name: &str, serial: u32, age: i64) -> Result<(), Refused> {
        let (now, now_s) = (self.now(), 5000 + self.elapsed);
        let issued = now_s.checked_add_signed(-60 - age).unwrap();
        self.registrar.register(now, now_s, sender, &[topic(name)], 0, serial, issued, &[60])
    }

    fn listed(&mut self, name: &str) -> Vec<Node> {
        let now = self.now();
        let mut nodes = self.registrar.entries(now, &topic(name));
        nodes.sort_by_key(|node| node.id);
        nodes
    }

    fn wait(&mut self, name: &str) -> u32 {
        let now = self.now();
        self.registrar.wait_periods(now, &[topic(name)])[0]
    }
}

/// §6.7: now - (issue + wait) in -1..11 s inclusive.
#[test]
fn section_6_7_registration_window() {
    for (age, want) in [
        (-2, Err(Refused::TooEarly)),
        (-1, Ok(())),
        (0, Ok(())),
        (11, Ok(())),
        (12, Err(Refused::TooLate)),
        (4000, Err(Refused::TooLate)),
    ] {
        let mut clocked = Clocked::new();
        assert_eq!(clocked.use_ticket(&node(1), "whisper", 1, age), want, "{age}");
        assert_eq!(clocked.listed("whisper").len(), usize::from(want.is_ok()), "{age}");
    }
    // Numbers that no own ticket has still end in a refusal.
    let mut clocked = Clocked::new();
    let now = clocked.now();
    let refused = clocked.registrar.register(now, 5000, &node(1), &[topic("t")], 0, 1, u64::MAX, &[u32::MAX]);
    assert_eq!(refused, Err(Refused::TooEarly));
    assert_eq!(
        clocked.registrar.register(now, 5000, &node(1), &[topic("t")], 1, 1, 0, &[60]),
        Err(Refused::Index)
    );
}

/// §6.7: the index chooses the topic and its wait.
#[test]
fn section_6_7_the_index_chooses_topic_and_wait() {
    let mut clocked = Clocked::new();
    let (now, topics) = (clocked.now(), [topic("a"), topic("b")]);
    clocked.registrar.register(now, 5000, &node(1), &topics, 1, 1, 4700, &[60, 300]).unwrap();
    assert_eq!((clocked.listed("a").len(), clocked.listed("b").len()), (0, 1));
}

/// §6.7: serial >= last used; a greater one is refused during the no-registration time; a new one starts that time,
/// also when its ticket is then refused by the window.
#[test]
fn section_6_7_serials_and_no_registration_time() {
    let mut clocked = Clocked::new();
    let sender = node(1);
    assert_eq!(clocked.registrar.last_serial(&sender.id), 0);
    assert_eq!(clocked.use_ticket(&sender, "whisper", 5, 0), Ok(()));
    assert_eq!(clocked.registrar.last_serial(&sender.id), 5);
    assert_eq!(clocked.use_ticket(&sender, "whisper", 4, 0), Err(Refused::OldSerial));
    assert_eq!(clocked.use_ticket(&sender, "whisper", 5, 0), Ok(()), "the same again");
    let until = clocked.registrar.senders[&sender.id].barred_until;
    let secs = until.duration_since(clocked.start).as_secs();
    clocked.elapsed = secs;
    assert_eq!(clocked.use_ticket(&sender, "whisper", 6, 0), Err(Refused::NoRegistrationTime));
    clocked.elapsed = secs + 1;
    assert_eq!(clocked.use_ticket(&sender, "whisper", 6, 12), Err(Refused::TooLate));
    assert_eq!(clocked.registrar.last_serial(&sender.id), 6);
    assert_eq!(clocked.use_ticket(&sender, "whisper", 7, 0), Err(Refused::NoRegistrationTime));
    assert_eq!(clocked.use_ticket(&node(2), "whisper", 1, 0), Ok(()), "counted per sender");
}

/// §6.7: 10 min × Exp(1), the factor capped at 100.
#[test]
fn section_6_7_no_registration_time_is_exponential() {
    let (mut registrar, now) = (Registrar::new([2; 32]), Instant::now());
    let mut times: Vec<f64> = Vec::new();
    for n in 0..5000 {
        registrar.use_serial(now, node(n).id, 1).unwrap();
        times.push(registrar.senders[&node(n).id].barred_until.duration_since(now).as_secs_f64());
    }
    let mean = times.iter().sum::<f64>() / 5000.0;
    assert!((570.0..630.0).contains(&mean), "{mean}");
    let over_mean = times.iter().filter(|time| **time > 600.0).count();
    assert!((1740..1940).contains(&over_mean), "1/e of 5000 are over the mean, got {over_mean}");
    assert!(times.iter().all(|time| *time <= 60_000.0));
    assert_eq!((NO_REGISTRATION.as_secs(), MAX_FACTOR), (600, 100.0));
}

/// §6.7: 50 entries a topic, the first goes first; being listed again extends the life and keeps the place.
#[test]
fn section_6_7_fifty_entries_a_topic() {
    let mut clocked = Clocked::new();
    for n in 0..50 {
        clocked.use_ticket(&node(n), "whisper", 1, 0).unwrap();
    }
    clocked.elapsed = 100;
    let waited = clocked.wait("whisper");
    let moved = Node { udp: 4, tcp: 4, ..node(0) };
    clocked.use_ticket(&moved, "whisper", 1, 0).unwrap();
    assert_eq!(clocked.wait("whisper"), waited, "listed again makes nobody wait");
    assert_eq!(clocked.listed("whisper")[0], moved, "and its address is the newest");
    clocked.use_ticket(&node(50), "whisper", 1, 0).unwrap();
    let listed = clocked.listed("whisper");
    assert_eq!((listed.len(), listed[0].id), (50, node(1).id));
    assert_eq!(clocked.registrar.len(), (1, 50));
}

/// §6.7: listed for 1 h.
#[test]
fn section_6_7_entries_live_for_an_hour() {
    let mut clocked = Clocked::new();
    clocked.use_ticket(&node(1), "whisper", 1, 0).unwrap();
    clocked.use_ticket(&node(2), "whisper", 1, 0).unwrap();
    clocked.elapsed = 1800;
    clocked.use_ticket(&node(2), "whisper", 1, 0).unwrap();
    clocked.elapsed = 3599;
    assert_eq!(clocked.listed("whisper").len(), 2);
    clocked.elapsed = 3600;
    assert_eq!(clocked.listed("whisper"), [node(2)]);
    clocked.elapsed = 3660;
    clocked.wait("whisper");
    assert_eq!(clocked.registrar.len(), (1, 1), "collected");
    clocked.elapsed = 5460;
    clocked.wait("whisper");
    assert_eq!(clocked.registrar.len(), (0, 0), "a topic that is empty and at rest is forgotten");
}

/// §6.7: garbage is collected at most once a minute; a sender is remembered while it is barred or listed.
#[test]
fn section_6_7_collection_and_senders() {
    let mut clocked = Clocked::new();
    clocked.use_ticket(&node(1), "whisper", 9, 0).unwrap();
    clocked.elapsed = 3599;
    clocked.wait("whisper");
    assert_eq!(clocked.registrar.last_serial(&node(1).id), 9, "still listed");
    clocked.elapsed = 3658;
    clocked.wait("whisper");
    assert_eq!(clocked.registrar.len(), (1, 1), "not a minute since the last collection");
    clocked.elapsed = 3600 + 60_000;
    clocked.wait("whisper");
    assert_eq!((clocked.registrar.len(), clocked.registrar.last_serial(&node(1).id)), ((0, 0), 0));
    assert!(clocked.registrar.by_bar.is_empty() && clocked.registrar.by_request.is_empty());
}

/// §6.7: a registrar lists a node under one topic at a time.
#[test]
fn section_6_7_a_new_entry_deletes_the_nodes_others() {
    let mut clocked = Clocked::new();
    clocked.use_ticket(&node(1), "a", 1, 0).unwrap();
    clocked.use_ticket(&node(1), "b", 1, 0).unwrap();
    assert_eq!((clocked.listed("a").len(), clocked.listed("b")), (0, vec![node(1)]));
}

/// §6.7: the wait rises with each newly listed node; topics nobody registered wait 60 s.
#[test]
fn section_6_7_wait_periods_per_topic() {
    let mut clocked = Clocked::new();
    for n in 0..10 {
        clocked.use_ticket(&node(n), "busy", 1, 0).unwrap();
    }
    let now = clocked.now();
    let waits = clocked.registrar.wait_periods(now, &[topic("busy"), topic("unknown")]);
    assert_eq!(waits, [71, 60], "60 × 1.0202⁹");
    assert_eq!(clocked.registrar.len().0, 1, "asking makes no topic");
}

/// §6.7: 10 000 entries in all; the oldest of the least recently requested topic goes.
#[test]
fn section_6_7_ten_thousand_entries() {
    let mut clocked = Clocked::new();
    for n in 0..10_000 {
        let name = format!("topic{}", n / 50);
        clocked.use_ticket(&node(n), &name, 1, 0).unwrap();
    }
    assert_eq!(clocked.registrar.len(), (200, 10_000));
    for of in (0..200).filter(|of| *of != 7) {
        assert_eq!(clocked.listed(&format!("topic{of}")).len(), 50);
    }
    clocked.use_ticket(&node(20_000), "another", 1, 0).unwrap();
    assert_eq!(clocked.registrar.len(), (201, 10_000));
    let left = clocked.listed("topic7");
    assert_eq!((left.len(), left[0].id), (49, node(351).id), "its oldest, 350, went");
}

/// Every list stays at its cap under a flood of ever new senders and topics.
#[test]
fn a_flood_stays_within_the_caps() {
    let mut clocked = Clocked::new();
    for n in 0..25_000 {
        let _ = clocked.use_ticket(&node(n), &format!("flood{n}"), 1, 0);
    }
    // Each of these moves its entry on to ever new topics, which leaves empty ones behind.
    for n in 0..25_000 {
        let _ = clocked.use_ticket(&node(n % 5), &format!("more{n}"), 1, 0);
    }
    let registrar = &clocked.registrar;
    assert!(registrar.topics.len() <= MAX_TOPICS && registrar.by_request.len() == registrar.topics.len());
    assert!(registrar.listed_under.len() <= MAX_ENTRIES);
    assert!(registrar.senders.len() <= MAX_SENDERS && registrar.by_bar.len() == registrar.senders.len());
    let entries: usize = registrar.topics.values().map(|listed| listed.entries.len()).sum();
    assert_eq!(entries, registrar.listed_under.len());
    let newest = clocked.use_ticket(&node(30_000), "good", 1, 0);
    assert_eq!((newest, clocked.listed("good").len()), (Ok(()), 1), "a good newcomer gets in");
}

/// §6.8: entries come in arbitrary order, so that a cut to ten gives every one its turn.
#[test]
fn section_6_8_every_entry_gets_its_turn() {
    let mut clocked = Clocked::new();
    for n in 0..50 {
        clocked.use_ticket(&node(n), "whisper", 1, 0).unwrap();
    }
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        let now = clocked.now();
        seen.extend(
            clocked.registrar.entries(now, &topic("whisper")).into_iter().take(10).map(|node| node.id),
        );
    }
    assert_eq!(seen.len(), 50);
}

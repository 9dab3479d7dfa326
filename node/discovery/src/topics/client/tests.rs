//! Each rule and number of `spec/devp2p.md` §6.9 about the two loops.

use super::*;
use crate::topics::testing::node;

const PERIOD: Duration = Duration::from_secs(3);

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

/// A client with a clock, in milliseconds.
struct Clocked {
    client: TopicClient,
    start: Instant,
    elapsed: u64,
}

impl Clocked {
    fn new() -> Self {
        let start = Instant::now();
        let mut client = TopicClient::new(node(0).id, [4; 32], start);
        client.table_ready(start);
        Self { client, start, elapsed: 0 }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.elapsed)
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.client.poll_action()).collect()
    }

    /// Lets the client do what is due until `millis`; what it wants then.
    fn run_to(&mut self, millis: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(due) = self.client.poll_timeout()
            && due <= self.at(millis)
        {
            let due = due.saturating_duration_since(self.start).as_millis();
            self.elapsed = self.elapsed.max(u64::try_from(due).unwrap());
            let now = self.now();
            self.client.handle_timeout(now);
            actions.extend(self.actions());
        }
        self.elapsed = millis;
        actions
    }

    /// Runs to the next lookup.
    fn next_lookup(&mut self) -> (LookupId, [u8; 32]) {
        for _ in 0..100 {
            let due =
                self.client.poll_timeout().expect("something is due").saturating_duration_since(self.start);
            let millis = u64::try_from(due.as_micros().div_ceil(1000)).unwrap();
            let actions = self.run_to(millis.max(self.elapsed));
            if let Some(found) = actions.into_iter().find_map(|action| match action {
                Action::Lookup { id, target } => Some((id, target)),
                _ => None,
            }) {
                return found;
            }
        }
        panic!("no lookup");
    }

    /// Ends lookups, all with this result, until one was regular; what that one gave rise to.
    fn regular_lookup(&mut self, nodes: &[Node]) -> Vec<Action> {
        for _ in 0..6 {
            let (id, _) = self.next_lookup();
            let radius = self.client.lookups[&id].target.bucket.is_some();
            let now = self.now();
            self.client.lookup_finished(now, id, nodes);
            let actions = self.actions();
            if !radius {
                return actions;
            }
        }
        panic!("no regular lookup");
    }

    fn pong(&mut self, from: u64, topics: &[&str], waits: &[u32]) {
        let topics: Vec<Topic> = topics.iter().map(|text| topic(text)).collect();
        let now = self.now();
        self.client.ticket(now, &node(from), &topics, waits, Bytes::from(from.to_string()));
    }
}

fn pinged(actions: &[Action]) -> Vec<Node> {
    let ping = |action: &Action| match action {
        Action::Ping { node } => Some(*node),
        _ => None,
    };
    actions.iter().filter_map(ping).collect()
}

fn queried(actions: &[Action]) -> Vec<Node> {
    let query = |action: &Action| match action {
        Action::Query { to, .. } => Some(*to),
        _ => None,
    };
    actions.iter().filter_map(query).collect()
}

fn registered(actions: &[Action]) -> Vec<NodeId> {
    let register = |action: &Action| match action {
        Action::Register { to, .. } => Some(*to),
        _ => None,
    };
    actions.iter().filter_map(register).collect()
}

/// §6.9: one ticket, from the lookup to the registration: the topic list of that ping, the index, the raw pong.
#[test]
fn section_6_9_from_lookup_to_registration() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    clocked.client.register(start, topic("b")).unwrap();
    clocked.elapsed = 100;
    let pings = clocked.regular_lookup(&[node(1), node(0), node(2)]);
    assert!(!pinged(&pings).contains(&node(0)), "never itself");
    let asked_at = clocked.elapsed;
    clocked.pong(1, &["a", "b"], &[1000, 61]);
    let actions = clocked.run_to(asked_at + 60_999);
    assert_eq!(registered(&actions), []);
    let actions = clocked.run_to(asked_at + 61_000);
    let want = Action::Register {
        to: node(1).id,
        topics: vec![topic("a"), topic("b")],
        index: 1,
        pong: Bytes::from_static(b"1"),
    };
    assert!(actions.contains(&want), "{actions:?}");
    assert_eq!(registered(&clocked.run_to(asked_at + 70_000)), [], "once");
}

/// §6.9: the first lookup 100 ms after there is something to do; a regular one, and after at most 4 radius lookups again.
#[test]
fn section_6_9_radius_lookups_then_a_regular_one() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    assert_eq!(clocked.client.poll_timeout(), None, "nothing to do");
    clocked.client.register(start, topic("whisper")).unwrap();
    assert_eq!(clocked.client.poll_timeout(), Some(clocked.at(100)));
    let mut kinds = Vec::new();
    for _ in 0..10 {
        let (id, target) = clocked.next_lookup();
        let lookup = &clocked.client.lookups[&id];
        assert_eq!(lookup.target.hash, target);
        kinds.push(lookup.target.bucket.is_some());
        assert!(!clocked.client.may_collect(), "one at a time");
        let now = clocked.now();
        clocked.client.lookup_finished(now, id, &[]);
    }
    assert_eq!(kinds, [false, true, true, true, true, false, true, true, true, true]);
}

/// The pause doubles while lookups bring nothing, to 10 s, and is short again after a ticket.
#[test]
fn a_node_without_neighbours_becomes_quiet() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    clocked.client.register(start, topic("whisper")).unwrap();
    let mut times = Vec::new();
    for _ in 0..10 {
        let (id, _) = clocked.next_lookup();
        times.push(clocked.elapsed);
        let now = clocked.now();
        clocked.client.lookup_finished(now, id, &[]);
    }
    assert_eq!(times, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 22_800, 32_800]);
    clocked.regular_lookup(&[node(1)]);
    clocked.pong(1, &["whisper"], &[60]);
    let before = clocked.elapsed;
    clocked.next_lookup();
    assert_eq!(clocked.elapsed, before + 100);
}

/// §6.9: a radius lookup pings a node once in 20 min; its pong is a sample and no ticket.
#[test]
fn section_6_9_radius_lookups_ping_once_in_twenty_minutes() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    clocked.client.register(start, topic("whisper")).unwrap();
    let mut pings = Vec::new();
    while clocked.elapsed < 1_500_000 {
        let (id, _) = clocked.next_lookup();
        let radius = clocked.client.lookups[&id].target.bucket.is_some();
        let now = clocked.now();
        let result: &[Node] = if radius { &[] } else { &[node(9)] };
        clocked.client.lookup_finished(now, id, result);
        clocked.actions();
        if radius {
            let (id, target) = (LookupId(u64::MAX), clocked.client.pinged.get_mut(&node(1).id).is_some());
            let lookup = Lookup {
                topic: topic("whisper"),
                target: Target { hash: [0; 32], bucket: Some(0) },
                purpose: Purpose::Register,
            };
            clocked.client.lookups.insert(id, lookup);
            clocked.client.lookup_finished(now, id, &[node(1)]);
            let pinged = !pinged(&clocked.actions()).is_empty();
            assert_ne!(pinged, target);
            if pinged {
                pings.push(clocked.elapsed);
                clocked.pong(1, &["whisper"], &[60]);
            }
        }
    }
    assert_eq!(pings.len(), 2, "{pings:?}");
    assert!(pings[1] - pings[0] >= 1_200_000 && pings[1] - pings[0] < 1_300_000, "{pings:?}");
    assert!(!clocked.client.tickets.contains_key(&node(1).id));
}

/// §6.9: a regular lookup pings a node only if no ticket is held from it.
#[test]
fn section_6_9_no_second_ticket_from_a_node() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    clocked.client.register(start, topic("whisper")).unwrap();
    clocked.regular_lookup(&[node(1)]);
    clocked.pong(1, &["whisper"], &[60]);
    assert_eq!(pinged(&clocked.regular_lookup(&[node(1)])), []);
    assert_eq!(clocked.client.tickets.len(), 1);
    let until = clocked.elapsed + 60_000;
    clocked.run_to(until);
    assert_eq!(clocked.client.tickets.len(), 0, "used");
}

/// §6.9: kept if wait < 10 min + 5 min × min(Exp(1), 10).
#[test]
fn section_6_9_tickets_that_are_kept() {
    let kept = |wait: u32| {
        let mut clocked = Clocked::new();
        let start = clocked.start;
        clocked.client.register(start, topic("whisper")).unwrap();
        let mut kept = 0;
        for n in 0..2000 {
            let target = Target { hash: [0; 32], bucket: None };
            let pinged = Pinged { topic: topic("whisper"), target, open: true };
            clocked.client.pinged.insert(start, node(n).id, pinged);
            clocked.pong(n, &["whisper"], &[wait]);
            kept += clocked.client.tickets.len();
            clocked.client.tickets.clear();
        }
        kept
    };
    assert_eq!((kept(600), kept(3600)), (2000, 0));
    let tail = kept(900);
    assert!((660..810).contains(&tail), "1/e of 2000 at 15 min: {tail}");
}

/// §6.9: a pong that nobody asked for, or that does not name the topic, gives no ticket.
#[test]
fn section_6_9_only_tickets_that_were_asked_for() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    clocked.client.register(start, topic("whisper")).unwrap();
    clocked.pong(1, &["whisper"], &[60]);
    assert_eq!(clocked.client.tickets.len(), 0);
    clocked.regular_lookup(&[node(1)]);
    clocked.pong(1, &["other"], &[60]);
    clocked.pong(1, &["whisper"], &[60]);
    assert_eq!(clocked.client.tickets.len(), 0, "the first pong was the answer");
    clocked.regular_lookup(&[node(1)]);
    clocked.pong(1, &["whisper"], &[]);
    assert_eq!(clocked.client.tickets.len(), 0, "fewer waits than topics");
}

/// §6.9: each kept ticket delays the next collection by 30 s with a credit of 10.
#[test]
fn section_6_9_pacing_of_collection() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    clocked.client.register(start, topic("whisper")).unwrap();
    let mut kept_at = Vec::new();
    for n in 1..=10 {
        clocked.regular_lookup(&[node(n)]);
        clocked.pong(n, &["whisper"], &[600]);
        kept_at.push(clocked.elapsed);
    }
    assert_eq!(clocked.client.tickets.len(), 10);
    assert!(kept_at[9] - kept_at[0] < 20_000, "the credit is used at once: {kept_at:?}");
    clocked.next_lookup();
    assert_eq!(clocked.elapsed, kept_at[0] + 30_000);
    assert_eq!((COLLECT_STEP.as_secs(), COLLECT_CREDIT, IDLE_PAUSE.as_secs()), (30, 10, 40));
}

/// §6.9: each use delays the next by 60 s with a credit of 5; what is due before that is dropped.
#[test]
fn section_6_9_pacing_of_use() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    clocked.client.register(start, topic("whisper")).unwrap();
    clocked.client.ready = false;
    let mut used = Vec::new();
    for n in 0..20 {
        let usable = clocked.at(10_000 * n);
        let ticket = Ticket {
            topic: topic("whisper"),
            topics: vec![topic("whisper")],
            index: 0,
            pong: Bytes::new(),
            usable,
        };
        clocked.client.tickets.insert(node(n).id, ticket);
    }
    for n in 0..20 {
        if !registered(&clocked.run_to(10_000 * n)).is_empty() {
            used.push(10 * n);
        }
    }
    assert_eq!(used, [0, 10, 20, 30, 40, 60, 120, 180], "the credit, then once a minute");
    assert_eq!((USE_STEP.as_secs(), USE_CREDIT), (60, 5));
    assert_eq!(clocked.client.tickets.len(), 0);
}

/// The closest few of a result are asked, then the next closest.
#[test]
fn few_are_asked_at_once() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    clocked.client.search(start, topic("whisper"), PERIOD).unwrap();
    clocked.client.register(start, topic("whisper")).unwrap();
    let nodes: Vec<Node> = (1..=16).map(node).collect();
    for half in nodes.chunks(8) {
        for purpose in [Purpose::Search, Purpose::Register] {
            let target = Target { hash: [0; 32], bucket: None };
            clocked.client.lookups.insert(LookupId(999), Lookup { topic: topic("whisper"), target, purpose });
            clocked.client.lookup_finished(start, LookupId(999), &nodes);
            let actions = clocked.actions();
            assert_eq!([queried(&actions), pinged(&actions)].concat(), half);
        }
        for node in half {
            let pong = Bytes::new();
            clocked.client.ticket(start, node, &[topic("whisper")], &[60], pong);
        }
    }
}

/// §6.9: topics take turns.
#[test]
fn section_6_9_round_robin() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    for name in ["a", "b", "c"] {
        clocked.client.register(start, topic(name)).unwrap();
    }
    let mut turns = Vec::new();
    for _ in 0..6 {
        let (id, _) = clocked.next_lookup();
        turns.push(clocked.client.lookups[&id].topic.to_string());
        let now = clocked.now();
        clocked.client.lookup_finished(now, id, &[]);
    }
    assert_eq!(turns[..3], turns[3..]);
    turns.truncate(3);
    turns.sort();
    assert_eq!(turns, ["a", "b", "c"]);
}

/// §6.9: a search starts one lookup a period, and none before the table has nodes.
#[test]
fn section_6_9_search_periods() {
    let start = Instant::now();
    let mut client = TopicClient::new(node(0).id, [4; 32], start);
    client.search(start, topic("whisper"), PERIOD).unwrap();
    assert_eq!(client.poll_timeout(), None, "the table is not ready");
    client.table_ready(start);
    let mut clocked = Clocked { client, start, elapsed: 0 };
    let lookups = |clocked: &mut Clocked, to: u64| {
        let lookups = clocked.run_to(to);
        for action in &lookups {
            let Action::Lookup { id, .. } = action else { panic!("{action:?}") };
            let now = clocked.now();
            clocked.client.lookup_finished(now, *id, &[]);
        }
        lookups.len()
    };
    assert_eq!(lookups(&mut clocked, 0), 1);
    assert_eq!(lookups(&mut clocked, 2_999), 0);
    assert_eq!(lookups(&mut clocked, 3_000), 1);
    clocked.client.search(start + PERIOD, topic("whisper"), Duration::from_secs(30)).unwrap();
    assert_eq!(lookups(&mut clocked, 6_000), 1, "the one that was due already");
    assert_eq!(lookups(&mut clocked, 35_999), 0);
    assert_eq!(lookups(&mut clocked, 36_000), 1);
    clocked.client.stop_search(&topic("whisper"));
    assert_eq!(clocked.client.poll_timeout(), None);
    assert!(clocked.client.radii.is_empty());
}

/// §6.9: at most 5 search lookups at once, of all topics.
#[test]
fn section_6_9_five_lookups_at_once() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    for n in 0..7 {
        clocked.client.search(start, topic(&format!("t{n}")), PERIOD).unwrap();
    }
    assert_eq!(clocked.run_to(0).len(), 5);
    assert_eq!(clocked.client.poll_timeout(), None, "until one is over");
    let now = clocked.now();
    clocked.client.lookup_finished(now, LookupId(1), &[]);
    assert_eq!(clocked.run_to(0).len(), 1);
}

/// §6.9: the nodes found are asked; §6.8: once a minute per topic.
#[test]
fn section_6_9_who_is_asked_and_how_often() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    clocked.client.search(start, topic("whisper"), PERIOD).unwrap();
    let nodes = [node(1), node(0), node(2)];
    let (id, _) = clocked.next_lookup();
    let now = clocked.now();
    clocked.client.lookup_finished(now, id, &nodes);
    assert_eq!(queried(&clocked.actions()), [node(1), node(2)], "never itself");
    let mut asked = Vec::new();
    clocked.client.query_answered(now, &node(1), &topic("whisper"), &[]);
    clocked.client.query_failed(now, &node(2), &topic("whisper"));
    for second in (3..=63).step_by(3) {
        let (id, _) = clocked.next_lookup();
        assert_eq!(clocked.elapsed, second * 1000);
        let now = clocked.now();
        clocked.client.lookup_finished(now, id, &nodes);
        for to in queried(&clocked.actions()) {
            asked.push((second, to));
            clocked.client.query_answered(now, &to, &topic("whisper"), &[]);
        }
    }
    assert_eq!(asked, [(3, node(2)), (60, node(1)), (63, node(2))]);
}

/// A node has bounds for what it is told to do, and for what comes in.
#[test]
fn caps() {
    let mut clocked = Clocked::new();
    let start = clocked.start;
    for n in 0..MAX_TOPICS {
        clocked.client.register(start, topic(&format!("t{n}"))).unwrap();
        clocked.client.search(start, topic(&format!("t{n}")), PERIOD).unwrap();
    }
    assert_eq!(clocked.client.register(start, topic("t0")), Ok(()), "again");
    assert_eq!(clocked.client.register(start, topic("more")), Err(TooManyTopics));
    assert_eq!(clocked.client.search(start, topic("more"), PERIOD), Err(TooManyTopics));
    let target = Target { hash: [0; 32], bucket: None };
    for n in 0..10_000 {
        let lookup = Lookup { topic: topic("t0"), target, purpose: Purpose::Register };
        clocked.client.ask_for_ticket(start, &lookup, node(n));
        clocked.client.ask_for_nodes(start, &Lookup { purpose: Purpose::Search, ..lookup }, node(n));
        clocked.pong(n, &["t0"], &[60]);
        clocked.actions();
    }
    assert_eq!(clocked.client.tickets.len(), MAX_TICKETS);
    clocked.client.pinged.remove_older(start);
    let remembered = (0..10_000).filter(|n| clocked.client.pinged.get_mut(&node(*n).id).is_some()).count();
    assert_eq!(remembered, MAX_REMEMBERED);
    let mut left = clocked.client.registered().cloned().collect::<Vec<_>>();
    left.sort();
    for topic in left {
        clocked.client.unregister(&topic);
        clocked.client.stop_search(&topic);
    }
    assert!(clocked.client.radii.is_empty() && clocked.client.tickets.is_empty());
}

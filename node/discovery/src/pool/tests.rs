//! Each rule and number of `spec/devp2p.md` §4.

use std::net::Ipv4Addr;

use enode::NodeKey;

use super::*;

fn node(n: u8) -> Node {
    let key = NodeKey::from_bytes(&[n; 32]).unwrap().public_key();
    Node::new(key, Ipv4Addr::new(10, 0, 0, n).into(), 30303, 30303)
}

fn topic(text: &str) -> Topic {
    text.parse().unwrap()
}

fn wanted(name: &str, min: usize, max: usize) -> Wanted {
    Wanted { topic: topic(name), limits: Limits::new(min, max).unwrap(), cached: Vec::new() }
}

struct Clocked {
    pool: Pool,
    start: Instant,
    elapsed: u64,
}

impl Clocked {
    /// A pool whose discovery runs.
    fn new(wanted: Vec<Wanted>, allow_stop: bool) -> Self {
        let mut clocked = Self::stopped(wanted, allow_stop);
        clocked.pool.start();
        assert_eq!(clocked.actions(), [PoolAction::StartDiscovery]);
        clocked.pool.discovery_started(clocked.start);
        clocked
    }

    fn stopped(wanted: Vec<Wanted>, allow_stop: bool) -> Self {
        let trusted_mailservers = [node(100).id, node(101).id].into();
        let config = PoolConfig { local: node(200).id, wanted, allow_stop, trusted_mailservers };
        Self { pool: Pool::new(config), start: Instant::now(), elapsed: 0 }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.elapsed)
    }

    fn actions(&mut self) -> Vec<PoolAction> {
        std::iter::from_fn(|| self.pool.poll_action()).collect()
    }

    /// Lets the pool do what is due until then.
    fn run_to(&mut self, seconds: u64) -> Vec<PoolAction> {
        let mut actions = Vec::new();
        while let Some(due) = self.pool.poll_timeout()
            && due <= self.start + Duration::from_secs(seconds)
        {
            self.pool.handle_timeout(due);
            assert_ne!(self.pool.poll_timeout(), Some(due), "what was due is done");
            actions.extend(self.actions());
        }
        self.elapsed = seconds;
        actions
    }

    fn found(&mut self, name: &str, n: u8) -> Vec<PoolAction> {
        let now = self.now();
        self.pool.found(now, &topic(name), node(n));
        self.actions()
    }

    fn added(&mut self, n: u8) -> Vec<PoolAction> {
        let now = self.now();
        self.pool.peer_added(now, node(n).id);
        self.actions()
    }

    fn dropped(&mut self, n: u8) -> Vec<PoolAction> {
        let now = self.now();
        self.pool.peer_dropped(now, node(n).id);
        self.actions()
    }

    /// Finds, dials and connects these.
    fn connect(&mut self, name: &str, numbers: &[u8]) {
        for n in numbers {
            self.found(name, *n);
        }
        for n in numbers {
            self.added(*n);
        }
    }
}

fn search(name: &str, seconds: u64) -> PoolAction {
    PoolAction::Search { topic: topic(name), period: Duration::from_secs(seconds) }
}

fn changed(name: &str) -> PoolAction {
    PoolAction::CacheChanged(topic(name))
}

/// §4.3: found, dialled, confirmed, cached; fast below Min, slow from it on (3 s and 30 s).
#[test]
fn section_4_3_found_connected_cached() {
    let mut clocked = Clocked::new(vec![wanted("whisper", 2, 2)], false);
    assert_eq!(clocked.actions(), [search("whisper", 3)], "a search starts fast");
    assert_eq!(clocked.found("whisper", 1), [PoolAction::AddPeer(node(1))]);
    assert_eq!(clocked.found("whisper", 1), [], "once");
    assert_eq!(clocked.found("whisper", 200), [], "never itself");
    assert_eq!(clocked.found("other", 3), [], "of required topics only");
    assert_eq!(clocked.found("whisper", 2), [PoolAction::AddPeer(node(2))]);
    assert_eq!(clocked.added(9), [], "who came by other means is none of this pool's");
    assert_eq!(clocked.added(1), [changed("whisper")]);
    assert_eq!(clocked.added(2), [changed("whisper"), search("whisper", 30)]);
    assert_eq!(clocked.pool.cached(&topic("whisper")), [node(2), node(1)]);
    assert_eq!(clocked.pool.len(&topic("whisper")), (0, 2));
    assert_eq!(clocked.found("whisper", 3), [], "Max are connected: it waits in the queue");
    assert_eq!(clocked.pool.len(&topic("whisper")), (1, 2));
}

/// §4.3: one too many is dismissed, and goes back to the queue when it is gone.
#[test]
fn section_4_3_one_too_many() {
    let mut clocked = Clocked::new(vec![wanted("whisper", 1, 1)], false);
    clocked.found("whisper", 1);
    clocked.found("whisper", 2);
    clocked.added(1);
    assert_eq!(clocked.added(2), [PoolAction::RemovePeer(node(2).id)]);
    assert_eq!(clocked.pool.cached(&topic("whisper")), [node(1)]);
    assert_eq!(clocked.dropped(2), []);
    assert_eq!(clocked.pool.len(&topic("whisper")), (1, 1));
    let next = clocked.dropped(1);
    assert!(next.contains(&PoolAction::AddPeer(node(2))), "{next:?}");
}

/// §4.3: a peer that leaves is removed and not cached any more; the one of the queue that was seen last is next.
#[test]
fn section_4_3_a_drop_brings_the_next_of_the_queue() {
    let mut clocked = Clocked::new(vec![wanted("whisper", 2, 2)], false);
    clocked.connect("whisper", &[1, 2]);
    for (second, n) in [(1, 3), (2, 4), (3, 5), (4, 3)] {
        clocked.elapsed = second;
        clocked.found("whisper", n);
    }
    let want = [
        changed("whisper"),
        PoolAction::RemovePeer(node(1).id),
        search("whisper", 3),
        PoolAction::AddPeer(node(3)),
    ];
    assert_eq!(clocked.dropped(1), want);
    assert_eq!(clocked.pool.cached(&topic("whisper")), [node(2)]);
    assert_eq!(clocked.dropped(77), [], "not one of this topic");
}

/// §4.2: nodes of the queue are good for 60 min since they were last seen, and are then forgotten.
#[test]
fn section_4_2_validity_of_a_discovered_peer() {
    for (seconds, fresh) in [(3599, true), (3600, false)] {
        let mut clocked = Clocked::new(vec![wanted("whisper", 1, 1)], false);
        clocked.connect("whisper", &[1]);
        clocked.found("whisper", 2);
        clocked.elapsed = seconds;
        let next = clocked.dropped(1);
        assert_eq!(next.contains(&PoolAction::AddPeer(node(2))), fresh, "{seconds}");
    }
    let mut clocked = Clocked::new(vec![wanted("whisper", 1, 1)], false);
    clocked.connect("whisper", &[1]);
    clocked.found("whisper", 2);
    clocked.run_to(3599);
    assert_eq!(clocked.pool.len(&topic("whisper")), (1, 1));
    clocked.run_to(3600);
    assert_eq!(clocked.pool.len(&topic("whisper")), (0, 1));
}

/// §4.2: 2 × Max pending; of the queue the one seen longest ago makes room. One being dialled never does.
#[test]
fn section_4_2_pending_peers() {
    let mut clocked = Clocked::new(vec![wanted("whisper", 1, 2)], false);
    clocked.actions();
    for n in 1..=10 {
        assert_eq!(clocked.found("whisper", n).len(), usize::from(n <= 4), "{n}");
    }
    assert_eq!(clocked.pool.len(&topic("whisper")), (4, 0));
    clocked.added(1);
    clocked.added(2);
    for n in 11..=20 {
        clocked.elapsed = u64::from(n);
        assert_eq!(clocked.found("whisper", n), []);
    }
    assert_eq!(clocked.pool.len(&topic("whisper")), (4, 2));
    let next = clocked.dropped(1);
    assert!(next.contains(&PoolAction::AddPeer(node(20))), "{next:?}");
    let mut nobody = Clocked::new(vec![wanted("whisper", 0, 0)], false);
    nobody.actions();
    assert_eq!(nobody.found("whisper", 1), []);
    assert_eq!(nobody.pool.len(&topic("whisper")), (0, 0));
}

/// A vanished node is forgotten: taken back after a minute, not cached any more, left alone for ten.
#[test]
fn a_node_that_does_not_come_is_forgotten() {
    let mut known = wanted("whisper", 1, 1);
    known.cached = vec![node(1)];
    let mut clocked = Clocked::new(vec![known], false);
    assert_eq!(clocked.actions(), [search("whisper", 3), PoolAction::AddPeer(node(1))]);
    let actions = clocked.run_to(59);
    assert_eq!(actions, [search("whisper", 30)]);
    assert_eq!(clocked.run_to(60), [changed("whisper"), PoolAction::RemovePeer(node(1).id)]);
    assert_eq!(
        (clocked.pool.len(&topic("whisper")), clocked.pool.cached(&topic("whisper"))),
        ((0, 0), &[][..])
    );
    clocked.run_to(659);
    assert_eq!(clocked.found("whisper", 1), []);
    clocked.run_to(660);
    assert_eq!(clocked.found("whisper", 1), [PoolAction::AddPeer(node(1))]);
}

/// Nodes that rest are bounded.
#[test]
fn resting_nodes_are_bounded() {
    let mut clocked = Clocked::new(vec![wanted("whisper", 0, 1000)], false);
    for n in 0..2000_u16 {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        let now = clocked.now();
        clocked.pool.found(now, &topic("whisper"), Node { id: NodeId(id), ..node(1) });
    }
    clocked.run_to(60);
    assert_eq!((clocked.pool.resting.len(), clocked.pool.len(&topic("whisper"))), (MAX_RESTING, (0, 0)));
}

/// §4.2: 30 s in fast mode at most; §4.3: a change below Min makes it fast again.
#[test]
fn section_4_2_fast_and_slow_mode() {
    let mut clocked = Clocked::new(vec![wanted("whisper", 2, 3)], false);
    clocked.actions();
    assert_eq!(clocked.run_to(29), []);
    assert_eq!(clocked.run_to(30), [search("whisper", 30)]);
    clocked.found("whisper", 1);
    clocked.found("whisper", 2);
    assert_eq!(clocked.added(1), [changed("whisper"), search("whisper", 3)], "still below Min");
    assert_eq!(clocked.added(2), [changed("whisper"), search("whisper", 30)]);
    assert!(clocked.dropped(2).contains(&search("whisper", 3)));
    assert_eq!(clocked.run_to(60), [search("whisper", 30)]);
}

/// §4.2: a search starts with 5 cached peers; the cache holds Max as of the creation.
#[test]
fn section_4_2_cached_peers() {
    let mut many = wanted("whisper", 6, 7);
    many.cached = (1..=9).map(node).collect();
    let mut clocked = Clocked::new(vec![many], false);
    assert_eq!(clocked.pool.cached(&topic("whisper")).len(), 7);
    let mut want = vec![search("whisper", 3)];
    want.extend((1..=5).map(|n| PoolAction::AddPeer(node(n))));
    assert_eq!(clocked.actions(), want);
    let now = clocked.now();
    clocked.pool.set_limits(now, &topic("whisper"), Limits::new(20, 20).unwrap()).unwrap();
    let peers: Vec<u8> = (11..=25).collect();
    clocked.connect("whisper", &peers);
    assert_eq!(clocked.pool.len(&topic("whisper")).1, 15);
    let cached: Vec<Node> = (19..=25).rev().map(node).collect();
    assert_eq!(clocked.pool.cached(&topic("whisper")), cached);
}

/// §4.2: a failed start of discovery is tried again after 2 s.
#[test]
fn section_4_2_discovery_that_does_not_start() {
    let mut clocked = Clocked::stopped(vec![wanted("whisper", 1, 1)], false);
    clocked.pool.start();
    clocked.actions();
    clocked.pool.discovery_failed(clocked.start);
    assert_eq!(clocked.run_to(1), []);
    assert_eq!(clocked.run_to(2), [PoolAction::StartDiscovery]);
    clocked.pool.discovery_started(clocked.now());
    assert_eq!(clocked.actions(), [search("whisper", 3)]);
}

/// §4.2: discovery that may stop does so 3 min after its start; one that may not never does.
#[test]
fn section_4_2_discovery_timeout() {
    for allow_stop in [true, false] {
        let mut clocked = Clocked::new(vec![wanted("whisper", 1, 1)], allow_stop);
        assert_eq!(clocked.run_to(179).last(), Some(&search("whisper", 30)));
        let want = [PoolAction::StopSearch(topic("whisper")), PoolAction::StopDiscovery];
        assert_eq!(clocked.run_to(180), if allow_stop { &want[..] } else { &[] });
    }
}

/// §4.3: with no required topic discovery that may stop stops at the first peer.
#[test]
fn section_4_3_nothing_to_search() {
    for (allow_stop, want) in [(true, &[PoolAction::StopDiscovery][..]), (false, &[])] {
        let mut clocked = Clocked::new(Vec::new(), allow_stop);
        assert_eq!(clocked.added(1), want);
    }
}

/// §4.3: where discovery may stop, a topic stops once Max are cached; a drop below Min starts both again.
#[test]
fn section_4_3_stops_when_full_and_restarts_below_min() {
    let mut clocked = Clocked::new(vec![wanted("a", 1, 1), wanted("b", 1, 1)], true);
    clocked.actions();
    clocked.found("a", 1);
    assert_eq!(clocked.added(1), [changed("a"), search("a", 30), PoolAction::StopSearch(topic("a"))]);
    clocked.found("b", 2);
    let stopped = clocked.added(2);
    assert_eq!(stopped[2..], [PoolAction::StopSearch(topic("b")), PoolAction::StopDiscovery]);
    assert_eq!(clocked.run_to(1000), []);
    let again = clocked.dropped(2);
    assert_eq!(again, [changed("b"), PoolAction::RemovePeer(node(2).id), PoolAction::StartDiscovery]);
    clocked.pool.discovery_started(clocked.now());
    assert_eq!(clocked.actions(), [search("b", 3)], "that search alone");
}

/// §4.2: otherwise 10 s after Max was reached.
#[test]
fn section_4_2_stop_delay() {
    let mut clocked = Clocked::new(vec![wanted("whisper", 1, 1)], true);
    let now = clocked.now();
    clocked.pool.set_limits(now, &topic("whisper"), Limits::new(2, 2).unwrap()).unwrap();
    clocked.elapsed = 1;
    clocked.connect("whisper", &[1, 2]);
    clocked.actions();
    assert_eq!(clocked.pool.cached(&topic("whisper")).len(), 1, "the cache holds 1 as at creation");
    assert_eq!(clocked.run_to(10), []);
    clocked.added(50);
    let want = [PoolAction::StopSearch(topic("whisper")), PoolAction::StopDiscovery];
    assert_eq!(clocked.run_to(11), want, "set once: the other peer did not put it off");
}

/// §4.3: `peer_discover` changes the limits of required topics, and starts discovery that was stopped.
#[test]
fn section_4_3_changed_limits() {
    let mut clocked = Clocked::new(vec![wanted("whisper", 1, 1)], true);
    let now = clocked.now();
    let more = Limits::new(2, 2).unwrap();
    assert_eq!(clocked.pool.set_limits(now, &topic("other"), more), Err(UnknownTopic(topic("other"))));
    clocked.connect("whisper", &[1]);
    assert_eq!(clocked.pool.discovery, Discovery::Stopped);
    clocked.pool.set_limits(now, &topic("whisper"), more).unwrap();
    assert_eq!(clocked.actions(), [PoolAction::StartDiscovery]);
    clocked.pool.discovery_started(now);
    clocked.actions();
    assert_eq!(clocked.found("whisper", 2), [PoolAction::AddPeer(node(2))]);
}

/// §4.5: a trusted mailserver is announced and cached, counts once, and is let go; another one is only let go.
#[test]
fn section_4_5_mailservers_are_verified() {
    let mut clocked = Clocked::new(vec![wanted(WHISPERMAIL, 2, 2)], true);
    clocked.actions();
    assert_eq!(clocked.found(WHISPERMAIL, 100), [PoolAction::AddPeer(node(100))]);
    assert_eq!(clocked.found(WHISPERMAIL, 5), [PoolAction::AddPeer(node(5))]);
    assert_eq!(clocked.added(5), [PoolAction::RemovePeer(node(5).id)]);
    assert_eq!(clocked.pool.cached(&topic(WHISPERMAIL)), []);
    let found = PoolAction::MailserverFound(node(100).id);
    let removed = PoolAction::RemovePeer(node(100).id);
    assert_eq!(clocked.added(100), [changed(WHISPERMAIL), found.clone(), removed]);
    assert_eq!(clocked.pool.cached(&topic(WHISPERMAIL)), [node(100)]);
    assert_eq!(clocked.pool.topics[&topic(WHISPERMAIL)].limits, Limits::new(1, 1).unwrap());
    clocked.dropped(100);
    assert_eq!(clocked.found(WHISPERMAIL, 100), [], "it is known");
    let again = clocked.added(100);
    assert!(again.contains(&found), "announced each time it comes, also when it dials");
    assert_eq!(clocked.pool.topics[&topic(WHISPERMAIL)].limits, Limits::new(1, 1).unwrap(), "counted once");
    clocked.added(101);
    let stop = [PoolAction::StopSearch(topic(WHISPERMAIL)), PoolAction::StopDiscovery];
    assert_eq!(clocked.run_to(9), []);
    assert_eq!(clocked.run_to(10), stop, "both are known: 10 s later the search ends");
}

/// §4.5: a trusted one that comes by itself is announced, not cached and not sent away.
#[test]
fn section_4_5_a_mailserver_that_dials() {
    let mut clocked = Clocked::new(vec![wanted(WHISPERMAIL, 3, 3)], false);
    clocked.actions();
    assert_eq!(clocked.added(101), [PoolAction::MailserverFound(node(101).id)]);
    assert_eq!(clocked.pool.cached(&topic(WHISPERMAIL)), []);
    assert_eq!(clocked.added(6), []);
    let limits = clocked.pool.topics[&topic(WHISPERMAIL)].limits;
    assert_eq!(limits, Limits::new(2, 2).unwrap());
    clocked.added(100);
    clocked.pool.trusted.insert(node(102).id);
    clocked.pool.trusted.insert(node(103).id);
    clocked.added(102);
    clocked.added(103);
    let limits = clocked.pool.topics[&topic(WHISPERMAIL)].limits;
    assert_eq!(limits, Limits::new(0, 0).unwrap(), "not below 0");
}

/// A peer that another topic wants is not removed.
#[test]
fn topics_do_not_take_each_others_peers() {
    let mut clocked = Clocked::new(vec![wanted("whisper", 1, 1), wanted(WHISPERMAIL, 1, 1)], false);
    clocked.actions();
    clocked.found("whisper", 100);
    clocked.found(WHISPERMAIL, 100);
    let actions = clocked.added(100);
    assert!(actions.contains(&PoolAction::MailserverFound(node(100).id)));
    assert!(!actions.contains(&PoolAction::RemovePeer(node(100).id)), "{actions:?}");
    assert_eq!(clocked.pool.len(&topic("whisper")), (0, 1));
}

/// A peer that came by other means is neither dialled nor taken away.
#[test]
fn an_inbound_peer_is_left_alone() {
    let mut clocked = Clocked::new(vec![wanted("whisper", 1, 1)], false);
    clocked.actions();
    clocked.added(1);
    assert_eq!(clocked.found("whisper", 1), []);
    clocked.connect("whisper", &[2]);
    clocked.found("whisper", 3);
    clocked.added(3);
    assert_eq!(clocked.pool.len(&topic("whisper")), (0, 1), "need not wait in the queue any more");
    let actions = clocked.dropped(2);
    assert!(!actions.iter().any(|action| matches!(action, PoolAction::AddPeer(_))), "{actions:?}");
    assert!(!clocked.run_to(4000).iter().any(|action| matches!(action, PoolAction::RemovePeer(_))));
    clocked.dropped(1);
    assert_eq!(clocked.found("whisper", 1), [PoolAction::AddPeer(node(1))]);
}

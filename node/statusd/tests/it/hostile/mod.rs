//! The node under attack: its memory stays below a figure that its own bounds give, a good pair of peers that relays at
//! a steady rate loses nothing, and a newcomer gets in within 3 s. Who is refused for what is each test's own matter.
//!
//! What each bound is in itself is shown at its own layer (`node/net`, `node/relay`, `node/waku`, `node/discovery`); here
//! they hold together, in the program. Latency under attack is measured by `statusctl bench hostile`.

mod datagrams;
mod frames;
mod good;
mod half_open;
mod interest;
mod memory;
mod slow;
mod spam;
mod trickle;
mod unfinished;

use std::time::{Duration, Instant};

use ::hostile::{Attack, Kind, Tally, Target};
use enode::{EnodeUrl, NodeKey};
use node_client::{Client, Options};
use serde_json::json;

use self::{good::Pair, memory::Memory};
use crate::program::{Setup, Statusd};

/// For a newcomer to get in (design §2, Bounds).
const NEWCOMER: Duration = Duration::from_secs(3);
const MIB: u64 = 1 << 20;
/// What the good peers need, bytes: buffers, their envelopes in the pool and in the archive's memtable.
const BESIDE: u64 = 8 * MIB;
/// What a session needs that does nothing, bytes (design §2, Budgets).
const IDLE: u64 = 16 * 1024;
/// One part in so many of all bounds is lost in the allocator: its classes of sizes are a quarter apart.
const ALLOCATOR: u64 = 4;

/// Bytes of all buffers and waiting messages that sessions share (`devp2p::Config`), and what each of `sessions` has
/// beside it: 16 KB of its buffer and as much of each of six messages (`node/net`: `budget::FREE`,
/// `session::INBOUND_QUEUE`, one at either end of it).
fn of_sessions(sessions: u32) -> u64 {
    let config = devp2p::Config::new(NodeKey::generate(), String::new());
    let shared = config.inbound_budget + config.message_budget;
    u64::try_from(shared).unwrap() + u64::from(sessions) * 7 * 16 * 1024
}

/// Attacks that keep a core busy take turns, so that what a test sees is its own attack.
static LOUD: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A mailserver with room for all attackers and more, so that only what it does about them keeps them out.
fn roomy(attackers: u32) -> Setup {
    let mut setup = Setup::default();
    // Two thirds may come in (`spec/devp2p.md` §3.1).
    setup.config["MaxPeers"] = json!(2 * (attackers + 20));
    setup.config["MaxPendingPeers"] = json!(2 * attackers);
    setup
}

/// What an attack came to.
struct Withstood {
    /// How its sockets ended.
    tally: Tally,
    /// By how much the node's memory grew at most, bytes.
    grown: u64,
    sockets: u32,
    /// Envelopes that the good pair posted.
    posted: usize,
}

impl Withstood {
    /// # Panics
    /// When the node's memory grew by more than `bound` bytes, and what comes on top of any bound.
    fn assert_within(&self, bound: u64) {
        let most = bound + bound / ALLOCATOR + u64::from(self.sockets) * IDLE + BESIDE;
        let (grown, most) = (self.grown / MIB, most / MIB);
        println!("grown by {grown} MiB, at most {most}; {}", self.tally);
        assert!(grown <= most, "grown by {grown} MiB, at most {most} MiB are bounded; {}", self.tally);
    }
}

fn enode(node: &Statusd) -> EnodeUrl {
    node.enode().parse().unwrap()
}

/// Attacks `node` until `enough` is done. A newcomer comes in the middle.
///
/// # Panics
/// When the good pair loses an envelope or its sessions, or the newcomer does not get in within 3 s.
async fn withstand(node: &Statusd, kind: Kind, sockets: u32, enough: impl AsyncFnOnce(&Attack)) -> Withstood {
    let enode = enode(node);
    let pair = Pair::start(&enode).await;
    let memory = Memory::of(node.pid());
    let target = Target { key: enode.public_key, address: node.p2p };
    let attack = Attack::start(kind, target, sockets);
    enough(&attack).await;
    let begun = Instant::now();
    newcomer(&enode).await;
    let took = begun.elapsed();
    assert!(took <= NEWCOMER, "a newcomer got in after {took:?}");
    let tally = attack.stop().await;
    let grown = memory.grown();
    let posted = pair.assert_lost_nothing().await;
    Withstood { tally, grown, sockets, posted }
}

/// Tries until it is in.
async fn newcomer(enode: &EnodeUrl) {
    let options = Options { timeout: NEWCOMER, ..Options::quiet() };
    let begun = Instant::now();
    while let Err(error) = Client::connect(enode, &NodeKey::generate(), &options).await {
        assert!(begun.elapsed() <= NEWCOMER, "a newcomer did not get in: {error}");
    }
}

/// The attack goes on for so long, whatever becomes of it.
async fn lasts(_: &Attack) {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

/// The attack goes on until what came of it is `enough`.
async fn until(attack: &Attack, limit: Duration, enough: impl Fn(&Tally) -> bool) {
    let begun = Instant::now();
    while !enough(&attack.tally()) {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {}", attack.tally());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

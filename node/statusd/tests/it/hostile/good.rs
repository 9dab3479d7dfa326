//! A good pair of peers: one posts at a steady rate, the other gets all of it.

use std::{
    collections::HashSet,
    time::{Duration, UNIX_EPOCH},
};

use enode::{EnodeUrl, NodeKey};
use node_client::{Client, Options, Watch};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{interval, timeout},
};
use waku_wire::{Envelope, EnvelopeHash, Topic, WireEnvelope};

/// Between two envelopes.
const PERIOD: Duration = Duration::from_millis(20);
/// For what is on its way when posting ends.
const PATIENCE: Duration = Duration::from_secs(30);
const TTL: u32 = 50;

/// See the module's documentation.
pub(super) struct Pair {
    stop: oneshot::Sender<()>,
    posting: JoinHandle<Vec<EnvelopeHash>>,
    /// What arrived, as it arrives.
    arrived: mpsc::UnboundedReceiver<EnvelopeHash>,
}

impl Pair {
    /// Connects both and begins to post.
    pub(super) async fn start(enode: &EnodeUrl) -> Self {
        let topic = Topic(rand::random());
        let connect = async |options| Client::connect(enode, &NodeKey::generate(), &options).await.unwrap();
        let receiver = connect(Options::watching(vec![topic])).await;
        let sender = connect(Options::quiet()).await;
        let (arrive, arrived) = mpsc::unbounded_channel();
        let watch = receiver.watch();
        tokio::spawn(receive(receiver, watch, arrive));
        let (stop, stopped) = oneshot::channel();
        Self { stop, posting: tokio::spawn(post(sender, topic, stopped)), arrived }
    }

    /// Ends posting and waits for what is on its way; how many envelopes were posted.
    pub(super) async fn assert_lost_nothing(mut self) -> usize {
        self.stop.send(()).expect("the sender's session has ended");
        let posted = self.posting.await.unwrap();
        assert!(posted.len() > 10, "{} envelopes posted: too few to tell", posted.len());
        let mut missing: HashSet<_> = posted.iter().copied().collect();
        let all = async {
            while !missing.is_empty() {
                missing.remove(&self.arrived.recv().await.expect("the receiver's session goes on"));
            }
        };
        let came = timeout(PATIENCE, all).await;
        assert!(came.is_ok(), "{} of {} envelopes did not arrive", missing.len(), posted.len());
        posted.len()
    }
}

async fn receive(_session: Client, mut watch: Watch, arrive: mpsc::UnboundedSender<EnvelopeHash>) {
    while let Ok(envelope) = watch.next().await {
        if arrive.send(envelope.hash()).is_err() {
            return;
        }
    }
}

async fn post(sender: Client, topic: Topic, mut stopped: oneshot::Receiver<()>) -> Vec<EnvelopeHash> {
    let (mut posted, mut ticks) = (Vec::new(), interval(PERIOD));
    let pow = sender.settings().pow_requirement;
    while stopped.try_recv().is_err() {
        ticks.tick().await;
        let envelope = envelope(topic, u64::try_from(posted.len()).unwrap(), pow);
        sender.post(std::slice::from_ref(&envelope)).await.expect("the sender's session goes on");
        posted.push(envelope.hash());
    }
    // Ends the session when all that was posted is written.
    sender.close().await;
    posted
}

fn envelope(topic: Topic, number: u64, pow: f64) -> WireEnvelope {
    let now = u32::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let mut data = vec![7; 320];
    data[..8].copy_from_slice(&number.to_be_bytes());
    let envelope = Envelope { expiry: now + TTL, ttl: TTL, topic, data: data.into(), nonce: 0 };
    waku_wire::seal::seal(envelope, pow, || true).unwrap()
}

//! Who waits for which packet of a session. Never holds its lock across a wait.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use waku_wire::{
    Completion, EnvelopeError, MessageResponse, PeerSettings, ProtocolVersion, StatusOptions, WireEnvelope,
    codes, decode_batch_ack, messages,
};

use crate::{Error, history::Event};

/// Hash of a messages packet.
pub(crate) type Batch = [u8; 32];

/// Envelopes that wait for a watcher before the session stops reading.
const WATCH_QUEUE: usize = 1024;
/// Packets that wait for the reader of a history answer before the session stops reading.
const HISTORY_QUEUE: usize = 4;

#[derive(Default)]
struct Waiting {
    confirmations: HashMap<Batch, oneshot::Sender<Vec<EnvelopeError>>>,
    history: Option<mpsc::Sender<Event>>,
    watchers: Vec<mpsc::Sender<WireEnvelope>>,
    settings: PeerSettings,
    ended: Option<String>,
}

/// See the module's documentation.
pub(crate) struct Inbox {
    version: ProtocolVersion,
    waiting: Mutex<Waiting>,
    gossip_packets: AtomicU64,
}

impl Inbox {
    pub(crate) fn new(version: ProtocolVersion, settings: PeerSettings) -> Self {
        let waiting = Mutex::new(Waiting { settings, ..Waiting::default() });
        Self { version, waiting, gossip_packets: AtomicU64::new(0) }
    }

    /// Hands one packet to whoever waits for it; waits itself while a reader's queue is full, so that a slow reader
    /// slows the node and costs no memory.
    ///
    /// # Errors
    /// [`Error::Breach`] when the packet cannot be read: the session is of no use then.
    pub(crate) async fn dispatch(&self, code: u64, payload: Bytes) -> Result<(), Error> {
        match code {
            codes::MESSAGES => self.gossip(&payload).await,
            codes::MESSAGE_RESPONSE => {
                if let Some(response) = MessageResponse::decode(&payload)? {
                    self.confirmed(&response.batch, response.errors);
                }
                Ok(())
            }
            // Comes behind the message response of the same batch, or alone from older nodes.
            codes::BATCH_ACK => {
                self.confirmed(&decode_batch_ack(&payload)?, Vec::new());
                Ok(())
            }
            codes::STATUS_UPDATE => {
                let options = StatusOptions::decode_update(self.version, &payload)?;
                self.waiting.lock().settings.apply(options).map_err(|e| Error::Breach(e.to_string()))
            }
            codes::P2P_MESSAGE => self.history(|| Ok(Event::Envelopes(messages::decode(&payload)?))).await,
            codes::P2P_REQUEST_COMPLETE => {
                self.history(|| Ok(Event::Complete(Completion::decode(&payload)?))).await
            }
            // Anything else is ignored (`spec/waku-mailserver.md` §4.1).
            _ => Ok(()),
        }
    }

    async fn gossip(&self, payload: &Bytes) -> Result<(), Error> {
        self.gossip_packets.fetch_add(1, Ordering::Relaxed);
        let watchers = {
            let mut waiting = self.waiting.lock();
            waiting.watchers.retain(|watcher| !watcher.is_closed());
            waiting.watchers.clone()
        };
        if watchers.is_empty() {
            return Ok(());
        }
        for envelope in messages::decode(payload)? {
            for watcher in &watchers {
                // A watcher that went away is taken out with the next packet.
                let _ = watcher.send(envelope.clone()).await;
            }
        }
        Ok(())
    }

    fn confirmed(&self, batch: &Batch, errors: Vec<EnvelopeError>) {
        let waiter = self.waiting.lock().confirmations.remove(batch);
        if let Some(waiter) = waiter {
            // Whoever asked may have given up.
            let _ = waiter.send(errors);
        }
    }

    /// Without a request under way the packet is ignored unread, as from a peer that is not trusted (§4.8, §4.10).
    async fn history(&self, decode: impl FnOnce() -> Result<Event, Error>) -> Result<(), Error> {
        let reader = self.waiting.lock().history.clone();
        if let Some(reader) = reader {
            // The reader may have given up.
            let _ = reader.send(decode()?).await;
        }
        Ok(())
    }

    /// Ends all waiting.
    pub(crate) fn end(&self, reason: String) {
        let mut waiting = self.waiting.lock();
        waiting.confirmations.clear();
        waiting.history = None;
        waiting.watchers.clear();
        waiting.ended.get_or_insert(reason);
    }

    /// The error of whoever found its waiting ended.
    pub(crate) fn lost(&self) -> Error {
        Error::Lost(self.waiting.lock().ended.clone().unwrap_or_else(|| "the session has ended".to_owned()))
    }

    pub(crate) fn expect_confirmation(&self, batch: Batch) -> oneshot::Receiver<Vec<EnvelopeError>> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.ended.is_none() {
            waiting.confirmations.insert(batch, sender);
        }
        receiver
    }

    pub(crate) fn forget_confirmation(&self, batch: &Batch) {
        self.waiting.lock().confirmations.remove(batch);
    }

    pub(crate) fn open_history(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(HISTORY_QUEUE);
        let mut waiting = self.waiting.lock();
        if waiting.ended.is_none() {
            waiting.history = Some(sender);
        }
        receiver
    }

    pub(crate) fn close_history(&self) {
        self.waiting.lock().history = None;
    }

    pub(crate) fn watch(&self) -> mpsc::Receiver<WireEnvelope> {
        let (sender, receiver) = mpsc::channel(WATCH_QUEUE);
        let mut waiting = self.waiting.lock();
        if waiting.ended.is_none() {
            waiting.watchers.push(sender);
        }
        receiver
    }

    pub(crate) fn gossip_packets(&self) -> u64 {
        self.gossip_packets.load(Ordering::Relaxed)
    }

    pub(crate) fn settings(&self) -> PeerSettings {
        self.waiting.lock().settings.clone()
    }
}

//! What waits to be sent on one session: a bounded queue a lane, the live source, and the requests to pong, probe and
//! close. Shared by the senders and the one writer. Never holds its lock across I/O or a wait.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use rlpx::DisconnectReason;
use tokio::{sync::Notify, time::timeout};

use crate::desk::Desk;

/// Queued bytes of a lane from which on [`Outbox::send`] waits; one message is always taken.
const LANE_BYTES: usize = 256 * 1024;
/// Queued messages of a lane from which on [`Outbox::send`] waits.
const LANE_MESSAGES: usize = 512;

/// Priorities, highest first: a lower lane is written only while the higher ones are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Small and urgent: handshake, confirmations, settings.
    Control = 0,
    /// Gossip that is queued rather than pulled from a [`LiveSource`].
    Live = 1,
    /// Answers from the archive.
    History = 2,
    /// Replica sync.
    Sync = 3,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The session has ended.
    #[error("the session has ended")]
    Closed,
    /// The lane is full ([`crate::PeerSender::try_send`] only).
    #[error("the lane is full")]
    Full,
    /// The message code is outside the sub-protocol's range: a local error.
    #[error("message code {code} is outside the sub-protocol's {length} codes")]
    Code {
        /// The code, relative to the sub-protocol.
        code: u64,
        /// Codes that the sub-protocol has.
        length: u64,
    },
    /// More than 16,777,215 bytes.
    #[error("payload of {0} bytes, at most 16,777,215 can be sent")]
    TooBig(usize),
}

/// Where the writer gets gossip from when the socket can take more.
pub trait LiveSource: Send {
    /// The next packet as (code relative to the sub-protocol, payload), `None` when there is nothing for this peer now:
    /// then [`LiveWaker::wake`] has to be called when there is again. Must not block. `max_bytes` is what the packet
    /// should not exceed.
    fn next_packet(&mut self, max_bytes: usize) -> Option<(u64, Bytes)>;
}

/// Tells a session's writer that its [`LiveSource`] has something. Cheap, coalescing, from any thread.
#[derive(Clone)]
pub struct LiveWaker(pub(crate) Arc<Outbox>);

impl LiveWaker {
    /// Wakes the writer unless it was woken already.
    pub fn wake(&self) {
        if !self.0.live.swap(true, Ordering::AcqRel) {
            self.0.wake.notify_one();
        }
    }

    /// The same, but where the session rests (nothing unwritten, and nothing written for 2 ms) the caller writes a batch
    /// itself, as far as the socket takes it: at most 64 KB and one packet, and no task has to be woken. Never waits.
    /// `now` is the present moment. Calls the [`LiveSource`].
    pub fn write_or_wake(&self, now: Instant) {
        if !self.0.live.swap(true, Ordering::AcqRel) && !self.0.write_for_task(now) {
            self.0.wake.notify_one();
        }
    }
}

impl fmt::Debug for LiveWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveWaker")
    }
}

/// A queued message with its absolute code.
pub(crate) struct Item {
    pub(crate) code: u64,
    pub(crate) payload: Bytes,
    pub(crate) lane: Lane,
}

/// A live source and where its codes begin.
pub(crate) struct Source {
    pub(crate) offset: u64,
    pub(crate) source: Box<dyn LiveSource>,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<(u64, Bytes)>,
    bytes: usize,
}

#[derive(Default)]
struct Queues {
    lanes: [Queue; 4],
    pong: bool,
    ping: bool,
    source: Option<Source>,
    closing: Option<DisconnectReason>,
    ended: bool,
}

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Outbox {
    queues: Mutex<Queues>,
    /// Where the pen lies while the writer rests.
    pub(crate) desk: Desk,
    /// The live source has something.
    live: AtomicBool,
    /// Wakes the writer.
    wake: Notify,
    /// Wakes senders that wait for room, by lane.
    room: [Notify; 4],
    /// Told when closing was asked for.
    close_asked: Notify,
    /// Somebody waits for a sign of life.
    probing: AtomicBool,
    alive: Notify,
}

impl Outbox {
    /// Queues without waiting.
    pub(crate) fn try_send(&self, lane: Lane, code: u64, payload: &Bytes) -> Result<(), SendError> {
        {
            let mut queues = self.queues.lock();
            if queues.ended || queues.closing.is_some() {
                return Err(SendError::Closed);
            }
            let queue = &mut queues.lanes[lane as usize];
            let full = queue.bytes + payload.len() > LANE_BYTES || queue.items.len() >= LANE_MESSAGES;
            if full && !queue.items.is_empty() {
                return Err(SendError::Full);
            }
            queue.bytes += payload.len();
            queue.items.push_back((code, payload.clone()));
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Queues, waiting for room in the lane.
    pub(crate) async fn send(&self, lane: Lane, code: u64, payload: Bytes) -> Result<(), SendError> {
        loop {
            let room = self.room[lane as usize].notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.try_send(lane, code, &payload) {
                Err(SendError::Full) => room.await,
                done => return done,
            }
        }
    }

    /// The next queued message of `lane` or a higher one.
    pub(crate) fn pop(&self, lowest: Lane) -> Option<Item> {
        let mut queues = self.queues.lock();
        for lane in [Lane::Control, Lane::Live, Lane::History, Lane::Sync] {
            if lane > lowest {
                break;
            }
            let queue = &mut queues.lanes[lane as usize];
            let Some((code, payload)) = queue.items.pop_front() else { continue };
            queue.bytes -= payload.len();
            if queue.items.is_empty() && queue.items.capacity() > 16 {
                queue.items = VecDeque::new();
            }
            drop(queues);
            self.room[lane as usize].notify_waiters();
            return Some(Item { code, payload, lane });
        }
        None
    }

    /// Whether a pong and a ping are owed; both are then taken as written.
    pub(crate) fn take_base(&self) -> (bool, bool) {
        let mut queues = self.queues.lock();
        (std::mem::take(&mut queues.pong), std::mem::take(&mut queues.ping))
    }

    /// Owes a pong: however many pings come before it is written, there is one.
    pub(crate) fn pong(&self) {
        self.queues.lock().pong = true;
        self.wake.notify_one();
    }

    /// Replaces the live source and has it asked.
    pub(crate) fn set_source(self: &Arc<Self>, source: Source) {
        self.queues.lock().source = Some(source);
        LiveWaker(Arc::clone(self)).wake();
    }

    /// A live source that was set since the last call.
    pub(crate) fn take_source(&self) -> Option<Source> {
        self.queues.lock().source.take()
    }

    /// Takes the sign that the live source has something.
    pub(crate) fn take_live(&self) -> bool {
        self.live.swap(false, Ordering::AcqRel)
    }

    /// Waits until there may be something to write.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Writes with the pen of a session at rest. Whether that leaves nothing to the task.
    fn write_for_task(&self, now: Instant) -> bool {
        let Some(mut pen) = self.desk.borrow() else { return false };
        let done = self.closing().is_none() && pen.write_for(self, now);
        self.desk.put_back(pen);
        done
    }

    /// Asks for the end of the session; the first reason counts.
    pub(crate) fn close(&self, reason: DisconnectReason) {
        {
            let mut queues = self.queues.lock();
            if queues.closing.is_some() || queues.ended {
                return;
            }
            queues.closing = Some(reason);
        }
        self.wake.notify_one();
        self.close_asked.notify_waiters();
        self.free_senders();
    }

    /// The reason of [`Self::close`], if it was called.
    pub(crate) fn closing(&self) -> Option<DisconnectReason> {
        self.queues.lock().closing
    }

    /// Waits until [`Self::close`] was called.
    pub(crate) async fn close_asked(&self) -> DisconnectReason {
        loop {
            let asked = self.close_asked.notified();
            tokio::pin!(asked);
            asked.as_mut().enable();
            if let Some(reason) = self.closing() {
                return reason;
            }
            asked.await;
        }
    }

    /// Marks the session as ended: nothing is taken any more, what is queued is freed.
    pub(crate) fn end(&self) {
        let source = {
            let mut queues = self.queues.lock();
            queues.ended = true;
            queues.lanes = Default::default();
            queues.source.take()
        };
        drop(source);
        self.desk.clear();
        self.free_senders();
    }

    fn free_senders(&self) {
        for room in &self.room {
            room.notify_waiters();
        }
    }

    /// The reader calls this for every message.
    pub(crate) fn heard(&self) {
        if self.probing.load(Ordering::Relaxed) {
            self.alive.notify_waiters();
        }
    }

    /// Pings and waits for any message: whether there was one in time.
    pub(crate) async fn probe(&self, patience: Duration) -> bool {
        let alive = self.alive.notified();
        tokio::pin!(alive);
        alive.as_mut().enable();
        self.probing.store(true, Ordering::SeqCst);
        self.queues.lock().ping = true;
        self.wake.notify_one();
        let heard = timeout(patience, alive).await.is_ok();
        self.probing.store(false, Ordering::SeqCst);
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(n: usize) -> Bytes {
        Bytes::from(vec![0; n])
    }

    #[tokio::test]
    async fn lanes_come_out_by_priority_and_in_order() {
        let outbox = Outbox::default();
        for (lane, code) in
            [(Lane::Sync, 1), (Lane::History, 2), (Lane::Live, 3), (Lane::Control, 4), (Lane::Live, 5)]
        {
            outbox.send(lane, code, bytes(1)).await.unwrap();
        }
        assert_eq!(outbox.pop(Lane::Control).map(|i| i.code), Some(4));
        assert!(outbox.pop(Lane::Control).is_none());
        let rest: Vec<u64> = std::iter::from_fn(|| outbox.pop(Lane::Sync)).map(|i| i.code).collect();
        assert_eq!(rest, [3, 5, 2, 1]);
    }

    #[tokio::test]
    async fn a_full_lane_waits_and_the_others_do_not() {
        let outbox = Outbox::default();
        outbox.send(Lane::History, 1, bytes(LANE_BYTES * 4)).await.unwrap();
        assert_eq!(outbox.try_send(Lane::History, 2, &bytes(1)), Err(SendError::Full));
        assert_eq!(outbox.try_send(Lane::Control, 3, &bytes(1)), Ok(()));
        let mut waiting = Box::pin(outbox.send(Lane::History, 2, bytes(1)));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(outbox.pop(Lane::History).map(|i| i.code), Some(3));
        assert_eq!(outbox.pop(Lane::History).map(|i| i.code), Some(1));
        assert_eq!(waiting.await, Ok(()));
        for _ in 1..LANE_MESSAGES {
            outbox.try_send(Lane::History, 9, &bytes(0)).unwrap();
        }
        assert_eq!(outbox.try_send(Lane::History, 9, &bytes(0)), Err(SendError::Full), "by count too");
    }

    #[tokio::test]
    async fn closing_frees_those_who_wait() {
        let outbox = Outbox::default();
        outbox.send(Lane::Live, 1, bytes(LANE_BYTES)).await.unwrap();
        let mut waiting = Box::pin(outbox.send(Lane::Live, 2, bytes(1)));
        assert!(futures::poll!(&mut waiting).is_pending());
        outbox.close(DisconnectReason::Requested);
        outbox.close(DisconnectReason::ClientQuitting);
        assert_eq!(waiting.await, Err(SendError::Closed));
        assert_eq!(outbox.close_asked().await, DisconnectReason::Requested, "the first reason counts");
    }

    #[tokio::test]
    async fn wakes_coalesce_and_none_is_lost() {
        let outbox = Arc::new(Outbox::default());
        let waker = LiveWaker(Arc::clone(&outbox));
        waker.wake();
        waker.wake();
        outbox.woken().await;
        assert!(outbox.take_live());
        assert!(!outbox.take_live());
        waker.wake();
        outbox.woken().await;
        assert!(outbox.take_live());
    }
}

//! One connected peer's requests: one is served, a few wait, more are told that the server is busy.

use std::future::Future;
use std::sync::Arc;

use archive::Source;
use bytes::Bytes;
use enode::NodeId;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use waku_wire::{P2pRequest, RequestId};

use crate::deliver::Deliver;
use crate::failure::Failure;
use crate::serve::Mailserver;

/// Requests of one peer that wait while one is served.
pub const QUEUE_LENGTH: usize = 8;
/// Busy answers that wait to be sent; a peer that asks on without reading them is not answered further.
const BUSY_LENGTH: usize = 8;

struct Queued {
    payload: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Takes a peer's requests. Dropping it ends its future once what is queued is served.
pub struct Session {
    mailserver: Arc<Mailserver>,
    requests: mpsc::Sender<Queued>,
    busy: mpsc::Sender<RequestId>,
}

impl Session {
    /// Takes the payload of a code 126 packet, of at most the packet limit. Never waits: it is served by the session's
    /// future, or answered there as busy.
    pub fn push(&self, payload: Bytes) {
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.mailserver.queue_room).try_acquire_many_owned(bytes).ok();
        match (room, self.requests.try_reserve()) {
            (Some(room), Ok(place)) => place.send(Queued { payload, _room: room }),
            _ => self.answer_busy(&payload),
        }
    }

    fn answer_busy(&self, payload: &Bytes) {
        // The request is only read (and hashed) for an answer that can be queued.
        if let Ok(place) = self.busy.try_reserve()
            && let Ok(request) = P2pRequest::decode(payload)
        {
            place.send(request.id());
        }
    }
}

impl Mailserver {
    /// Begins a session with `peer`, whose packets go to `sink`. What it reads is charged to `source`; `None` for one that
    /// stands for many. The caller runs the future for as long as the peer is
    /// connected and drops it when the peer goes, which ends serving at once.
    pub fn session<D: Deliver>(
        self: &Arc<Self>,
        peer: NodeId,
        source: Option<Source>,
        sink: D,
    ) -> (Session, impl Future<Output = ()> + Send + 'static) {
        let (requests, mut queue) = mpsc::channel::<Queued>(QUEUE_LENGTH);
        let (busy, mut refused) = mpsc::channel::<RequestId>(BUSY_LENGTH);
        let session = Session { mailserver: Arc::clone(self), requests, busy };
        let mailserver = Arc::clone(self);
        let run = async move {
            let serve = async {
                while let Some(queued) = queue.recv().await {
                    mailserver.serve(peer, source, &queued.payload, &sink).await;
                }
            };
            let refuse = async {
                while let Some(id) = refused.recv().await {
                    let completion = mailserver.failure(peer, id, &Failure::Busy);
                    // A peer that is gone needs no answer.
                    let _ = sink.complete(completion.encode()).await;
                }
            };
            futures::join!(serve, refuse);
        };
        (session, run)
    }
}

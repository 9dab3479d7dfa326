//! Hands history requests (code 126) to the mailserver, which serves them on a task of its own
//! (`spec/waku-mailserver.md` §4.9, §12 Q01).

use std::sync::Arc;

use archive::Source;
use bytes::Bytes;
use devp2p::{Lane, PeerSender};
use enode::NodeId;
use mailserver::{Deliver, Mailserver, Session, Undelivered};
use tokio::task::JoinSet;
use waku_wire::codes;

/// One peer's requests.
pub(crate) struct Requests {
    mailserver: Arc<Mailserver>,
    peer: NodeId,
    source: Option<Source>,
    sender: PeerSender,
    /// Begun with the first request: most peers never make one. Serving ends with the peer, also in the middle of a
    /// walk that found nothing to send yet.
    session: Option<(Session, JoinSet<()>)>,
}

impl Requests {
    pub(crate) fn new(
        mailserver: Arc<Mailserver>,
        peer: NodeId,
        source: Option<Source>,
        sender: PeerSender,
    ) -> Self {
        Self { mailserver, peer, source, sender, session: None }
    }

    /// Passes a request on; never waits.
    pub(crate) fn push(&mut self, payload: Bytes) {
        let (session, _) = self.session.get_or_insert_with(|| {
            let (session, serve) = self.mailserver.session(self.peer, self.source, Sink(self.sender.clone()));
            (session, JoinSet::from_iter([serve]))
        });
        session.push(payload);
    }
}

/// The history lane of a session.
struct Sink(PeerSender);

impl Deliver for Sink {
    async fn p2p_messages(&self, payload: Bytes) -> Result<(), Undelivered> {
        self.0.send(Lane::History, codes::P2P_MESSAGE, payload).await.map_err(|_| Undelivered)
    }

    async fn complete(&self, payload: Bytes) -> Result<(), Undelivered> {
        self.0.send(Lane::History, codes::P2P_REQUEST_COMPLETE, payload).await.map_err(|_| Undelivered)
    }
}

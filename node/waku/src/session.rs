//! One session: status handshake, then packets one by one (`spec/waku-mailserver.md` §4.3, §4.14).
//!
//! A bad packet after the handshake is dropped and counted, never a reason to disconnect. Reading waits for the archive's
//! queue to have room, and for nothing else.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use devp2p::{Lane, Message, Peer, PeerSender, ProtocolError};
use enode::NodeId;
use tokio::{sync::watch, time::timeout};
use waku_wire::{MessageResponse, PeerSettings, ProtocolVersion, StatusOptions, codes, decode_batch_ack};

use crate::{
    Node,
    confirm::{Confirmer, Submitted},
    direct::Place,
    gossip::{Gossip, Taken},
    history::Requests,
    metrics::RejectedPacket,
    rate::SessionLimiter,
    shared::Membership,
    skew::{PeerTimes, Times, Warnings},
    source::source_of,
    throttle::Throttle,
};

/// Runs a session to its end.
pub(crate) async fn run(node: Arc<Node>, mut peer: Peer) -> Result<(), ProtocolError> {
    let version = match peer.capability.version {
        0 => ProtocolVersion::V0,
        _ => ProtocolVersion::V1,
    };
    let sender = peer.sender();
    let mut changes = node.local.changes();
    let limits = node.limiter.limits();
    let base = node.config.status(version, node.mailserver.is_some(), limits.as_deref());
    let own = changes.borrow_and_update().over(base);
    let Some(settings) = shake_hands(&node, &mut peer, &sender, version, &own).await? else { return Ok(()) };
    let address = peer.info.remote_addr.ip();
    let source = source_of(&node.sources, address);
    let alone = (!node.config.is_shared(address)).then_some(archive::Source(source.0));
    let member = node.relay.join(source, &settings, sender.waker());
    sender.set_live_source(member.live_source());
    let (confirmer, confirm) =
        Confirmer::new(Arc::clone(&node.relay), Arc::clone(&node.confirmation_room), sender.clone());
    let announce = announce(changes, version, sender.clone());
    let mut session = Session {
        requests: node.mailserver.clone().map(|it| Requests::new(it, peer.info.id, alone, sender.clone())),
        limiter: node.limiter.session(peer.info.id, address, source),
        place: node.directory.enter(peer.info.id, sender.clone()),
        blacklisted: node.config.soft_blacklist.contains(&peer.info.id),
        member,
        settings,
        version,
        sender,
        updates: Throttle::default(),
        confirmer,
        peer_id: peer.info.id,
        source: alone,
        times: PeerTimes::default(),
        node,
    };
    let read = async {
        while let Some(message) = peer.recv().await {
            session.count(&message)?;
            session.handle(message).await;
        }
        Ok(())
    };
    tokio::select! {
        ended = read => ended,
        () = confirm => Ok(()),
        () = announce => Ok(()),
    }
}

/// Tells the peer each change of this node's settings (§2.9). Never ends before the session does.
async fn announce(mut changes: watch::Receiver<StatusOptions>, version: ProtocolVersion, sender: PeerSender) {
    while changes.changed().await.is_ok() {
        let update = Bytes::from(changes.borrow_and_update().encode_update(version));
        if sender.send(Lane::Control, codes::STATUS_UPDATE, update).await.is_err() {
            break;
        }
    }
    std::future::pending().await
}

/// Exchanges statuses; `None` when the session ended meanwhile.
async fn shake_hands(
    node: &Node,
    peer: &mut Peer,
    sender: &PeerSender,
    version: ProtocolVersion,
    own: &StatusOptions,
) -> Result<Option<PeerSettings>, ProtocolError> {
    let failed = |why: String| ProtocolError::subprotocol(format!("waku handshake: {why}"));
    let status = Bytes::from(own.encode_status(version));
    if sender.send(Lane::Control, codes::STATUS, status).await.is_err() {
        return Ok(None);
    }
    let wait = node.config.handshake_timeout;
    let message = match timeout(wait, peer.recv()).await {
        Ok(Some(message)) => message,
        Ok(None) => return Ok(None),
        Err(_) => return Err(failed(format!("no status within {} s", wait.as_secs()))),
    };
    if message.code != codes::STATUS {
        return Err(failed(format!("first packet has code {}, want a status", message.code)));
    }
    let options =
        StatusOptions::decode_status(version, &message.payload).map_err(|error| failed(error.to_string()))?;
    let mut settings = PeerSettings::default();
    settings.apply(options).map_err(|error| failed(error.to_string()))?;
    Ok(Some(settings))
}

struct Session {
    node: Arc<Node>,
    version: ProtocolVersion,
    sender: PeerSender,
    member: Membership,
    settings: PeerSettings,
    blacklisted: bool,
    limiter: SessionLimiter,
    updates: Throttle,
    requests: Option<Requests>,
    confirmer: Confirmer,
    place: Place,
    peer_id: NodeId,
    /// `None` when others share the address.
    source: Option<archive::Source>,
    times: PeerTimes,
}

impl Session {
    /// Counts a packet against the limits; what exceeds them is taken in all the same, until it is too often (§4.13).
    fn count(&mut self, message: &Message) -> Result<(), ProtocolError> {
        // The session's reader refuses what is over the limit that the node was started with.
        if message.payload.len() > self.node.local.max_message_size() {
            return Err(ProtocolError::subprotocol("packet over the largest message size"));
        }
        let Some(exceeded) = self.limiter.count(Instant::now(), message.payload.len()) else { return Ok(()) };
        self.node.metrics.rate_counted(exceeded);
        if exceeded.intolerable {
            return Err(ProtocolError::subprotocol("rate limits exceeded too often"));
        }
        Ok(())
    }

    async fn handle(&mut self, message: Message) {
        let metrics = &self.node.metrics;
        match message.code {
            codes::MESSAGES => self.messages(message).await,
            codes::BATCH_ACK => {
                if let Err(error) = decode_batch_ack(&message.payload) {
                    tracing::debug!(%error, "batch acknowledgement dropped");
                }
            }
            codes::MESSAGE_RESPONSE => match MessageResponse::body(&message.payload) {
                Ok(Some(body)) => {
                    if let Err(error) = MessageResponse::decode_body(body) {
                        tracing::debug!(%error, "message response dropped");
                        metrics.packet_rejected(RejectedPacket::InvalidData);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "message response dropped");
                    metrics.packet_rejected(RejectedPacket::FailedRead);
                }
            },
            // Boxed: it may wait, and is rare.
            codes::STATUS_UPDATE => Box::pin(self.status_update(&message.payload)).await,
            codes::P2P_REQUEST => {
                if let Some(requests) = &mut self.requests {
                    requests.push(message.payload);
                }
            }
            codes::P2P_MESSAGE => self.place.messages(&message.payload, &self.node.filters),
            codes::P2P_REQUEST_COMPLETE => self.place.complete(&message.payload),
            // A second status and codes that do not exist are ignored (§4.1).
            _ => {}
        }
    }

    async fn messages(&mut self, message: Message) {
        let node = &self.node;
        let admission = node.local.admission(Instant::now());
        let gossip = Gossip {
            relay: &node.relay,
            admission: &admission,
            metrics: &node.metrics,
            confirmations: node.config.confirmations,
            archiving: node.archive.is_some(),
            filters: &node.filters,
            light: node.local.is_light(),
            source: self.source,
        };
        let taken = if self.blacklisted {
            gossip.discard(&message.payload)
        } else {
            gossip.take_in(&self.member, &message.payload)
        };
        let Some(Taken { submissions, confirmation, times }) = taken else { return };
        if let Some(skewed) = self.times.add(Instant::now(), times) {
            warn_of_times(&node.clock_warnings, self.peer_id, skewed);
        }
        let mut submitted = None;
        if let Some(archive) = &node.archive
            && !submissions.is_empty()
        {
            let hashes = match &confirmation {
                Some(_) => submissions.iter().map(|submission| submission.envelope.hash()).collect(),
                None => Vec::new(),
            };
            let ack = archive.submit(node.relay.now(), submissions).await;
            submitted = Some(Submitted { hashes, ack });
        }
        // Envelopes that wait for room in the archive's queue are many times their packet: it stays on the budget for
        // messages until they are there, where they have a bound of their own.
        drop(message);
        // Where nobody is owed an answer the writer goes on without its ack being waited for.
        if let Some(confirmation) = confirmation {
            self.confirmer.push(confirmation, submitted);
        }
    }

    async fn status_update(&mut self, payload: &[u8]) {
        match StatusOptions::decode_update(self.version, payload) {
            Ok(options) => {
                // A change of interest may cost a walk over the whole pool.
                self.updates.wait().await;
                if let Err(error) = self.settings.apply(options) {
                    tracing::debug!(%error, "status update partly applied");
                }
                if self.member.update(&self.settings) {
                    self.sender.waker().wake();
                }
            }
            Err(error) => {
                tracing::debug!(%error, "status update dropped");
                self.node.metrics.packet_rejected(RejectedPacket::InvalidSettings);
            }
        }
    }
}

/// Says whose envelopes are from another time, unless that was said a moment ago.
fn warn_of_times(warnings: &Warnings, peer: NodeId, times: Times) {
    if warnings.allow(Instant::now()) {
        let Times { envelopes, in_future, very_old } = times;
        tracing::warn!(
            %peer, envelopes, in_future, very_old,
            "envelopes of a peer are from another time: look whether its clock is wrong or this machine's"
        );
    }
}

//! History requests in both forms and their answers, page by page.
//! Facts: `spec/waku-mailserver.md` §5.6, §5.9, §7.1; vectors §10.7.

use std::time::Duration;

use bytes::Bytes;
use devp2p::Lane;
use enode::NodeKey;
use tokio::{
    sync::{SemaphorePermit, mpsc},
    time::{Instant, timeout_at},
};
use waku_wire::{
    Completion, Cursor, Envelope, EnvelopeHash, MessagesRequest, RequestId, SymmetricKey, Topic,
    WireEnvelope, codes,
    payload::{self, Padding, PayloadError},
};

use crate::{Client, Error, seal};

/// The most envelopes of one page (§5.13).
pub const MAX_LIMIT: u32 = 1000;
/// Seconds that a request envelope lives (§7.1). Servers do not look at it.
const REQUEST_TTL: u32 = 50;
/// Longest search for a request's proof of work (§7.1).
const WORK_TIME: Duration = Duration::from_secs(5);

/// How a request travels.
#[derive(Debug, Clone)]
pub enum Form {
    /// In an envelope, signed by the client's key and encrypted with the mailserver's (form A).
    Encrypted {
        /// Derived from the mailserver's password.
        key: SymmetricKey,
        /// Proof of work of the envelope.
        pow: f64,
    },
    /// As a plain list (form B).
    Plain,
}

/// A packet of an answer.
#[derive(Debug)]
pub enum Event {
    /// Envelopes, in the order sent; not bound to a request on the wire.
    Envelopes(Vec<WireEnvelope>),
    /// The end of the answer.
    Complete(Completion),
}

/// The whole answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The id under which the node answered.
    pub request: RequestId,
    /// The envelopes in the order sent: oldest first or newest first, as the node's store has it (§5.5).
    pub envelopes: Vec<WireEnvelope>,
    /// The last envelope as the node names it; [`EnvelopeHash::ZERO`] when there was nothing.
    pub last: EnvelopeHash,
    /// Where the next page begins; `None` on the last page.
    pub cursor: Option<Cursor>,
}

/// A request that a node can answer, before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The id that the answer will carry.
    pub id: RequestId,
    /// The payload of the code 126 packet.
    pub payload: Bytes,
}

/// The request of the reference's canary: the newest or oldest envelope (as the store has it) of one topic, asked for
/// by bloom filter, in `[now - period, now]` (§7.1, §7.3).
#[must_use]
pub fn canary_request(now: u32, period: u32, topic: Topic) -> MessagesRequest {
    MessagesRequest {
        from: now.saturating_sub(period),
        to: now,
        bloom: waku_wire::Bloom::of_topic(topic).0.to_vec(),
        limit: 1,
        batch: true,
        ..MessagesRequest::default()
    }
}

/// The unsealed envelope of a request in form A: topic zero, ttl 50 s.
///
/// # Errors
/// [`PayloadError`].
pub fn request_envelope(
    request: &MessagesRequest,
    signer: &NodeKey,
    key: &SymmetricKey,
    now: u32,
) -> Result<Envelope, PayloadError> {
    let plain = payload::build(&request.encode(), Padding::Random, Some(signer))?;
    Ok(carry(payload::encrypt_symmetric(&plain, key)?, now))
}

fn carry(data: Vec<u8>, now: u32) -> Envelope {
    let expiry = now.saturating_add(REQUEST_TTL);
    Envelope { expiry, ttl: REQUEST_TTL, topic: Topic::default(), data: data.into(), nonce: 0 }
}

/// Makes the packet of a request; seals it when the form needs that. `now` in UNIX seconds.
///
/// # Errors
/// [`Error::Seal`] when the proof of work is not found in 5 s; [`Error::Payload`].
pub async fn prepare(
    request: &MessagesRequest,
    form: &Form,
    signer: &NodeKey,
    now: u32,
) -> Result<Prepared, Error> {
    match form {
        Form::Encrypted { key, pow } => {
            let envelope = seal(request_envelope(request, signer, key, now)?, *pow, WORK_TIME).await?;
            Ok(Prepared { id: envelope.hash().0, payload: envelope.raw().clone() })
        }
        Form::Plain => {
            let id = rand::random();
            Ok(Prepared { id, payload: request.encode_plain(&id).into() })
        }
    }
}

impl Client {
    /// Makes the packet of a request as this client signs it.
    ///
    /// # Errors
    /// As [`prepare`].
    pub async fn prepare(&self, request: &MessagesRequest, form: &Form, now: u32) -> Result<Prepared, Error> {
        prepare(request, form, self.key(), now).await
    }

    /// Sends a request and gives the packets of its answer. One request is under way at a time: another waits.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Send`].
    pub async fn send_request(&self, request: &Prepared) -> Result<Answer<'_>, Error> {
        let turn = self.history_turn.acquire().await.map_err(|_| self.inbox().lost())?;
        let answer =
            Answer { client: self, id: request.id, receiver: self.inbox().open_history(), _turn: turn };
        self.send(Lane::History, codes::P2P_REQUEST, request.payload.clone()).await?;
        Ok(answer)
    }

    /// One page, in `patience` from sending to completion. On the wire envelopes do not say which request they answer:
    /// after a timeout, ask again on a new session.
    ///
    /// # Errors
    /// [`Error::Refused`] for an error completion; [`Error::Breach`] when more comes than was asked for;
    /// [`Error::Timeout`]; [`Error::Lost`]; what [`prepare`] says.
    pub async fn request_history(
        &self,
        request: &MessagesRequest,
        form: &Form,
        now: u32,
        patience: Duration,
    ) -> Result<Page, Error> {
        let prepared = self.prepare(request, form, now).await?;
        let limit = if request.limit == 0 { MAX_LIMIT } else { request.limit };
        let deadline = Instant::now() + patience;
        let mut answer = self.send_request(&prepared).await?;
        let mut envelopes = Vec::new();
        loop {
            match timeout_at(deadline, answer.next()).await.map_err(|_| Error::Timeout("the history"))?? {
                Event::Envelopes(more) => {
                    envelopes.extend(more);
                    if u32::try_from(envelopes.len()).map_or(true, |count| count > limit) {
                        return Err(Error::Breach(format!("more than {limit} envelopes in a page")));
                    }
                }
                Event::Complete(Completion::Failure { error, .. }) => return Err(Error::Refused(error)),
                Event::Complete(Completion::Success { request, last, cursor }) => {
                    return Ok(Page { request, envelopes, last, cursor });
                }
            }
        }
    }

    /// All pages, at most `most` envelopes; each page in `patience`.
    ///
    /// # Errors
    /// As [`Client::request_history`]; [`Error::Breach`] also when there are more than `most`, or a cursor does not
    /// move on.
    pub async fn request_all_history(
        &self,
        request: &MessagesRequest,
        form: &Form,
        now: u32,
        patience: Duration,
        most: usize,
    ) -> Result<Vec<WireEnvelope>, Error> {
        let mut request = request.clone();
        let mut all = Vec::new();
        loop {
            let page = Box::pin(self.request_history(&request, form, now, patience)).await?;
            all.extend(page.envelopes);
            if all.len() > most {
                return Err(Error::Breach(format!("more than {most} envelopes")));
            }
            let Some(cursor) = page.cursor else { return Ok(all) };
            if request.cursor == cursor.0 {
                return Err(Error::Breach("the cursor does not move on".to_owned()));
            }
            request.cursor = cursor.0.to_vec();
        }
    }
}

/// The answer to one request as it comes in. Dropping it ends the wait.
#[derive(Debug)]
pub struct Answer<'a> {
    client: &'a Client,
    id: RequestId,
    receiver: mpsc::Receiver<Event>,
    _turn: SemaphorePermit<'a>,
}

impl Answer<'_> {
    /// The next packet; completions of other requests are passed over. Envelopes may still come after the completion
    /// of a node that does not keep the order.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            match self.receiver.recv().await.ok_or_else(|| self.client.inbox().lost())? {
                Event::Complete(
                    Completion::Success { request, .. } | Completion::Failure { request, .. },
                ) if request != self.id => tracing::debug!("completion of another request"),
                event => return Ok(event),
            }
        }
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.client.inbox().close_history();
    }
}

#[cfg(test)]
mod tests {
    use waku_wire::{P2pRequest, keys::DEFAULT_MAILSERVER_PASSWORD};

    use super::*;

    const NOW: u32 = 1_634_567_890;
    const V40: &str = "f9012b84616d8704328400000000b9011c54cd18ea005c7c36b2cdb7db764981e217cc4231c148a6f247a3c3259953ea95eb2ad5e2bd17a3350e6f6002d16e70c373f52b64b2c3c68fcba1eefd90cb15dd5746ed3d65367d3f92b1dcb65ccb7ccdf60ac678457621c6bbb589e7582243dbb1386599e4805cf9d71d0b849395181e76c80dec57dffc8858b6d94983418ff841d5d2cc62dffdf0b6729571f1e90c26bfc1dd163e5562f8a324756fd24d175b83076b96c9b004ddacbb56b0e645ec5edec738432b55a506024a29af2976944e1692e87db8c894d5864e7766d2772e6361934c00ade09cb46cc2d55b996d7cba6d8206e9d7676298c5d6f79e82b54095c29446ad881eac19597b188de3f1c15e49c1c26ef3fe6b127f2b5484045d2d52000102030405060708090a0b01";
    const V40_ID: &str = "83078237451f065f5e0b2515e12f4869f55e3b7f33232d80867fbb561e5d1520";

    fn k0() -> NodeKey {
        NodeKey::from_hex("d49dcf37238dc8a7aac57dc61b9fee68f0a97f062968978b9fafa7d1033d03a9").unwrap()
    }

    #[test]
    fn v40_the_canary_request_is_byte_exact() {
        let request = canary_request(NOW, 86_400, Topic::from_name("status"));
        let padding: Vec<u8> = (0..107u8).map(|i| i.wrapping_mul(7).wrapping_add(1)).collect();
        let inner = request.encode();
        assert_eq!(inner.len(), 82);
        let plain = payload::build(&inner, Padding::Bytes(&padding), Some(&k0())).unwrap();
        assert_eq!(plain.len(), 256);
        let key = SymmetricKey::from_password(DEFAULT_MAILSERVER_PASSWORD);
        let nonce = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let data = payload::encrypt_symmetric_with(&plain, &key, nonce).unwrap();
        let envelope = waku_wire::seal::seal(carry(data, NOW), 0.000_002, || true).unwrap();
        assert_eq!(hex::encode(envelope.raw()), V40);
        assert_eq!(envelope.hash().to_string(), V40_ID);
    }

    #[tokio::test]
    async fn a_prepared_encrypted_request_is_what_a_server_reads() {
        let request = canary_request(NOW, 86_400, Topic::from_name("status"));
        let key = SymmetricKey::from_password(DEFAULT_MAILSERVER_PASSWORD);
        let form = Form::Encrypted { key: key.clone(), pow: 0.002 };
        let prepared = prepare(&request, &form, &k0(), NOW).await.unwrap();
        let P2pRequest::Envelope(envelope) = P2pRequest::decode(&prepared.payload).unwrap() else {
            panic!("form A was made")
        };
        assert_eq!(envelope.hash().0, prepared.id);
        assert_eq!((envelope.expiry(), envelope.ttl(), envelope.topic()), (NOW + 50, 50, Topic::default()));
        assert!(waku_wire::pow::Pow::exact(&envelope, 0).value() >= 0.002);
        let plain = payload::decrypt_symmetric(&envelope.data(), &key).unwrap();
        assert_eq!(plain.len() % 256, 0, "padded");
        let opened = payload::parse(&plain).unwrap();
        assert_eq!(opened.source, Some(k0().public_key()));
        assert_eq!(MessagesRequest::decode(&opened.payload).unwrap(), request);
    }

    #[tokio::test]
    async fn v41_a_prepared_plain_request_is_what_a_server_reads() {
        let cursor =
            hex::decode("3b9aca00fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a839").unwrap();
        let request = MessagesRequest {
            from: NOW - 86_400,
            to: NOW,
            topics: vec![Topic::from_name("status")],
            limit: 1000,
            cursor,
            batch: true,
            ..MessagesRequest::default()
        };
        let prepared = prepare(&request, &Form::Plain, &k0(), NOW).await.unwrap();
        // The vector with this id in place of its own.
        let vector = "f85aa0303132333435363738396162636465663031323334353637383961626364656684616c355284616d86d28203e8a43b9aca00fe1436549a3c95387719b1ec481928bc9b5612edc277b5cf427ab4b831c8a83980c584cd423760"
            .replace(&hex::encode("0123456789abcdef0123456789abcdef"), &hex::encode(prepared.id));
        assert_eq!(hex::encode(&prepared.payload), vector);
    }

    #[tokio::test]
    async fn s105_a_target_out_of_reach_is_an_error() {
        let form = Form::Encrypted { key: SymmetricKey::from_bytes([1; 32]).unwrap(), pow: 1e60 };
        let started = std::time::Instant::now();
        let error = prepare(&canary_request(NOW, 1, Topic::default()), &form, &k0(), NOW).await.unwrap_err();
        assert!(matches!(error, Error::Seal(_)), "{error}");
        assert!(started.elapsed() >= WORK_TIME);
    }

    #[test]
    fn a_period_longer_than_the_epoch_starts_at_zero() {
        assert_eq!(canary_request(10, 86_400, Topic::default()).from, 0);
    }
}

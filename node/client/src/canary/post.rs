//! Posting a marked envelope and reading it back: proof that a mailserver really keeps and serves.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use waku_wire::{
    Envelope, EnvelopeHash, MessagesRequest, SymmetricKey, Topic, WireEnvelope,
    payload::{self, Padding},
};

use super::{Config, Failure};
use crate::{
    Client, Error,
    clock::unix_now,
    history::{Form, MAX_LIMIT, Page},
    seal,
};

/// The topic that heartbeats have to themselves is that of this name.
const HEARTBEAT: &str = "status-canary-heartbeat";
/// Seconds that a marked envelope lives: what the Status app gives its messages (`spec/waku-mailserver.md` §2.4).
const TTL: u32 = 15;
/// Longest search for its proof of work.
const WORK_TIME: Duration = Duration::from_secs(5);
/// First pause before a node that does not confirm is asked again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Posts and reads back; the hash of the envelope.
pub(super) async fn round_trip(
    client: &Client,
    config: &Config,
    form: &Form,
) -> Result<EnvelopeHash, Failure> {
    let settings = client.settings();
    let envelope = marked(config.pow.max(settings.pow_requirement)).await.map_err(Failure::NotPosted)?;
    let confirmation = client.post(std::slice::from_ref(&envelope)).await.map_err(Failure::NotPosted)?;
    let confirms = confirmation.is_expected();
    if confirms {
        confirmation.wait(config.timeout).await.map_err(|error| match error {
            Error::Rejected(_) => Failure::PostRejected(error),
            other => Failure::Unconfirmed(other),
        })?;
    }
    read_back(client, config, form, &envelope, confirms).await?;
    Ok(envelope.hash())
}

/// An envelope that nothing else in the world is: random mark, random key, padded to 256 bytes.
async fn marked(pow: f64) -> Result<WireEnvelope, Error> {
    let mark: [u8; 32] = rand::random();
    let key = SymmetricKey::from_bytes(rand::random()).ok_or(payload::PayloadError::Encrypt)?;
    let data = payload::encrypt_symmetric(&payload::build(&mark, Padding::Random, None)?, &key)?;
    let expiry = unix_now().saturating_add(TTL);
    let envelope =
        Envelope { expiry, ttl: TTL, topic: Topic::from_name(HEARTBEAT), data: data.into(), nonce: 0 };
    Ok(seal(envelope, pow, WORK_TIME).await?)
}

/// A node that confirmed has stored the envelope. One that does not confirm stores it at a time that it does not
/// tell, so it is asked again until the timeout.
async fn read_back(
    client: &Client,
    config: &Config,
    form: &Form,
    envelope: &WireEnvelope,
    confirmed: bool,
) -> Result<(), Failure> {
    let request = MessagesRequest {
        from: envelope.sent(),
        to: envelope.sent(),
        topics: vec![envelope.topic()],
        bloom: waku_wire::Bloom::of_topic(envelope.topic()).0.to_vec(),
        limit: MAX_LIMIT,
        batch: true,
        ..MessagesRequest::default()
    };
    let deadline = Instant::now() + config.timeout;
    let mut pause = FIRST_PAUSE;
    loop {
        let page = Box::pin(client.request_history(&request, form, unix_now(), config.timeout)).await;
        let verdict = judge(page, envelope);
        let again = matches!(verdict, Err(Failure::NotInHistory(_))) && !confirmed;
        if !again || Instant::now() + pause >= deadline {
            return verdict;
        }
        sleep(pause).await;
        pause *= 2;
    }
}

fn judge(page: Result<Page, Error>, envelope: &WireEnvelope) -> Result<(), Failure> {
    let page = page.map_err(|error| match error {
        Error::Refused(text) => Failure::Refused(text),
        other => Failure::ReadBack(other),
    })?;
    let hash = envelope.hash();
    match page.envelopes.iter().filter(|found| found.hash() == hash).count() {
        1 => Ok(()),
        0 if page.last == hash || (page.last != EnvelopeHash::ZERO && page.envelopes.is_empty()) => {
            Err(Failure::Withheld(hash))
        }
        0 => Err(Failure::NotInHistory(hash)),
        count => Err(Failure::Repeated(hash, count)),
    }
}

#[cfg(test)]
mod tests {
    use waku_wire::pow::Pow;

    use super::*;

    fn page(envelopes: &[&WireEnvelope], last: EnvelopeHash) -> Result<Page, Error> {
        let envelopes = envelopes.iter().map(|e| (*e).clone()).collect();
        Ok(Page { request: [0; 32], envelopes, last, cursor: None })
    }

    #[tokio::test]
    async fn a_marked_envelope_is_padded_worked_for_and_never_the_same() {
        let (a, b) = (marked(0.002).await.unwrap(), marked(0.002).await.unwrap());
        assert_ne!(a.hash(), b.hash());
        assert!(Pow::exact(&a, 0).value() >= 0.002);
        assert_eq!(a.data().len(), 256 + 16 + 12);
        assert_eq!((a.ttl(), a.topic()), (15, Topic::from_name(HEARTBEAT)));
    }

    #[tokio::test]
    async fn what_comes_back_is_judged() {
        let (own, other) = (marked(0.0).await.unwrap(), marked(0.0).await.unwrap());
        let code = |page| judge(page, &own).map_or_else(|failure| failure.exit_code(), |()| 0);
        assert_eq!(code(page(&[&own], own.hash())), 0);
        assert_eq!(code(page(&[&other, &own], own.hash())), 0, "others' heartbeats do not matter");
        assert_eq!(code(page(&[], EnvelopeHash::ZERO)), 14);
        // Other content, other times: another envelope.
        let data = own.data().iter().map(|byte| byte ^ 1).collect::<Vec<u8>>();
        let sealed = |expiry, ttl, data: &[u8]| {
            let (topic, data) = (own.topic(), data.to_vec().into());
            Envelope { expiry, ttl, topic, data, nonce: own.nonce() }.encode().unwrap()
        };
        assert_eq!(sealed(own.expiry(), TTL, &own.data()).hash(), own.hash());
        for changed in [
            sealed(own.expiry(), TTL, &data),
            sealed(own.expiry() + 1, TTL, &own.data()),
            sealed(own.expiry() + 1, TTL + 1, &own.data()),
        ] {
            assert_eq!(code(page(&[&changed], changed.hash())), 14);
        }
        assert_eq!(code(page(&[&other], other.hash())), 14);
        assert_eq!(code(page(&[&own, &own], own.hash())), 15);
        assert_eq!(code(Err(Error::Timeout("the history"))), 16);
        assert_eq!(code(page(&[], own.hash())), 17);
        assert_eq!(code(Err(Error::Refused("no".to_owned()))), 10);
    }
}

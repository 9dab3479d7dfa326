//! The mailserver itself: one request from its bytes to its completion.

use std::sync::Arc;
use std::time::Duration;

use archive::{Budget, History, Position, Row, Source};
use bytes::Bytes;
use enode::NodeId;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use waku_wire::{Completion, Cursor, EnvelopeHash, P2pRequest, RequestId, SymmetricKey, messages};
use zeroize::Zeroizing;

use crate::bundle::{self, Sizes};
use crate::cost::{Cost, reading};
use crate::deliver::Deliver;
use crate::failure::Failure;
use crate::judge::{self, Accepted};
use crate::limiter::Limiter;
use crate::metrics::{DeliveryFailure, Metrics};
use crate::open;
use crate::share::Share;

/// Longest time that one bundle may wait to be queued (`spec/waku-mailserver.md` §5.13).
const PUSH_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of requests that wait in all sessions together.
const QUEUED_BYTES: usize = 16 << 20;

/// The system clock in UNIX seconds, which open ranges are measured by (§2.10).
pub type Clock = Arc<dyn Fn() -> u32 + Send + Sync>;

/// The password of encrypted requests. Never printed, erased when dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// A mailserver without a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the mailserver password is empty; set WakuConfig.MailServerPassword or WakuConfig.MailServerPasswordFile"
)]
pub struct EmptyPassword;

impl Password {
    /// Takes a password.
    ///
    /// # Errors
    /// It is empty.
    pub fn new(password: Zeroizing<String>) -> Result<Self, EmptyPassword> {
        if password.is_empty() { Err(EmptyPassword) } else { Ok(Self(password)) }
    }

    fn key(&self) -> SymmetricKey {
        SymmetricKey::from_password(&self.0)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Limits of a mailserver.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Config {
    /// Proof of work of encrypted requests (`WakuConfig.MinimumPoW`); 0 or less: none.
    pub minimum_pow: f64,
    /// Largest packet in bytes (`WakuConfig.MaxMessageSize`).
    pub max_message_size: u32,
    /// Shortest time between two requests of one peer (`WakuConfig.MailServerRateLimit`, in seconds); zero: none.
    pub rate_limit: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { minimum_pow: 0.000_002, max_message_size: 1 << 20, rate_limit: Duration::ZERO }
    }
}

/// Serves history. One a node; shared by all sessions.
pub struct Mailserver {
    config: Config,
    sizes: Sizes,
    history: Arc<dyn History>,
    pub(crate) metrics: Arc<Metrics>,
    clock: Clock,
    key: RwLock<SymmetricKey>,
    limiter: Mutex<Limiter>,
    share: Mutex<Share>,
    /// Permits for bytes of queued requests.
    pub(crate) queue_room: Arc<Semaphore>,
}

/// What was really sent of a page.
#[derive(Default)]
struct Sent {
    last: Option<Row>,
    /// Where the page ended before the range did; the next one goes on after it.
    end: Option<Cursor>,
}

impl Mailserver {
    /// A mailserver over `history`. Blocks some 20 ms: the key is derived from the password.
    #[must_use]
    pub fn new(
        config: Config,
        password: &Password,
        history: Arc<dyn History>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Self {
            sizes: Sizes::new(config.max_message_size),
            limiter: Mutex::new(Limiter::new(config.rate_limit)),
            share: Mutex::new(Share::new(Instant::now())),
            key: RwLock::new(password.key()),
            queue_room: Arc::new(Semaphore::new(QUEUED_BYTES)),
            config,
            history,
            metrics,
            clock,
        })
    }

    /// Replaces the password; requests that are opened from now on need the new one. Blocks some 20 ms.
    pub fn set_password(&self, password: &Password) {
        let key = password.key();
        *self.key.write() = key;
    }

    /// Changes the shortest time between two requests of one peer; zero: none.
    pub fn set_rate_limit(&self, limit: Duration) {
        self.limiter.lock().set(limit);
    }

    /// Serves one request of `peer` at `source`: bundles, then exactly one completion. Bytes that are no request at all get no answer
    /// (S78). Dropping the future ends serving.
    pub(crate) async fn serve(
        &self,
        peer: NodeId,
        source: Option<Source>,
        payload: &Bytes,
        sink: &impl Deliver,
    ) {
        let request = match P2pRequest::decode(payload) {
            Ok(request) => request,
            Err(error) => {
                tracing::debug!(%peer, %error, "history request is neither an envelope nor a request list");
                return;
            }
        };
        let id = request.id();
        let begin = Instant::now();
        let completion = match self.answer(peer, source, request, sink).await {
            Ok(sent) => success(id, &sent),
            Err(failure) => self.failure(peer, id, &failure),
        };
        if sink.complete(completion.encode()).await.is_err() {
            self.metrics.delivery_failed(DeliveryFailure::HistoricMsgResp);
        }
        self.metrics.request_ended(begin.elapsed());
    }

    /// Counts a failure and makes its completion.
    pub(crate) fn failure(&self, peer: NodeId, request: RequestId, failure: &Failure) -> Completion {
        tracing::debug!(%peer, error = %failure, "history request failed");
        failure.count(&self.metrics);
        Completion::Failure { request, error: failure.text() }
    }

    async fn answer(
        &self,
        peer: NodeId,
        source: Option<Source>,
        request: P2pRequest,
        sink: &impl Deliver,
    ) -> Result<Sent, Failure> {
        let now = (self.clock)();
        let request = match request {
            P2pRequest::Envelope(envelope) => {
                let key = self.key.read().clone();
                open::open(&envelope, &key, self.config.minimum_pow, now)?
            }
            P2pRequest::Plain { request, .. } => request,
        };
        self.metrics.attempt();
        let accepted = judge::judge(request, now)?;
        if !self.limiter.lock().allow(peer, Instant::now()) {
            return Err(Failure::RateLimit);
        }
        self.metrics.accepted(accepted.batch, &accepted.query);
        let wait = self.share.lock().wait(source, Instant::now());
        if !wait.is_zero() {
            self.metrics.delayed();
            tokio::time::sleep(wait).await;
        }
        self.send_page(accepted, source, sink).await
    }

    async fn send_page(
        &self,
        request: Accepted,
        source: Option<Source>,
        sink: &impl Deliver,
    ) -> Result<Sent, Failure> {
        let begin = Instant::now();
        let (mut sent, mut cost) = (Sent::default(), Cost::default());
        let mut left = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let mut after = request.after;
        while left > 0 {
            let asked = Instant::now();
            let turn = self.history.page(request.query.clone(), after, Budget::turn(left)).await?;
            cost.reading += asked.elapsed();
            self.share.lock().charge(source, Instant::now(), reading(turn.scanned, turn.rows.len()));
            cost.keys += turn.scanned;
            let mut rows = turn.rows;
            rows.retain(|row| self.sizes.fits(row));
            left -= rows.len();
            for bundle in bundle::split(&rows, self.sizes, request.batch) {
                self.send_bundle(bundle, sink).await?;
                cost.bytes += bundle.iter().map(|row| row.rlp.len()).sum::<usize>();
            }
            cost.envelopes += rows.len();
            sent.last = rows.pop().or(sent.last);
            after = turn.next;
            let Some(next) = after else { break };
            if cost.is_enough() {
                sent.end = Some(cursor_at(next, sent.last.as_ref()));
                break;
            }
        }
        // A full page names its end even when nothing is behind it (S92).
        if left == 0 {
            sent.end = sent.last.as_ref().map(cursor_of);
        }
        cost.log_if_slow(&request.query);
        self.metrics.page_processed(&request.query, &cost, begin.elapsed());
        Ok(sent)
    }

    async fn send_bundle(&self, bundle: &[Row], sink: &impl Deliver) -> Result<(), Failure> {
        let begin = Instant::now();
        let payload = messages::encode(bundle.iter().map(|row| &row.rlp[..]));
        match timeout(PUSH_TIMEOUT, sink.p2p_messages(payload)).await {
            Ok(Ok(())) => {
                self.metrics.bundle_sent(begin.elapsed());
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(Failure::Delivery),
        }
    }
}

fn success(request: RequestId, sent: &Sent) -> Completion {
    let last = sent.last.as_ref().map_or(EnvelopeHash::ZERO, Row::hash);
    Completion::Success { request, last, cursor: sent.end }
}

fn cursor_of(row: &Row) -> Cursor {
    Cursor::new(row.position.sent, row.hash())
}

/// The cursor of a position, which the last row that was sent may have. Otherwise no envelope has this one: what counts is
/// that the next page goes on after it.
fn cursor_at(position: Position, last: Option<&Row>) -> Cursor {
    if let Some(row) = last
        && row.position == position
    {
        return cursor_of(row);
    }
    let mut hash = EnvelopeHash::ZERO;
    if let Some(id) = hash.0.first_chunk_mut() {
        *id = position.id.0;
    }
    Cursor::new(position.sent, hash)
}

//! The canary: does a node stay connected, does it answer for its history, does it keep what is posted?
//!
//! Owns the checks of the reference's `node-canary`, its exit codes 0 to 4, and codes from 10 for what the reference
//! lets pass: an error completion, and a posted envelope that does not come back. Never prints; a [`Report`] says all.
//! Facts: `spec/waku-mailserver.md` §7.3, §9.5; `spec/operations.md` §5.1.

mod outcome;
mod post;

use std::time::{Duration, Instant};

use enode::{EnodeUrl, NodeKey};
use tokio::time::{sleep, timeout};
use waku_wire::{Completion, EnvelopeHash, SymmetricKey, Topic};

pub use outcome::{Failure, Passed};

use crate::{
    Client, Error, Options,
    clock::unix_now,
    history::{Answer, Event, Form, Prepared, canary_request},
};

/// How long the static check waits for the connection, and then for it to stand (§7.3).
const STATIC_WAIT: Duration = Duration::from_secs(5);
/// How long an announced envelope may lag behind the completion (§7.3 step 11).
const LAG: Duration = Duration::from_secs(5);

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The node accepts a connection and keeps it for five seconds.
    Static,
    /// The mailserver answers a request for one envelope and delivers what it announces.
    Mailserver {
        /// Also post a marked envelope and read it back from history.
        post: bool,
    },
}

/// Settings of one run.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node.
    pub node: EnodeUrl,
    /// What is checked.
    pub check: Check,
    /// The canary's identity: servers limit requests by it.
    pub key: NodeKey,
    /// Derived from the mailserver's password; take [`SymmetricKey::from_password`] once for many runs.
    pub mailbox: SymmetricKey,
    /// Public chat whose history is asked for.
    pub channel: String,
    /// For each of connect, response, confirmation and reading back.
    pub timeout: Duration,
    /// How far back, in seconds.
    pub period: u32,
    /// Proof of work of the request and of the posted envelope, which never falls below what the node wants.
    pub pow: f64,
}

impl Config {
    /// The reference's defaults for `node`: channel `status`, 10 s, a day, 0.000002.
    #[must_use]
    pub fn new(node: EnodeUrl, check: Check, key: NodeKey, mailbox: SymmetricKey) -> Self {
        Self {
            node,
            check,
            key,
            mailbox,
            channel: "status".to_owned(),
            timeout: Duration::from_secs(10),
            period: 86_400,
            pow: 0.000_002,
        }
    }
}

/// The verdict on one run.
#[derive(Debug)]
pub struct Report {
    /// What was found.
    pub result: Result<Passed, Failure>,
    /// From start to Waku status; `None` when it never came.
    pub connected_after: Option<Duration>,
    /// The whole run.
    pub elapsed: Duration,
}

impl Report {
    /// 0 when passed, see [`Failure::exit_code`].
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.result.as_ref().map_or_else(Failure::exit_code, |_| 0)
    }
}

/// Runs the check. Ends in about 5 s when static, else in `timeout` a step.
pub async fn run(config: &Config) -> Report {
    let start = Instant::now();
    let mut connected_after = None;
    let result = Box::pin(checked(config, start, &mut connected_after)).await;
    Report { result, connected_after, elapsed: start.elapsed() }
}

async fn checked(
    config: &Config,
    start: Instant,
    connected: &mut Option<Duration>,
) -> Result<Passed, Failure> {
    let wait = if config.check == Check::Static { STATIC_WAIT } else { config.timeout };
    let options = Options { timeout: wait, ..Options::quiet() };
    let client =
        Client::connect(&config.node, &config.key, &options).await.map_err(Failure::of_connecting)?;
    *connected = Some(start.elapsed());
    let result = match config.check {
        Check::Static => stays(&client).await,
        Check::Mailserver { post } => Box::pin(mailserver(&client, config, post)).await,
    };
    client.close().await;
    result
}

async fn stays(client: &Client) -> Result<Passed, Failure> {
    tokio::select! {
        error = client.ended() => Err(Failure::Connect(error)),
        () = sleep(STATIC_WAIT) => Ok(Passed::Static),
    }
}

async fn mailserver(client: &Client, config: &Config, post: bool) -> Result<Passed, Failure> {
    let topic = Topic::from_name(&config.channel);
    // The reference joins the chat, which tells the node what it wants live.
    client.set_topics(vec![topic]).await.map_err(Failure::Connect)?;
    let now = unix_now();
    let request = canary_request(now, config.period, topic);
    let form = Form::Encrypted { key: config.mailbox.clone(), pow: config.pow };
    let prepared = client.prepare(&request, &form, now).await.map_err(Failure::Request)?;
    let last = newest(client, &prepared, config.timeout).await?;
    let posted = if post { Some(Box::pin(post::round_trip(client, config, &form)).await?) } else { None };
    Ok(Passed::Mailserver { last: (last != EnvelopeHash::ZERO).then_some(last), posted })
}

/// Steps 8 to 11 of §7.3: the completion, and the envelope that it names.
async fn newest(client: &Client, request: &Prepared, patience: Duration) -> Result<EnvelopeHash, Failure> {
    let mut answer = client.send_request(request).await.map_err(Failure::Request)?;
    let mut received = Vec::new();
    let completion = timeout(patience, async {
        loop {
            match answer.next().await? {
                // Asked for is one; what a node sends on top is not kept.
                Event::Envelopes(envelopes) => {
                    received = envelopes.iter().take(1000).map(waku_wire::WireEnvelope::hash).collect();
                }
                Event::Complete(completion) => return Ok(completion),
            }
        }
    });
    let completion = completion.await.map_err(|_| Error::Timeout("the history")).and_then(|done| done);
    let last = match completion.map_err(Failure::NoAnswer)? {
        Completion::Failure { error, .. } => return Err(Failure::Refused(error)),
        Completion::Success { last, .. } => last,
    };
    let delivered = last == EnvelopeHash::ZERO || received.contains(&last);
    if !delivered && timeout(LAG, until_delivered(&mut answer, last)).await != Ok(true) {
        return Err(Failure::NotDelivered(last));
    }
    Ok(last)
}

/// Whether the envelope comes before the session ends.
async fn until_delivered(answer: &mut Answer<'_>, hash: EnvelopeHash) -> bool {
    while let Ok(event) = answer.next().await {
        if let Event::Envelopes(envelopes) = event
            && envelopes.iter().any(|envelope| envelope.hash() == hash)
        {
            return true;
        }
    }
    false
}

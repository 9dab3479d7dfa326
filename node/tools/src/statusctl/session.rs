//! The commands that talk to a node: connect, post, watch, history.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use enode::{EnodeUrl, NodeKey};
use futures::{StreamExt as _, stream::FuturesUnordered};
use node_client::{Client, Confirmation, Error, Options, history::Form, seal};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use waku_wire::{
    Bloom, Envelope, EnvelopeHash, MessagesRequest, ProtocolVersion, SymmetricKey, Topic, WireEnvelope,
    keys::DEFAULT_MAILSERVER_PASSWORD,
    payload::{self, Padding},
    pow::Pow,
};

use super::{Failure, print};
use crate::files;

/// Longest search for a proof of work.
const WORK_TIME: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
struct Common {
    /// The node.
    enode: EnodeUrl,
    /// Seconds for connecting and for each wait after it.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    timeout: f64,
    /// File with this client's node key; without it a fresh one.
    #[arg(long, value_name = "FILE")]
    nodekey_file: Option<PathBuf>,
    /// Versions of waku to offer.
    #[arg(long, value_delimiter = ',', default_value = "0,1", value_parser = version)]
    waku: Vec<ProtocolVersion>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let parsed = text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok();
    parsed
        .filter(|value| (0.001..=86_400.0).contains(value))
        .ok_or_else(|| "want 0.001 to 86400 seconds".to_owned())
}

fn version(text: &str) -> Result<ProtocolVersion, String> {
    match text {
        "0" => Ok(ProtocolVersion::V0),
        "1" => Ok(ProtocolVersion::V1),
        _ => Err("want 0, 1 or 0,1".to_owned()),
    }
}

impl Common {
    fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.timeout)
    }

    async fn connect(&self, options: Options) -> Result<Client, Failure> {
        let key = match &self.nodekey_file {
            Some(path) => files::read_key(path).map_err(Failure::Usage)?,
            None => NodeKey::generate(),
        };
        if self.enode.address.is_none() {
            return Err(Failure::Usage(
                "the enode has no address, want enode://<128 hex>@<host>:<port>".to_owned(),
            ));
        }
        let options = Options { versions: self.waku.clone(), timeout: self.patience(), ..options };
        Ok(Client::connect(&self.enode, &key, &options).await?)
    }
}

#[derive(Debug, Args)]
struct Topics {
    /// Topic, 8 hex digits; may be repeated.
    #[arg(long, value_name = "HEX", value_parser = topic)]
    topic: Vec<Topic>,
    /// Public chat whose topic is meant; may be repeated.
    #[arg(long, value_name = "NAME")]
    channel: Vec<String>,
}

fn topic(text: &str) -> Result<Topic, String> {
    format!("0x{}", text.strip_prefix("0x").unwrap_or(text))
        .parse()
        .map_err(|_| "want 8 hex digits".to_owned())
}

impl Topics {
    fn all(&self) -> Vec<Topic> {
        self.topic.iter().copied().chain(self.channel.iter().map(|name| Topic::from_name(name))).collect()
    }
}

/// UNIX time in milliseconds.
fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn unix_now() -> u32 {
    u32::try_from(unix_millis() / 1000).unwrap_or(u32::MAX)
}

#[derive(Debug, Args)]
pub(super) struct ConnectArguments {
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Connected<'a> {
    name: &'a str,
    node_id: String,
    caps: Vec<String>,
    version: u8,
    local_address: String,
    remote_address: String,
    pow_requirement: f64,
    confirmations: bool,
}

pub(super) async fn connect(arguments: &ConnectArguments) -> Result<(), Failure> {
    let client = arguments.common.connect(Options::quiet()).await?;
    let (info, settings) = (client.info(), client.settings());
    print(&Connected {
        name: &info.name,
        node_id: info.id.to_string(),
        caps: info.capabilities.iter().map(|c| format!("{}/{}", c.name, c.version)).collect(),
        version: u8::from(client.version() == ProtocolVersion::V1),
        local_address: info.local_addr.to_string(),
        remote_address: info.remote_addr.to_string(),
        pow_requirement: settings.pow_requirement,
        confirmations: settings.confirmations,
    })?;
    client.close().await;
    Ok(())
}

#[derive(Debug, Args)]
pub(super) struct PostArguments {
    #[command(flatten)]
    common: Common,
    /// Topic, 8 hex digits; the payload is sent as it is.
    #[arg(long, value_name = "HEX", value_parser = topic, required_unless_present = "channel")]
    topic: Option<Topic>,
    /// Public chat; the payload is padded, signed and encrypted for it.
    #[arg(long, value_name = "NAME", conflicts_with = "topic")]
    channel: Option<String>,
    /// Text; 64 random bytes for each envelope when not given.
    #[arg(long)]
    payload: Option<String>,
    /// Proof of work to reach.
    #[arg(long, default_value_t = 0.002)]
    pow: f64,
    /// Seconds to live.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=604_800))]
    ttl: u32,
    /// Wait until the node confirms each envelope.
    #[arg(long)]
    confirm: bool,
    /// How many envelopes; 0: until the connection ends.
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Envelopes that wait for their confirmation at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    in_flight: u16,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    hash: String,
    raw: String,
    topic: String,
    sent: u32,
    expiry: u32,
    pow: f64,
    confirmed: bool,
    posted_at: u64,
    confirmed_at: Option<u64>,
}

/// Makes the envelopes of one command.
struct Maker<'a> {
    arguments: &'a PostArguments,
    topic: Topic,
    key: Option<SymmetricKey>,
    signer: NodeKey,
}

impl Maker<'_> {
    async fn make(&self) -> Result<WireEnvelope, Error> {
        let random: [u8; 64] = rand::random();
        let text = self.arguments.payload.as_ref().map_or(random.as_slice(), |text| text.as_bytes());
        let data = match &self.key {
            Some(key) => {
                let plain = payload::build(text, Padding::Random, Some(&self.signer))?;
                Bytes::from(payload::encrypt_symmetric(&plain, key)?)
            }
            None => Bytes::copy_from_slice(text),
        };
        let ttl = self.arguments.ttl;
        let envelope =
            Envelope { expiry: unix_now().saturating_add(ttl), ttl, topic: self.topic, data, nonce: 0 };
        Ok(seal(envelope, self.arguments.pow, WORK_TIME).await?)
    }
}

pub(super) async fn post(arguments: &PostArguments) -> Result<(), Failure> {
    let (topic, key) = match (&arguments.topic, &arguments.channel) {
        (Some(topic), _) => (*topic, None),
        (None, Some(name)) => (Topic::from_name(name), Some(SymmetricKey::from_password(name))),
        (None, None) => return Err(Failure::Usage("give --topic or --channel".to_owned())),
    };
    let maker = Maker { arguments, topic, key, signer: NodeKey::generate() };
    let client = arguments.common.connect(Options::quiet()).await?;
    if arguments.confirm && !client.settings().confirmations {
        return Err(Error::NoConfirmations.into());
    }
    Box::pin(post_all(&client, &maker)).await?;
    client.close().await;
    Ok(())
}

async fn post_all(client: &Client, maker: &Maker<'_>) -> Result<(), Failure> {
    let (count, most) = (maker.arguments.count, usize::from(maker.arguments.in_flight));
    let mut waiting = FuturesUnordered::new();
    let mut begun = 0;
    loop {
        while waiting.len() < most && (count == 0 || begun < count) {
            let envelope = maker.make().await?;
            let posted_at = unix_millis();
            let confirmation = client.post(std::slice::from_ref(&envelope)).await?;
            waiting.push(settle(maker.arguments, envelope, confirmation, posted_at));
            begun += 1;
        }
        let Some(settled) = waiting.next().await else { return Ok(()) };
        print(&settled?)?;
    }
}

async fn settle(
    arguments: &PostArguments,
    envelope: WireEnvelope,
    confirmation: Confirmation,
    posted_at: u64,
) -> Result<Posted, Failure> {
    let confirmed_at = if arguments.confirm {
        confirmation.wait(arguments.common.patience()).await?;
        Some(unix_millis())
    } else {
        None
    };
    Ok(Posted {
        hash: envelope.hash().to_string(),
        raw: hex::encode(envelope.raw()),
        topic: hex::encode(envelope.topic().0),
        sent: envelope.sent(),
        expiry: envelope.expiry(),
        pow: Pow::exact(&envelope, 0).value(),
        confirmed: confirmed_at.is_some(),
        posted_at,
        confirmed_at,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    r#type: &'static str,
    hash: String,
    topic: String,
    sent: u32,
    expiry: u32,
    ttl: u32,
    pow: f64,
    data: String,
    raw: String,
    received_at: u64,
}

impl Received {
    fn new(envelope: &WireEnvelope) -> Self {
        Self {
            r#type: "envelope",
            hash: envelope.hash().to_string(),
            topic: hex::encode(envelope.topic().0),
            sent: envelope.sent(),
            expiry: envelope.expiry(),
            ttl: envelope.ttl(),
            pow: Pow::exact(envelope, 0).value(),
            data: hex::encode(envelope.data()),
            raw: hex::encode(envelope.raw()),
            received_at: unix_millis(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct WatchArguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    topics: Topics,
    /// End after this many envelopes, with code 3 if fewer come in time; 0: watch until the timeout.
    #[arg(long, default_value_t = 0)]
    count: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Watching {
    r#type: &'static str,
    node_id: String,
}

pub(super) async fn watch(arguments: &WatchArguments) -> Result<(), Failure> {
    let client = arguments.common.connect(Options::watching(arguments.topics.all())).await?;
    let mut envelopes = client.watch();
    print(&Watching { r#type: "watching", node_id: client.info().id.to_string() })?;
    let deadline = Instant::now() + arguments.common.patience();
    let mut seen = 0;
    while arguments.count == 0 || seen < arguments.count {
        match timeout_at(deadline, envelopes.next()).await {
            Ok(envelope) => print(&Received::new(&envelope?))?,
            Err(_) if arguments.count == 0 => break,
            Err(_) => return Err(Failure::TooFew(seen, arguments.count)),
        }
        seen += 1;
    }
    drop(envelopes);
    client.close().await;
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RequestForm {
    /// A list in the clear, as the Status app sends it.
    Plain,
    /// A signed and encrypted envelope, as the canary sends it.
    Encrypted,
}

#[derive(Debug, Args)]
pub(super) struct HistoryArguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    topics: Topics,
    /// First UNIX second wanted; a day before --to when not given.
    #[arg(long)]
    from: Option<u32>,
    /// Last UNIX second wanted; now + 10 when not given.
    #[arg(long)]
    to: Option<u32>,
    /// Envelopes a page; 0 is the most, 1000.
    #[arg(long, default_value_t = 1000)]
    limit: u32,
    /// Where to go on, from an earlier completion.
    #[arg(long, value_name = "HEX", default_value = "", hide_default_value = true)]
    cursor: String,
    /// Follow the cursors to the end.
    #[arg(long)]
    all: bool,
    /// Request form.
    #[arg(long, value_enum, default_value_t = RequestForm::Plain)]
    form: RequestForm,
    /// File with the mailserver's password for the encrypted form; the network's default when not given.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Proof of work of the encrypted form.
    #[arg(long, default_value_t = 0.002)]
    pow: f64,
}

impl HistoryArguments {
    fn request(&self) -> Result<MessagesRequest, Failure> {
        let to = self.to.unwrap_or_else(|| unix_now().saturating_add(10));
        let topics = self.topics.all();
        let bloom = if topics.is_empty() { Bloom::FULL } else { Bloom::of_topics(topics.iter().copied()) };
        Ok(MessagesRequest {
            from: self.from.unwrap_or_else(|| to.saturating_sub(86_400)),
            to,
            bloom: bloom.0.to_vec(),
            topics,
            limit: self.limit,
            cursor: hex::decode(&self.cursor)
                .map_err(|_| Failure::Usage("--cursor: want hex digits".to_owned()))?,
            batch: true,
            ..MessagesRequest::default()
        })
    }

    fn request_form(&self) -> Result<Form, Failure> {
        if self.form == RequestForm::Plain {
            return Ok(Form::Plain);
        }
        let password = match &self.password_file {
            Some(path) => files::read_line(path, "password").map_err(Failure::Usage)?,
            None => DEFAULT_MAILSERVER_PASSWORD.to_owned(),
        };
        Ok(Form::Encrypted { key: SymmetricKey::from_password(&password), pow: self.pow })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Completed {
    r#type: &'static str,
    request_id: String,
    last: String,
    cursor: String,
    envelopes: usize,
    /// Whether the envelope that the completion names as the last was delivered.
    last_received: bool,
}

pub(super) async fn history(arguments: &HistoryArguments) -> Result<(), Failure> {
    let (mut request, form) = (arguments.request()?, arguments.request_form()?);
    let client = arguments.common.connect(Options::quiet()).await?;
    loop {
        let patience = arguments.common.patience();
        let page = Box::pin(client.request_history(&request, &form, unix_now(), patience)).await?;
        for envelope in &page.envelopes {
            print(&Received::new(envelope))?;
        }
        let received = page.envelopes.iter().any(|envelope| envelope.hash() == page.last);
        print(&Completed {
            r#type: "completion",
            request_id: hex::encode(page.request),
            last: page.last.to_string(),
            cursor: page.cursor.map(|cursor| hex::encode(cursor.0)).unwrap_or_default(),
            envelopes: page.envelopes.len(),
            last_received: page.last != EnvelopeHash::ZERO && received,
        })?;
        match page.cursor {
            Some(cursor) if arguments.all && request.cursor != cursor.0 => request.cursor = cursor.0.to_vec(),
            _ => break,
        }
    }
    client.close().await;
    Ok(())
}

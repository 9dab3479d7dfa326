//! Connecting, and the commands that only look: connect, watch.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use enode::{EnodeUrl, NodeKey};
use node_client::{Client, Options};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use waku_wire::{ProtocolVersion, Topic, WireEnvelope, pow::Pow};

use super::{Failure, print};
use crate::files;

#[derive(Debug, Args)]
pub(super) struct Common {
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

pub(super) fn seconds(text: &str) -> Result<f64, String> {
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
    /// To a node without further options.
    pub(super) fn of(enode: EnodeUrl, timeout: f64) -> Self {
        Self { enode, timeout, nodekey_file: None, waku: vec![ProtocolVersion::V0, ProtocolVersion::V1] }
    }

    pub(super) fn enode(&self) -> &EnodeUrl {
        &self.enode
    }

    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.timeout)
    }

    pub(super) async fn connect(&self, options: Options) -> Result<Client, Failure> {
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
pub(super) struct Topics {
    /// Topic, 8 hex digits; may be repeated.
    #[arg(long, value_name = "HEX", value_parser = topic)]
    topic: Vec<Topic>,
    /// Public chat whose topic is meant; may be repeated.
    #[arg(long, value_name = "NAME")]
    channel: Vec<String>,
}

pub(super) fn topic(text: &str) -> Result<Topic, String> {
    format!("0x{}", text.strip_prefix("0x").unwrap_or(text))
        .parse()
        .map_err(|_| "want 8 hex digits".to_owned())
}

impl Topics {
    pub(super) fn all(&self) -> Vec<Topic> {
        self.topic.iter().copied().chain(self.channel.iter().map(|name| Topic::from_name(name))).collect()
    }
}

/// UNIX time in milliseconds.
pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn unix_now() -> u32 {
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
    /// Node id of this side.
    #[serde(rename = "self")]
    own_id: String,
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
        own_id: client.own_id().to_string(),
    })?;
    client.close().await;
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Received {
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
    pub(super) fn new(envelope: &WireEnvelope) -> Self {
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
    local_address: String,
    remote_address: String,
    /// Node id of this side.
    #[serde(rename = "self")]
    own_id: String,
}

pub(super) async fn watch(arguments: &WatchArguments) -> Result<(), Failure> {
    let client = arguments.common.connect(Options::watching(arguments.topics.all())).await?;
    let mut envelopes = client.watch();
    let info = client.info();
    print(&Watching {
        r#type: "watching",
        node_id: info.id.to_string(),
        local_address: info.local_addr.to_string(),
        remote_address: info.remote_addr.to_string(),
        own_id: client.own_id().to_string(),
    })?;
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

//! Posting envelopes, one or many, confirmed or not.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use enode::NodeKey;
use futures::{StreamExt as _, stream::FuturesUnordered};
use node_client::{Client, Confirmation, Error, Options, seal};
use serde::Serialize;
use waku_wire::{
    Envelope, SymmetricKey, Topic, WireEnvelope,
    payload::{self, Padding},
    pow::Pow,
};

use super::{
    Failure, print,
    session::{Common, topic, unix_millis, unix_now},
};

/// Longest search for a proof of work.
const WORK_TIME: Duration = Duration::from_secs(5);

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

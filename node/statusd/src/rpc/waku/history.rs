//! The `wakuext_*` that a mailserver operator uses: asking a mailserver for history, which then reaches the filters that
//! allow it. Facts: `spec/operations.md` §2.5, `spec/waku-mailserver.md` §7.1.

use std::sync::Arc;

use enode::{EnodeUrl, NodeId};
use futures::FutureExt as _;
use json_rpc::failure;
use jsonrpsee::{core::RegisterMethodError, types::ErrorObjectOwned};
use serde::Deserialize;
use waku_wire::{
    Bloom, Envelope, MessagesRequest, Topic,
    payload::{self, Padding},
};

use super::WakuApi;
use crate::rpc::{
    Backend,
    registry::{Access, Kind, Param, Registry, Spec},
};

/// Seconds that a request lives.
const TTL: u32 = 50;
/// Longest search for its proof of work, seconds.
const WORK_TIME: u32 = 5;
/// Seconds before `to` that are asked for when `from` is not given.
const DAY: u32 = 86_400;
/// Mailservers that are known at most.
const MAX_MAILSERVERS: usize = 1000;
/// Length of a cursor in bytes.
const CURSOR_BYTES: usize = 36;

/// What `wakuext_requestMessages` takes. `timeout` and `force` only matter to the app's signals, which there are none of.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HistoryRequest {
    /// enode; empty: the first known one that is connected.
    mail_server_peer: String,
    from: u32,
    to: u32,
    limit: u32,
    /// Hex digits.
    cursor: String,
    topic: Topic,
    topics: Vec<Topic>,
    /// Id of the mailserver's symmetric key; empty: encrypted to its public key.
    #[serde(rename = "symKeyID")]
    sym_key_id: String,
}

/// Adds the module.
pub(in crate::rpc) fn register(
    registry: &mut Registry,
    api: &Arc<WakuApi>,
    node: &Arc<dyn Backend>,
) -> Result<(), RegisterMethodError> {
    registry.method(
        &Spec {
            name: "wakuext_echo",
            access: Access::Open,
            summary: "The same text.",
            params: &[Param { name: "text", kind: Kind::Text, required: true }],
            result: Kind::Text,
        },
        |args| Ok(args.text(0).to_owned()),
    )?;
    let update = Arc::clone(api);
    registry.method(
        &Spec {
            name: "wakuext_updateMailservers",
            access: Access::Privileged,
            summary: "Makes these the known mailservers, the first that is connected the one that is asked.",
            params: &[Param { name: "enodes", kind: Kind::Texts, required: true }],
            result: Kind::Null,
        },
        move |args| update.know(&args.parse::<Vec<String>>(0)?),
    )?;
    let first = Arc::clone(api);
    registry.method(
        &Spec {
            name: "wakuext_setMailserver",
            access: Access::Privileged,
            summary: "Puts a mailserver before the known ones: while it is connected it is the one that is asked.",
            params: &[Param { name: "enode", kind: Kind::Text, required: true }],
            result: Kind::Null,
        },
        move |args| first.prefer(args.text(0)),
    )?;
    let (requester, node) = (Arc::clone(api), Arc::clone(node));
    registry.async_method(
        &Spec {
            name: "wakuext_requestMessages",
            access: Access::Privileged,
            summary: "Asks a connected mailserver for history, which reaches filters with allowP2P; the request's id.",
            params: &[Param { name: "request", kind: Kind::Object, required: true }],
            result: Kind::Text,
        },
        move |args| {
            let (api, node) = (Arc::clone(&requester), Arc::clone(&node));
            async move { api.request(args.parse(0)?, node.as_ref()).await }.boxed()
        },
    )
}

fn parse(text: &str) -> Result<EnodeUrl, ErrorObjectOwned> {
    enode::parse_node(text).map_err(|error| failure(format!("invalid mailServerPeer value: {error}")))
}

impl WakuApi {
    fn know(&self, enodes: &[String]) -> Result<(), ErrorObjectOwned> {
        if enodes.len() > MAX_MAILSERVERS {
            return Err(failure(format!("{} mailservers; at most {MAX_MAILSERVERS} are kept", enodes.len())));
        }
        let known = enodes.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
        *self.mailservers.lock() = known;
        Ok(())
    }

    fn prefer(&self, enode: &str) -> Result<(), ErrorObjectOwned> {
        let preferred = parse(enode)?;
        let mut known = self.mailservers.lock();
        known.retain(|other| other.public_key != preferred.public_key);
        known.insert(0, preferred);
        known.truncate(MAX_MAILSERVERS);
        Ok(())
    }

    async fn request(&self, asked: HistoryRequest, node: &dyn Backend) -> Result<String, ErrorObjectOwned> {
        let now = (self.clock)();
        let request = request(&asked, now)?;
        let server = match asked.mail_server_peer.as_str() {
            "" => self.connected(node)?,
            text => parse(text)?,
        };
        let plain = payload::build(&request.encode(), Padding::Random, Some(&self.own_key));
        let key = match asked.sym_key_id.as_str() {
            "" => None,
            id => Some(self.keys.lock().symmetric(id)?.clone()),
        };
        let data = plain.and_then(|plain| match key {
            Some(key) => payload::encrypt_symmetric(&plain, &key),
            None => payload::encrypt_asymmetric(&plain, &server.public_key),
        });
        let data = data.map_err(|error| failure(error.to_string()))?.into();
        let expiry = now.saturating_add(TTL);
        let envelope = Envelope { expiry, ttl: TTL, topic: Topic::default(), data, nonce: 0 };
        let envelope = self.seal(envelope, self.waku.min_pow(), WORK_TIME).await?;
        let sent = self.waku.request_history(server.public_key.node_id(), envelope.raw().clone()).await;
        sent.map_err(|error| failure(error.to_string()))?;
        Ok(format!("0x{}", envelope.hash()))
    }

    /// The first known mailserver that is connected.
    fn connected(&self, node: &dyn Backend) -> Result<EnodeUrl, ErrorObjectOwned> {
        let peers: Vec<String> = node.peers().into_iter().map(|peer| peer.id).collect();
        let is_connected = |id: NodeId| peers.contains(&id.to_string());
        let known = self.mailservers.lock();
        let first = known.iter().find(|known| is_connected(known.public_key.node_id()));
        first.cloned().ok_or_else(|| {
            failure(
                "no known mailserver is connected: give mailServerPeer, or wakuext_updateMailservers first",
            )
        })
    }
}

fn request(asked: &HistoryRequest, now: u32) -> Result<MessagesRequest, ErrorObjectOwned> {
    let to = if asked.to == 0 { now } else { asked.to };
    let from = if asked.from == 0 { to.saturating_sub(DAY) } else { asked.from };
    if from > to {
        return Err(failure(format!("Query range is invalid: from > to ({from} > {to})")));
    }
    let cursor = hex::decode(asked.cursor.strip_prefix("0x").unwrap_or(&asked.cursor))
        .map_err(|_| failure("cursor is not hex digits"))?;
    if !cursor.is_empty() && cursor.len() != CURSOR_BYTES {
        return Err(failure(format!("cursor has {} bytes, want 0 or {CURSOR_BYTES}", cursor.len())));
    }
    let bloom = match asked.topics.as_slice() {
        [] => Bloom::of_topic(asked.topic),
        topics => Bloom::of_topics(topics.iter().copied()),
    };
    Ok(MessagesRequest {
        from,
        to,
        bloom: bloom.0.to_vec(),
        topics: asked.topics.clone(),
        limit: asked.limit,
        cursor,
        batch: true,
        ..MessagesRequest::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u32 = 1_700_000_000;

    fn made(asked: serde_json::Value) -> Result<MessagesRequest, String> {
        let asked = serde_json::from_value(asked).unwrap();
        request(&asked, NOW).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn ops_2_5_the_mailserver_that_is_set_comes_first() {
        let metrics = waku::Metrics::register(&prometheus::Registry::new()).unwrap();
        let waku = waku::Waku::new(waku::Config::new(Arc::new(|| NOW)), None, None, metrics);
        let api = WakuApi::new(waku, enode::NodeKey::generate(), || NOW);
        let new = || format!("enode://{}@127.0.0.1:1", enode::NodeKey::generate().public_key());
        let (a, b, c) = (new(), new(), new());
        let known = || api.mailservers.lock().iter().map(ToString::to_string).collect::<Vec<_>>();
        api.know(&[a.clone(), b.clone()]).unwrap();
        api.prefer(&b).unwrap();
        assert_eq!(known(), [b.clone(), a.clone()]);
        api.prefer(&c).unwrap();
        assert_eq!(known(), [c, b, a]);
        api.know(&vec![new(); MAX_MAILSERVERS]).unwrap();
        let last = new();
        api.prefer(&last).unwrap();
        assert_eq!((known().len(), &known()[0]), (MAX_MAILSERVERS, &last));
    }

    #[test]
    fn waku_7_1_defaults_and_topics() {
        let request = made(json!({})).unwrap();
        assert_eq!((request.from, request.to, request.limit, request.batch), (NOW - DAY, NOW, 0, true));
        assert_eq!(request.bloom, Bloom::of_topic(Topic::default()).0);
        assert_eq!((request.topics.len(), request.cursor.len()), (0, 0));
        assert_eq!(made(json!({"to": 100})).unwrap().from, 0);
        let topics = [Topic([1, 2, 3, 4]), Topic([5, 6, 7, 8])];
        let request = made(json!({"topic": "0x09090909", "topics": ["0x01020304", "0x05060708"],
            "from": 1, "to": 2, "limit": 7, "cursor": "ab".repeat(36), "timeout": 10, "force": true}));
        let request = request.unwrap();
        assert_eq!((request.from, request.to, request.limit), (1, 2, 7));
        assert_eq!(
            (request.bloom.as_slice(), request.topics.as_slice()),
            (&Bloom::of_topics(topics).0[..], &topics[..])
        );
        assert_eq!(request.cursor, [0xab; 36]);
    }

    #[test]
    fn waku_7_1_what_is_refused() {
        assert_eq!(
            made(json!({"from": 2, "to": 1})).unwrap_err(),
            "Query range is invalid: from > to (2 > 1)"
        );
        assert_eq!(made(json!({"cursor": "ab"})).unwrap_err(), "cursor has 1 bytes, want 0 or 36");
        assert_eq!(made(json!({"cursor": "xy"})).unwrap_err(), "cursor is not hex digits");
    }
}

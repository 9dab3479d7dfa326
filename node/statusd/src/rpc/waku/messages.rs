//! The JSON of `waku_*`: what is posted, what a filter looks for, and what it finds.
//!
//! Byte fields are base64 and topics `0x` with 8 hex digits, as in the reference (`spec/operations.md` §2.4).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use waku::FilterMessage;
use waku_wire::Topic;

use super::keys::uncompressed;
use crate::rpc::number::GoFloat;

/// Bytes that are base64 in JSON; `null` is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Base64(pub(super) Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        STANDARD.decode(text).map(Self).map_err(|error| D::Error::custom(format!("not base64: {error}")))
    }
}

/// What `waku_post` takes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NewMessage {
    /// Id of the symmetric key; or else [`Self::pub_key`].
    #[serde(rename = "symKeyID")]
    pub(super) sym_key_id: String,
    /// The recipient's public key, 65 bytes.
    pub(super) pub_key: Base64,
    /// Id of the key pair that signs.
    pub(super) sig: String,
    /// Seconds; 0 stands for 50.
    pub(super) ttl: u32,
    pub(super) topic: Topic,
    pub(super) payload: Base64,
    /// As it is; random when empty.
    pub(super) padding: Base64,
    /// Longest search for the proof of work, seconds.
    pub(super) pow_time: u32,
    pub(super) pow_target: f64,
    /// enode of the one peer that is to get it, past the network.
    pub(super) target_peer: String,
}

/// What `waku_newMessageFilter` and `waku_subscribe` take.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Criteria {
    /// Id of the symmetric key; or else [`Self::private_key_id`].
    #[serde(rename = "symKeyID")]
    pub(super) sym_key_id: String,
    /// Id of the recipient's key pair.
    #[serde(rename = "privateKeyID")]
    pub(super) private_key_id: String,
    /// The public key that must have signed, 65 bytes; anybody when empty.
    pub(super) sig: Base64,
    pub(super) min_pow: f64,
    /// Any when empty.
    pub(super) topics: Vec<Topic>,
    #[serde(rename = "allowP2P")]
    pub(super) allow_p2p: bool,
}

/// What `waku_getFilterMessages` and `waku_subscription` give.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Message {
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<Base64>,
    ttl: u32,
    timestamp: u32,
    topic: Topic,
    payload: Base64,
    padding: Base64,
    pow: GoFloat,
    hash: Base64,
    #[serde(rename = "recipientPublicKey", skip_serializing_if = "Option::is_none")]
    recipient: Option<Base64>,
    /// Came as history or directly; the reference's name.
    #[serde(rename = "bool", skip_serializing_if = "std::ops::Not::not")]
    p2p: bool,
}

impl From<FilterMessage> for Message {
    fn from(found: FilterMessage) -> Self {
        let FilterMessage { envelope, payload, pow, recipient, p2p } = found;
        Self {
            sig: payload.source.map(|key| Base64(uncompressed(&key))),
            ttl: envelope.ttl(),
            timestamp: envelope.sent(),
            topic: envelope.topic(),
            payload: Base64(payload.payload),
            padding: Base64(payload.padding),
            pow: GoFloat(pow),
            hash: Base64(envelope.hash().0.to_vec()),
            recipient: recipient.map(|key| Base64(uncompressed(&key))),
            p2p,
        }
    }
}

#[cfg(test)]
mod tests {
    use enode::NodeKey;
    use serde_json::json;
    use waku_wire::{Envelope, payload::Payload};

    use super::*;

    const K0: &str = "d49dcf37238dc8a7aac57dc61b9fee68f0a97f062968978b9fafa7d1033d03a9";
    const K0_BASE64: &str =
        "BILE1ygQxD81xX8Csba7AJmhzVikTEshDM0Q8yYzDOQfBhAUTsd+KANvfrCc+H6rq7ZZxY0amoMqMJfnDsfH7O8=";

    fn found() -> FilterMessage {
        let envelope = Envelope {
            expiry: 1_000_050,
            ttl: 50,
            topic: Topic([0xcd, 0x42, 0x37, 0x60]),
            data: vec![1, 2, 3].into(),
            nonce: 0,
        };
        FilterMessage {
            envelope: envelope.encode().unwrap(),
            payload: Payload { payload: b"hello".to_vec(), padding: vec![0xaa, 0xbb], source: None },
            pow: 0.000_002,
            recipient: None,
            p2p: false,
        }
    }

    #[test]
    fn ops_2_4_a_message_in_its_exact_text() {
        let hash = STANDARD.encode(found().envelope.hash().0);
        let text = serde_json::to_string(&Message::from(found())).unwrap();
        assert_eq!(
            text,
            format!(
                r#"{{"ttl":50,"timestamp":1000000,"topic":"0xcd423760","payload":"aGVsbG8=","padding":"qrs=","pow":0.000002,"hash":"{hash}"}}"#
            )
        );
    }

    #[test]
    fn ops_2_4_a_signed_message_to_a_key_that_came_directly() {
        let key = NodeKey::from_hex(K0).unwrap().public_key();
        let mut found = found();
        found.payload.source = Some(key);
        found.recipient = Some(key);
        found.p2p = true;
        let message = serde_json::to_value(Message::from(found)).unwrap();
        let keys: Vec<&str> = message.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "sig",
                "ttl",
                "timestamp",
                "topic",
                "payload",
                "padding",
                "pow",
                "hash",
                "recipientPublicKey",
                "bool"
            ]
        );
        assert_eq!(message["bool"], true);
        assert_eq!((&message["sig"], &message["recipientPublicKey"]), (&json!(K0_BASE64), &json!(K0_BASE64)));
    }

    #[test]
    fn what_is_posted_is_read_by_the_references_names() {
        let message: NewMessage = serde_json::from_value(json!({"symKeyID": "a", "pubKey": null, "sig": "b",
            "ttl": 7, "topic": "0x01020304", "payload": "aGVsbG8=", "padding": "qrs=", "powTime": 2,
            "powTarget": 0.01, "targetPeer": "enode://"}))
        .unwrap();
        assert_eq!((message.sym_key_id.as_str(), message.sig.as_str(), message.ttl), ("a", "b", 7));
        assert_eq!((message.topic, message.payload.0.as_slice()), (Topic([1, 2, 3, 4]), b"hello".as_slice()));
        assert_eq!((message.padding.0, message.pow_time, message.pow_target), (vec![0xaa, 0xbb], 2, 0.01));
        assert_eq!((message.pub_key.0.len(), message.target_peer.as_str()), (0, "enode://"));
        for bad in [
            json!({"payload": "0x1"}),
            json!({"topic": "0x0102"}),
            json!({"ttl": -1}),
            json!({"powTarget": "1"}),
        ] {
            assert!(serde_json::from_value::<NewMessage>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn criteria_are_read_by_the_references_names() {
        let criteria: Criteria = serde_json::from_value(json!({"symKeyID": "a", "privateKeyID": "b",
            "sig": "BAE=", "minPow": 0.5, "topics": ["0x01020304"], "allowP2P": true}))
        .unwrap();
        assert_eq!((criteria.sym_key_id.as_str(), criteria.private_key_id.as_str()), ("a", "b"));
        assert_eq!((criteria.sig.0, criteria.min_pow), (vec![4, 1], 0.5));
        assert_eq!((criteria.topics, criteria.allow_p2p), (vec![Topic([1, 2, 3, 4])], true));
    }
}

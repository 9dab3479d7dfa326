//! The JSON document a node serves at `GET /status` on its metrics port.
//!
//! Owns the type that the node serialises and that the operator and the tools read, and the bounded parsing of
//! it. It must never do I/O: fetching is the caller's. Facts: design "The operator", data channel.

use serde::{Deserialize, Serialize};

/// The most bytes of a `/status` body that [`NodeStatus::parse`] looks at. A node's own document is below 4 KiB.
pub const MAX_STATUS_BYTES: usize = 64 * 1024;

/// What a node says about itself at `/status`.
///
/// Unknown fields are ignored and absent optional fields are `None`, so that operator and node of neighbouring
/// versions understand each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Version of the node program, without a leading `v`.
    pub version: String,
    /// Node id, Keccak-256 of the public key: 64 lower-case hex digits.
    pub node_id: String,
    /// Public key X ++ Y: 128 lower-case hex digits.
    pub public_key: String,
    /// The enode URL under which the node is reachable; `None` until an address is known.
    #[serde(default)]
    pub enode: Option<String>,
    /// Hash of the configuration the running process was started with, as the operator named it; empty when
    /// the node was not started from a hashed configuration.
    #[serde(default)]
    pub config_hash: String,
    /// The address the node advertises now; `None` until one is known.
    #[serde(default)]
    pub advertised: Option<Advertised>,
    /// Connected peers.
    pub peers: u32,
    /// What `/livez` answers: the process makes progress.
    pub live: bool,
    /// What `/readyz` answers: the node can serve.
    pub ready: bool,
    /// Why `ready` is false, one plain line each; empty when ready.
    #[serde(default)]
    pub not_ready_reasons: Vec<String>,
    /// The history archive; `None` on a node without mailserver.
    #[serde(default)]
    pub archive: Option<ArchiveStatus>,
    /// Whether history is complete; `None` on a node without mailserver.
    #[serde(default)]
    pub history: Option<HistoryStatus>,
    /// The volume under the data directory; `None` when it cannot be measured.
    #[serde(default)]
    pub disk: Option<DiskStatus>,
    /// Whether the kernel says that something keeps its clock in step; `None` when it does not say. Only a warning.
    #[serde(default)]
    pub clock_synchronized: Option<bool>,
}

/// The address a node advertises to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advertised {
    /// IP address literal, IPv6 without brackets.
    pub address: String,
    /// TCP port, 1 to 65535.
    pub tcp_port: u16,
    /// UDP port, 0 when there is none.
    pub udp_port: u16,
}

/// What the history archive holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveStatus {
    /// UNIX second below which nothing is served any more; 0 when nothing was ever evicted.
    pub floor: u32,
    /// `sent` of the oldest envelope, UNIX seconds; `None` when empty.
    #[serde(default)]
    pub oldest: Option<u32>,
    /// `sent` of the newest envelope, UNIX seconds; `None` when empty.
    #[serde(default)]
    pub newest: Option<u32>,
    /// Number of stored envelopes (may be an estimate).
    pub envelopes: u64,
    /// Bytes on disk (may be an estimate).
    pub bytes: u64,
    /// The store, or its spool, takes a durable write.
    pub writable: bool,
}

/// Whether a mailserver has what its replicas have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryStatus {
    /// A replica agreed, none is configured, or none agreed in time.
    pub complete: bool,
    /// Which of these, in a plain line.
    pub reason: String,
    /// The last second up to which a replica agreed since the start, UNIX seconds.
    #[serde(default)]
    pub agreed_to: Option<u32>,
}

/// The volume under the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskStatus {
    /// Size of the file system in bytes.
    pub total_bytes: u64,
    /// Bytes free for an unprivileged process.
    pub free_bytes: u64,
}

/// Why a `/status` body is not a [`NodeStatus`].
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The body is longer than [`MAX_STATUS_BYTES`].
    #[error(
        "status document has {0} bytes, more than the {MAX_STATUS_BYTES} allowed: is this a status node?"
    )]
    TooLong(usize),
    /// The body is not the JSON of a [`NodeStatus`].
    #[error("status document is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl NodeStatus {
    /// Reads the body of a `/status` response.
    ///
    /// # Errors
    /// [`StatusError`] when the body is too long or not the expected JSON.
    pub fn parse(body: &[u8]) -> Result<Self, StatusError> {
        if body.len() > MAX_STATUS_BYTES {
            return Err(StatusError::TooLong(body.len()));
        }
        Ok(serde_json::from_slice(body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> NodeStatus {
        NodeStatus {
            version: "0.1.0".into(),
            node_id: "5b".repeat(32),
            public_key: "82".repeat(64),
            enode: Some(format!("enode://{}@198.51.100.7:30303", "82".repeat(64))),
            config_hash: "c0ffee".into(),
            advertised: Some(Advertised { address: "198.51.100.7".into(), tcp_port: 30303, udp_port: 30303 }),
            peers: 2,
            live: true,
            ready: false,
            not_ready_reasons: vec!["archive is not writable: disk full".into()],
            archive: Some(ArchiveStatus {
                floor: 0,
                oldest: Some(1),
                newest: None,
                envelopes: 1,
                bytes: 300,
                writable: false,
            }),
            history: Some(HistoryStatus { complete: true, reason: "no replica".into(), agreed_to: None }),
            disk: Some(DiskStatus { total_bytes: 1 << 40, free_bytes: 0 }),
            clock_synchronized: Some(false),
        }
    }

    #[test]
    fn field_names_are_camel_case_and_survive_a_round_trip() {
        let text = serde_json::to_string(&full()).unwrap();
        for name in [
            "nodeId",
            "publicKey",
            "configHash",
            "tcpPort",
            "udpPort",
            "notReadyReasons",
            "totalBytes",
            "freeBytes",
            "clockSynchronized",
        ] {
            assert!(text.contains(&format!("\"{name}\":")), "{name} is missing from {text}");
        }
        assert_eq!(NodeStatus::parse(text.as_bytes()).unwrap(), full());
    }

    #[test]
    fn unknown_fields_are_ignored_and_optional_ones_may_be_absent() {
        let text =
            r#"{"version":"9","nodeId":"aa","publicKey":"bb","peers":0,"live":true,"ready":true,"later":{}}"#;
        let status = NodeStatus::parse(text.as_bytes()).unwrap();
        assert_eq!((status.enode, status.archive, status.disk), (None, None, None));
        assert!(status.ready);
    }

    #[test]
    fn a_foreign_or_huge_body_is_refused() {
        assert!(matches!(NodeStatus::parse(b"<html>"), Err(StatusError::Malformed(_))));
        assert!(matches!(NodeStatus::parse(b"{\"peers\":-1}"), Err(StatusError::Malformed(_))));
        let huge = vec![b' '; MAX_STATUS_BYTES + 1];
        assert!(matches!(NodeStatus::parse(&huge), Err(StatusError::TooLong(_))));
    }
}

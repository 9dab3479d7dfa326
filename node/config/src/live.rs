//! `live.json`: what may change while the node runs. Written by the operator, watched by the node.
//! Facts: design §2 "Advertised address", §3 "Addresses".

use std::{net::IpAddr, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::ConfigError;

/// Name of the file inside `LiveDir`.
pub const LIVE_FILE_NAME: &str = "live.json";

/// Seconds that may lie between two rounds of sync: ten to a day.
pub const SYNC_INTERVALS: RangeInclusive<u32> = 10..=86_400;

/// The content of `live.json`. An absent field is empty; unknown fields are ignored, so that an older node
/// runs under a newer operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveFile {
    /// The address to advertise; `None` while none is assigned, and then nothing is guessed.
    pub advertise: Option<Advertise>,
    /// enode URLs that are always dialled. One that does not parse is skipped with a warning.
    pub static_peers: Vec<String>,
    /// enode URLs that may exceed `MaxPeers`. One that does not parse is skipped with a warning.
    pub trusted_peers: Vec<String>,
    /// enode URLs of replicas that sync with this one, beside `WakuConfig.MailServerSyncPeers`. One that does not parse is
    /// skipped with a warning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sync_peers: Vec<String>,
    /// Seconds between two rounds of sync with a replica that agreed, one of [`SYNC_INTERVALS`]; five minutes when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_interval_seconds: Option<u32>,
}

/// Where others reach this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advertise {
    /// IP literal.
    pub address: IpAddr,
    /// TCP port, 1 to 65535.
    pub tcp_port: u16,
    /// UDP port, 0 when there is none.
    #[serde(default)]
    pub udp_port: u16,
}

impl LiveFile {
    /// Reads the text of `live.json`; `file` names it in errors.
    ///
    /// # Errors
    /// [`ConfigError::NotJson`] when the text is not this document, [`ConfigError::Setting`] when the address
    /// or the port cannot be reached by anybody, or the interval is out of bounds.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let live: Self = serde_json::from_str(text).map_err(|error| ConfigError::NotJson {
            file: format!("config file {file}"),
            problem: error.to_string(),
        })?;
        if let Some(advertise) = &live.advertise {
            if advertise.address.is_unspecified() || advertise.address.is_multicast() {
                return Err(ConfigError::setting(
                    "advertise.address",
                    format!("{} is not the address of a host", advertise.address),
                    "give the address under which clients reach the node",
                ));
            }
            if advertise.tcp_port == 0 {
                return Err(ConfigError::setting(
                    "advertise.tcpPort",
                    "port 0 cannot be reached",
                    "give the port under which clients reach the node",
                ));
            }
        }
        if let Some(seconds) = live.sync_interval_seconds
            && !SYNC_INTERVALS.contains(&seconds)
        {
            return Err(ConfigError::setting(
                "syncIntervalSeconds",
                format!("{seconds} is not in {} to {}", SYNC_INTERVALS.start(), SYNC_INTERVALS.end()),
                "take 300, or leave it out",
            ));
        }
        Ok(live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{"advertise":{"address":"198.51.100.7","tcpPort":30303,"udpPort":30304},"staticPeers":["enode://aa"],"trustedPeers":[]}"#;

    #[test]
    fn the_contract_with_the_operator_byte_for_byte() {
        let live = LiveFile::parse("live.json", FULL).unwrap();
        assert_eq!(
            live.advertise,
            Some(Advertise { address: "198.51.100.7".parse().unwrap(), tcp_port: 30303, udp_port: 30304 })
        );
        assert_eq!(live.static_peers, ["enode://aa"]);
        assert_eq!(serde_json::to_string(&live).unwrap(), FULL);
        let empty = serde_json::to_string(&LiveFile::default()).unwrap();
        assert_eq!(empty, r#"{"advertise":null,"staticPeers":[],"trustedPeers":[]}"#);
    }

    #[test]
    fn null_absent_and_unknown_fields() {
        assert_eq!(LiveFile::parse("f", r#"{"advertise":null}"#).unwrap(), LiveFile::default());
        assert_eq!(LiveFile::parse("f", r#"{"later":1}"#).unwrap(), LiveFile::default());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, named) in [
            (r#"{"advertise":{"address":"0.0.0.0","tcpPort":1}}"#, "advertise.address"),
            (r#"{"advertise":{"address":"224.0.0.1","tcpPort":1}}"#, "advertise.address"),
            (r#"{"advertise":{"address":"192.0.2.1","tcpPort":0}}"#, "advertise.tcpPort"),
            (r#"{"advertise":{"address":"a.example","tcpPort":1}}"#, "config file f"),
            (r#"{"syncIntervalSeconds":9}"#, "syncIntervalSeconds"),
            (r#"{"syncIntervalSeconds":86401}"#, "syncIntervalSeconds"),
            ("", "config file f"),
        ] {
            let error = LiveFile::parse("f", text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}

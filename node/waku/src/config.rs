//! Settings of the Waku role. Facts: `spec/waku-mailserver.md` §8, §4.3 (what a node announces).

use std::{collections::HashSet, fmt, net::IpAddr, sync::Arc, time::Duration};

use enode::NodeId;
use node_config::Cidr;
use relay::Admission;
use waku_wire::{Bloom, PeerInterest, ProtocolVersion, RateLimits, StatusOptions};

use crate::{Limits, Rates};

/// Gives the adjusted clock in whole UNIX seconds.
pub type Clock = Arc<dyn Fn() -> u32 + Send + Sync>;

/// Settings, fixed for the life of a [`crate::Waku`].
#[derive(Clone)]
pub struct Config {
    /// Least proof of work of gossip envelopes; announced to peers.
    pub min_pow: f64,
    /// Largest packet and envelope, in bytes. 1 MiB.
    pub max_message_size: usize,
    /// Largest `expiry - now` of an envelope, in seconds. 600.
    pub max_remaining_life: u32,
    /// Announce a full bloom filter and take in everything.
    pub full_node: bool,
    /// Take in nothing. Ignored on a full node and with a mailserver, which need everything (§12 Q08).
    pub light_client: bool,
    /// Announce a bloom filter rather than topics.
    pub bloom_filter_mode: bool,
    /// Answer messages packets with confirmations (§4.7).
    pub confirmations: bool,
    /// Peers whose envelopes are discarded without telling them (§2.7).
    pub soft_blacklist: HashSet<NodeId>,
    /// Addresses that many peers share: they have no quota of their own in the archive.
    pub shared_sources: Vec<Cidr>,
    /// Limits on what peers send, announced to them; `None` without a limiter (§4.13).
    pub limits: Option<Limits>,
    /// From Hello to the peer's status. 30 s (§12 Q17).
    pub handshake_timeout: Duration,
    /// Bounds of the relay.
    pub relay: relay::Config,
    /// The adjusted clock.
    pub clock: Clock,
}

impl Config {
    /// The defaults of statusd, by `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            min_pow: 0.000_002,
            max_message_size: 1 << 20,
            max_remaining_life: 600,
            full_node: false,
            light_client: false,
            bloom_filter_mode: false,
            confirmations: false,
            soft_blacklist: HashSet::new(),
            shared_sources: Vec::new(),
            limits: None,
            handshake_timeout: Duration::from_secs(30),
            relay: relay::Config::default(),
            clock,
        }
    }

    /// Whether many peers may have this address.
    pub(crate) fn is_shared(&self, address: IpAddr) -> bool {
        self.shared_sources.iter().any(|range| range.contains(address))
    }

    /// Whether everything is wanted whatever else is set.
    pub(crate) fn takes_everything(&self, mailserver: bool) -> bool {
        self.full_node || mailserver
    }

    /// Whether nothing is wanted. A mailserver archives everything, whatever else is set.
    pub(crate) fn wants_nothing(&self, mailserver: bool) -> bool {
        self.light_client && !self.takes_everything(mailserver)
    }

    /// What gossip envelopes must be like.
    pub(crate) fn admission(&self, mailserver: bool) -> Admission {
        let interest = if self.wants_nothing(mailserver) {
            PeerInterest::bloom(Bloom::EMPTY)
        } else {
            PeerInterest::Full
        };
        Admission {
            min_pow: self.min_pow,
            max_size: self.max_message_size,
            max_remaining_life: self.max_remaining_life,
            interest,
            tolerated: None,
        }
    }

    /// What this node announces. As the reference, a light client without bloom filter mode announces no interest at
    /// all, which peers take for a full node (§2.11).
    pub(crate) fn status(
        &self,
        version: ProtocolVersion,
        mailserver: bool,
        limits: Option<&Limits>,
    ) -> StatusOptions {
        let bloom = if self.full_node {
            Some(Bloom::FULL)
        } else {
            (self.bloom_filter_mode && self.wants_nothing(mailserver)).then_some(Bloom::EMPTY)
        };
        let announced = |of: fn(&Rates) -> u64| {
            let of_both =
                |limits: &Limits| RateLimits { ip: of(&limits.source), peer: of(&limits.peer), topic: 0 };
            limits.map_or_else(RateLimits::default, of_both)
        };
        StatusOptions {
            pow_requirement: Some(self.min_pow),
            bloom: bloom.map(|bloom| bloom.0.to_vec()),
            light_node: Some(false),
            confirmations: Some(self.confirmations),
            packet_limits: Some(announced(|rates| rates.packets)),
            topics: None,
            bytes_limits: (version == ProtocolVersion::V1).then(|| announced(|rates| rates.bytes)),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("min_pow", &self.min_pow)
            .field("max_message_size", &self.max_message_size)
            .field("full_node", &self.full_node)
            .field("light_client", &self.light_client)
            .field("confirmations", &self.confirmations)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V19: &str = "ddca80883ec0c6f7a0b5ed8dc20280c20380c504c3808080c506c3808080";
    const V20: &str = "d980d7ca30883ec0c6f7a0b5ed8dc23280c23380c534c3808080";
    const V21: &str = "f862ca80883ec0c6f7a0b5ed8df84301b840ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc20280c20380c504c3808080c506c3808080";
    const V22: &str = "f85f80f85cca30883ec0c6f7a0b5ed8df84331b840ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffc23280c23380c534c3808080";

    fn config() -> Config {
        Config::new(Arc::new(|| 0))
    }

    fn announced(config: &Config, version: ProtocolVersion) -> String {
        hex::encode(config.status(version, true, None).encode_status(version))
    }

    #[test]
    fn s18_default_mailserver_announces_v19_and_v20() {
        assert_eq!(announced(&config(), ProtocolVersion::V1), V19);
        assert_eq!(announced(&config(), ProtocolVersion::V0), V20);
    }

    #[test]
    fn a_full_node_announces_v21_and_v22() {
        let full = Config { full_node: true, light_client: true, ..config() };
        assert_eq!(announced(&full, ProtocolVersion::V1), V21);
        assert_eq!(announced(&full, ProtocolVersion::V0), V22);
        assert_eq!(full.admission(false).interest, PeerInterest::Full);
    }

    #[test]
    fn s98_limits_are_announced() {
        let limits = Limits {
            source: Rates { packets: 10, bytes: 2000 },
            peer: Rates { packets: 5, bytes: 1000 },
            ..Limits::default()
        };
        let status = config().status(ProtocolVersion::V1, false, Some(&limits));
        assert_eq!(status.packet_limits, Some(RateLimits { ip: 10, peer: 5, topic: 0 }));
        assert_eq!(status.bytes_limits, Some(RateLimits { ip: 2000, peer: 1000, topic: 0 }));
    }

    #[test]
    fn section_2_11_a_light_client_wants_nothing_and_says_so_in_bloom_filter_mode_only() {
        let light = Config { light_client: true, ..config() };
        assert_eq!(light.admission(false).interest, PeerInterest::bloom(Bloom::EMPTY));
        assert_eq!(light.status(ProtocolVersion::V1, false, None).bloom, None);
        let announcing = Config { bloom_filter_mode: true, ..light };
        assert_eq!(announcing.status(ProtocolVersion::V1, false, None).bloom, Some(vec![0; 64]));
    }

    #[test]
    fn q08_a_mailserver_takes_everything_whatever_else_is_set() {
        let light = Config { light_client: true, bloom_filter_mode: true, ..config() };
        assert_eq!(light.admission(true).interest, PeerInterest::Full);
        assert_eq!(light.status(ProtocolVersion::V1, true, None).bloom, None);
    }
}

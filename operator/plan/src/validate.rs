//! From the stored spec to typed settings, or to errors that name the field and the remedy.
//!
//! The API server has checked the same rules with CEL. This is for objects that were stored under other rules: they
//! never stop the operator, and never make it write something that it cannot mean.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use enode::EnodeUrl;
use kube_core::ResourceExt as _;
use node_config::{Cidr, SYNC_INTERVALS};
use statusnode_api::{
    AccessPeer, ExposureType, MAX_NAME_LENGTH, Mode, SecretKeyRef, StatusNode, StatusNodeSpec,
};

use crate::Ordinal;

/// A field that cannot be meant as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldError {
    /// Path from the root of the object.
    pub field: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

/// A spec whose fields all can be meant.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// The image that nodes run.
    pub image: String,
    /// The ordinals that exist.
    pub ordinals: Vec<Ordinal>,
    /// The three ports.
    pub ports: Ports,
    /// Addresses that the user says a node is reached at, besides or instead of what the cluster knows.
    pub advertised: Vec<(Ordinal, SocketAddr)>,
    /// Most peers of a node.
    pub max_peers: u32,
    /// The volume of each node, if it has one.
    pub volume: Option<Volume>,
    /// History, with mode Mailserver.
    pub history: Option<History>,
    /// Peers that are always dialled, as written.
    pub static_peers: Vec<String>,
    /// Keys that the user brings.
    pub own_keys: Vec<(Ordinal, SecretKeyRef)>,
    /// The spec, for what needs no conversion.
    pub spec: &'a StatusNodeSpec,
}

/// The ports that a node binds, and the one in front of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ports {
    /// Peer-to-peer, TCP and UDP.
    pub p2p: u16,
    /// That of the P2P Services, which peers dial.
    pub service: u16,
    /// JSON-RPC.
    pub rpc: u16,
    /// Metrics and health.
    pub metrics: u16,
}

/// The volume of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Volume {
    /// Bytes.
    pub size: u64,
    /// StorageClass, the cluster's default if `None`.
    pub class: Option<String>,
}

/// How much history is kept, and under which password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct History {
    /// Seconds.
    pub max_age: u64,
    /// Bytes.
    pub max_bytes: u64,
    /// The password's Secret; the public constant if `None`.
    pub password: Option<SecretKeyRef>,
    /// Seconds between two rounds of replica sync.
    pub sync_interval: u32,
    /// Mailservers to sync with besides the other replicas, as written.
    pub sync_peers: Vec<String>,
}

const DEFAULT_VOLUME: u64 = 20 << 30;

/// The settings of `node`; `default_image` is for a spec that names none.
///
/// # Errors
/// Every field that cannot be meant, not only the first.
pub fn validate<'a>(node: &'a StatusNode, default_image: &str) -> Result<Settings<'a>, Vec<FieldError>> {
    let spec = &node.spec;
    let mut check = Check::default();
    let name = node.name_any();
    if !is_name(&name) {
        check.error("metadata.name", statusnode_api::NAME_MESSAGE);
    }
    let replicas = check.range("spec.replicas", spec.replicas, 0, i32::from(Ordinal::COUNT));
    let p2p = check.port("spec.p2p.port", spec.p2p.port);
    let service = spec.p2p.advertise.as_ref().and_then(|advertise| advertise.port);
    let ports = Ports {
        p2p,
        service: service.map_or(p2p, |port| check.public_port("spec.p2p.advertise.port", port)),
        rpc: check.port("spec.rpc.port", spec.rpc.port),
        metrics: check.port("spec.metrics.port", spec.metrics.port),
    };
    if ports.p2p == ports.rpc || ports.p2p == ports.metrics || ports.rpc == ports.metrics {
        check.error("spec", "p2p.port, rpc.port and metrics.port must be different");
    }
    check.exposure(spec);
    let advertised = check.advertised(spec, ports.service);
    check.access("spec.rpc.allowedFrom", &spec.rpc.allowed_from);
    check.access("spec.metrics.allowedFrom", &spec.metrics.allowed_from);
    let volume = check.volume(spec);
    let history = check.history(spec, volume.as_ref());
    let max_peers = check.range("spec.network.maxPeers", spec.network.max_peers, 1, 10_000);
    let static_peers = spec.network.static_peers.iter().map(|peer| peer.enode.clone()).collect::<Vec<_>>();
    check.enodes("spec.network.staticPeers", &static_peers);
    check.enodes("spec.network.trustedPeers", &spec.network.trusted_peers);
    let own_keys = check.own_keys(spec);
    for (field, text) in [
        ("spec.canary.interval", &spec.canary.interval),
        ("spec.canary.timeout", &spec.canary.timeout),
        ("spec.metrics.serviceMonitor.interval", &spec.metrics.service_monitor.interval),
    ] {
        check.seconds(field, text);
    }
    check.range("spec.podDisruptionBudget.maxUnavailable", spec.pod_disruption_budget.max_unavailable, 1, 32);
    let uid = node.uid().unwrap_or_default();
    if uid.is_empty() {
        check.error("metadata.uid", "is missing: the object does not come from an API server");
    }
    if !check.errors.is_empty() {
        return Err(check.errors);
    }
    Ok(Settings {
        name,
        namespace: node.namespace().unwrap_or_default(),
        uid,
        generation: node.metadata.generation.unwrap_or_default(),
        image: spec.image.clone().unwrap_or_else(|| default_image.to_owned()),
        ordinals: Ordinal::first(u8::try_from(replicas).unwrap_or_default()).collect(),
        ports,
        advertised,
        max_peers,
        volume,
        history,
        static_peers,
        own_keys,
        spec,
    })
}

impl Settings<'_> {
    /// The user's key of an ordinal, if there is one.
    #[must_use]
    pub fn own_key(&self, ordinal: Ordinal) -> Option<&SecretKeyRef> {
        self.own_keys.iter().find(|(of, _)| *of == ordinal).map(|(_, key)| key)
    }

    /// The address that the user gives an ordinal, if there is one.
    #[must_use]
    pub fn advertised(&self, ordinal: Ordinal) -> Option<SocketAddr> {
        self.advertised.iter().find(|(of, _)| *of == ordinal).map(|(_, address)| *address)
    }

    /// How many pods there should be for each ordinal.
    #[must_use]
    pub const fn pods_per_ordinal(&self) -> i32 {
        if self.spec.suspend { 0 } else { 1 }
    }
}

/// Bytes of a size as the schema allows it: `20Gi`.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let units = [("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1_u64 << 40)];
    let (digits, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes > 0)
}

/// Bytes of a size as a volume's status may have it: the above, `…Ki`, or a plain number.
#[must_use]
pub(crate) fn capacity(text: &str) -> Option<u64> {
    let plain = |digits: &str| digits.parse::<u64>().ok();
    let kibi = || plain(text.strip_suffix("Ki")?)?.checked_mul(1 << 10);
    bytes(text).or_else(kibi).or_else(|| plain(text))
}

/// How much of a volume history may fill: the store needs room to compact.
pub(crate) const fn history_share(volume: u64) -> u64 {
    volume / 5 * 4
}

/// Bytes in the form that the API server stores: the largest unit that divides them.
#[must_use]
pub fn quantity(bytes: u64) -> String {
    [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")]
        .into_iter()
        .find(|(shift, _)| bytes.is_multiple_of(1 << shift))
        .map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

/// Whole seconds, at least one, of a duration such as `720h`, `36h30m` or `90s`: units from large to small.
fn seconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0_u64;
    for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
        let Some((digits, after)) = rest.split_once(unit) else { continue };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        sum = sum.checked_add(digits.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after;
    }
    (rest.is_empty() && sum > 0).then_some(sum)
}

fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() <= MAX_NAME_LENGTH
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.last() != Some(&b'-')
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// As much of a user's text as a message repeats.
fn shown(text: &str) -> String {
    text.chars().take(32).collect()
}

#[derive(Default)]
struct Check {
    errors: Vec<FieldError>,
}

impl Check {
    fn error(&mut self, field: &str, problem: impl Into<String>) {
        self.errors.push(FieldError { field: field.to_owned(), problem: problem.into() });
    }

    fn range(&mut self, field: &str, value: i32, least: i32, most: i32) -> u32 {
        if !(least..=most).contains(&value) {
            self.error(field, format!("{value} is not in {least} to {most}"));
        }
        u32::try_from(value).unwrap_or_default()
    }

    fn port(&mut self, field: &str, value: i32) -> u16 {
        u16::try_from(self.range(field, value, 1024, 65535)).unwrap_or_default()
    }

    fn public_port(&mut self, field: &str, value: i32) -> u16 {
        u16::try_from(self.range(field, value, 1, 65535)).unwrap_or_default()
    }

    fn advertised(&mut self, spec: &StatusNodeSpec, port: u16) -> Vec<(Ordinal, SocketAddr)> {
        let mut all: Vec<(Ordinal, SocketAddr)> = Vec::new();
        let exposed = spec.p2p.exposure.type_ != ExposureType::None;
        let given = spec.p2p.advertise.iter().flat_map(|advertise| &advertise.addresses);
        for (index, entry) in given.enumerate() {
            let field = format!("spec.p2p.advertise.addresses[{index}]");
            if !exposed {
                self.error(&field, "needs an exposure.type other than None: with None nothing is advertised");
            }
            let port = entry.port.map_or(port, |port| self.public_port(&format!("{field}.port"), port));
            let Some(ordinal) = Ordinal::new(i64::from(entry.ordinal)) else {
                self.error(&format!("{field}.ordinal"), format!("{} is not in 0 to 31", entry.ordinal));
                continue;
            };
            let ip = match entry.address.parse::<IpAddr>() {
                Ok(ip) if ip.is_unspecified() || ip.is_multicast() => {
                    self.error(
                        &format!("{field}.address"),
                        format!("{ip} is no address that a peer can dial"),
                    );
                    continue;
                }
                Ok(ip) => ip,
                Err(_) => {
                    let text = shown(&entry.address);
                    self.error(&format!("{field}.address"), format!("{text:?} is not an IP address"));
                    continue;
                }
            };
            let address = SocketAddr::new(ip, port);
            if all.iter().any(|(of, _)| *of == ordinal) {
                self.error(&field, format!("ordinal {ordinal} has two addresses; leave one"));
            }
            if all.iter().any(|(_, other)| *other == address) {
                self.error(
                    &field,
                    format!("{address} is given to two ordinals; each needs its own address or port"),
                );
            }
            all.push((ordinal, address));
        }
        all
    }

    fn seconds(&mut self, field: &str, text: &str) -> u64 {
        seconds(text).unwrap_or_else(|| {
            self.error(field, format!("{:?} is not a duration such as 90s or 720h", shown(text)));
            0
        })
    }

    fn bytes(&mut self, field: &str, text: &str) -> u64 {
        bytes(text).unwrap_or_else(|| {
            self.error(field, format!("{:?} is not a size such as 20Gi", shown(text)));
            0
        })
    }

    fn exposure(&mut self, spec: &StatusNodeSpec) {
        let exposure = &spec.p2p.exposure;
        let Some(balancer) = &exposure.load_balancer else { return };
        if exposure.type_ != ExposureType::LoadBalancer {
            self.error("spec.p2p.exposure.loadBalancer", "may be set only when type is LoadBalancer");
        }
        self.cidrs(
            "spec.p2p.exposure.loadBalancer.loadBalancerSourceRanges",
            &balancer.load_balancer_source_ranges,
        );
    }

    fn access(&mut self, field: &str, peers: &[AccessPeer]) {
        for (index, peer) in peers.iter().enumerate() {
            let selected = peer.namespace_selector.is_some() || peer.pod_selector.is_some();
            if selected == peer.ip_block.is_some() {
                self.error(
                    &format!("{field}[{index}]"),
                    "set either ipBlock, or namespaceSelector and podSelector (at least one of the two)",
                );
            }
            if let Some(block) = &peer.ip_block {
                self.cidrs(&format!("{field}[{index}].ipBlock.cidr"), std::slice::from_ref(&block.cidr));
                self.cidrs(&format!("{field}[{index}].ipBlock.except"), &block.except);
            }
        }
    }

    fn cidrs(&mut self, field: &str, ranges: &[String]) {
        for range in ranges {
            if let Err(error) = range.parse::<Cidr>() {
                self.error(field, error.to_string());
            }
        }
    }

    fn enodes(&mut self, field: &str, enodes: &[String]) {
        for (index, text) in enodes.iter().enumerate() {
            if let Err(error) = text.parse::<EnodeUrl>() {
                self.error(&format!("{field}[{index}]"), error.to_string());
            }
        }
    }

    fn volume(&mut self, spec: &StatusNodeSpec) -> Option<Volume> {
        match &spec.storage {
            Some(storage) => Some(Volume {
                size: self.bytes("spec.storage.size", &storage.size),
                class: storage.storage_class_name.clone(),
            }),
            None => (spec.mode == Mode::Mailserver).then_some(Volume { size: DEFAULT_VOLUME, class: None }),
        }
    }

    fn history(&mut self, spec: &StatusNodeSpec, volume: Option<&Volume>) -> Option<History> {
        if spec.mode != Mode::Mailserver {
            if spec.mailserver.is_some() {
                self.error("spec.mailserver", "may be set only when mode is Mailserver");
            }
            return None;
        }
        let mailserver = spec.mailserver.clone().unwrap_or_default();
        let volume = volume.map_or(DEFAULT_VOLUME, |volume| volume.size);
        let max_bytes = match &mailserver.retention.max_size {
            None => history_share(volume),
            Some(text) => self.bytes("spec.mailserver.retention.maxSize", text),
        };
        if max_bytes >= volume && volume > 0 {
            self.error(
                "spec.mailserver.retention.maxSize",
                "must be smaller than storage.size: the store needs room to compact",
            );
        }
        self.enodes("spec.mailserver.sync.peers", &mailserver.sync.peers);
        let field = "spec.mailserver.sync.interval";
        let sync_interval = u32::try_from(self.seconds(field, &mailserver.sync.interval)).unwrap_or(u32::MAX);
        if sync_interval > 0 && !SYNC_INTERVALS.contains(&sync_interval) {
            self.error(field, "must be 10s to 24h");
        }
        Some(History {
            sync_interval,
            sync_peers: mailserver.sync.peers,
            max_age: self.seconds("spec.mailserver.retention.maxAge", &mailserver.retention.max_age),
            max_bytes,
            password: mailserver.password_secret_key_ref,
        })
    }

    fn own_keys(&mut self, spec: &StatusNodeSpec) -> Vec<(Ordinal, SecretKeyRef)> {
        let mut keys: Vec<(Ordinal, SecretKeyRef)> = Vec::new();
        for (index, key) in spec.identity.iter().flat_map(|identity| &identity.keys).enumerate() {
            let field = format!("spec.identity.keys[{index}]");
            let Some(ordinal) = Ordinal::new(i64::from(key.ordinal)) else {
                self.error(&format!("{field}.ordinal"), format!("{} is not in 0 to 31", key.ordinal));
                continue;
            };
            if keys.iter().any(|(of, _)| *of == ordinal) {
                self.error(&field, format!("ordinal {ordinal} has two keys; leave one"));
            }
            if keys.iter().any(|(_, secret)| *secret == key.secret_key_ref) {
                self.error(&field, "two ordinals have one key; two nodes can never have one identity");
            }
            keys.push((ordinal, key.secret_key_ref.clone()));
        }
        keys
    }
}

//! What the observed objects mean for one resource: each replica with its identity, addresses and pod.
//!
//! Builders and conditions read this and nothing else. It decides nothing.

use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr},
};

use enode::{Endpoint, Enode, PublicKey};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Pod, Service},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use statusnode_api::{
    AddressSource, CanaryState, ExposureType, ExternalAddress, Mode, NodeEntry, SecretKeyRef, WhenGone,
    condition::ConditionType,
};

use crate::{
    CanaryFacts, Entropy, HistoryFacts, ObjectKind, Observed, Ordinal, SecretView,
    identity::{self, Identity},
    names::{self, Claim},
    validate::{self, Settings},
};

/// One resource, read.
pub(crate) struct World<'a> {
    pub(crate) observed: &'a Observed,
    pub(crate) settings: &'a Settings<'a>,
    pub(crate) replicas: Vec<Replica<'a>>,
    /// Secrets of the RPC token and the mail password.
    pub(crate) token: SharedSecret,
    pub(crate) password: SharedSecret,
    /// `Kind name` of objects of wanted names that are not ours, and of those that are still going.
    pub(crate) conflicts: RefCell<Vec<String>>,
    pub(crate) going: RefCell<Vec<String>>,
}

/// One replica, read.
pub(crate) struct Replica<'a> {
    pub(crate) ordinal: Ordinal,
    pub(crate) identity: Identity,
    /// What peers know it by; also when its key is lost or not read, as long as its enode is published.
    pub(crate) public_key: Option<PublicKey>,
    /// A key made in this plan, to be stored before anything refers to it.
    pub(crate) generated: Option<enode::NodeKey>,
    /// The node id that the objects remember from now on.
    pub(crate) record: Option<String>,
    pub(crate) cluster_ip: Option<IpAddr>,
    pub(crate) exposed: Exposed,
    pub(crate) pod: Option<&'a Pod>,
    pub(crate) before: Option<&'a NodeEntry>,
    pub(crate) canary: Option<&'a CanaryFacts>,
    /// What the node says of its history.
    pub(crate) history: Option<HistoryFacts>,
}

/// The address that a replica advertises.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Exposed {
    Nothing,
    Pending,
    Hostname(String),
    Refused(String),
    Address(ExternalAddress),
}

/// A Secret that all replicas mount.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum SharedSecret {
    NotWanted,
    Ready(SecretKeyRef),
    /// Ours to generate.
    Absent(SecretKeyRef),
    Waiting(String),
    Conflict(String),
}

impl<'a> World<'a> {
    pub(crate) fn read(
        observed: &'a Observed,
        settings: &'a Settings<'a>,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let replicas = settings
            .ordinals
            .iter()
            .map(|ordinal| Replica::read(observed, settings, *ordinal, entropy))
            .collect();
        let password = settings.history.as_ref().and_then(|history| history.password.as_ref());
        Self {
            observed,
            settings,
            replicas,
            token: match &settings.spec.rpc.token_secret_key_ref {
                Some(own) => referenced(observed, own, "spec.rpc.tokenSecretKeyRef"),
                None => generated_token(observed, settings),
            },
            password: password.map_or(SharedSecret::NotWanted, |own| {
                referenced(observed, own, "spec.mailserver.passwordSecretKeyRef")
            }),
            conflicts: RefCell::default(),
            going: RefCell::default(),
        }
    }

    /// Whether an object of that name may be written; notes why not.
    pub(crate) fn may_write(&self, kind: ObjectKind, name: &str) -> bool {
        let stranger = self.observed.strangers.iter().any(|other| other.kind == kind && other.name == name);
        let claim = match live_meta(self.observed, kind, name) {
            _ if stranger => Claim::Foreign,
            Some(meta) => names::claim(meta, &self.settings.name, &self.settings.uid),
            None => Claim::Ours,
        };
        let list = match claim {
            Claim::Ours => return true,
            Claim::Going => &self.going,
            Claim::Foreign => &self.conflicts,
        };
        let label = format!("{} {name}", kind.kind());
        if !list.borrow().contains(&label) {
            list.borrow_mut().push(label);
        }
        false
    }

    /// Whether every replica that can run has its cluster address: only then the live files are complete from the start.
    pub(crate) fn peers_are_known(&self) -> bool {
        self.replicas.iter().filter(|replica| replica.public_key.is_some()).all(|replica| {
            replica.cluster_ip.is_some()
                || !self.may_write(ObjectKind::Service, &names::p2p(&self.settings.name, replica.ordinal))
        })
    }

    /// Whether the wanted replicas had an address, each one, when the resource was ready last: later loss of an
    /// address is a fault, not a part of coming up.
    pub(crate) fn had_address(&self, replica: &Replica<'_>) -> bool {
        let Some(before) = replica.before else { return false };
        let was_ready =
            self.observed.node.status.iter().flat_map(|status| &status.conditions).any(|condition| {
                condition.type_ == ConditionType::Ready.as_str() && condition.status == "True"
            });
        before.external.is_some() || was_ready
    }

    /// Whether nothing is wrong and the next look will know more, because this plan makes Services.
    pub(crate) fn is_coming_up(&self) -> bool {
        let all_known = self.replicas.iter().all(|replica| replica.public_key.is_some());
        let quiet = self.observed.failures.is_empty()
            && self.conflicts.borrow().is_empty()
            && self.going.borrow().is_empty();
        let secrets = [&self.token, &self.password]
            .into_iter()
            .all(|shared| !matches!(shared, SharedSecret::Waiting(_) | SharedSecret::Conflict(_)));
        all_known && quiet && secrets && !self.peers_are_known()
    }

    /// How much history each node may keep: `wanted`, or less as long as a volume is smaller than the spec asks for. One
    /// that is to grow has grown when its claim's status says so, and may never.
    pub(crate) fn history_bound(&self, wanted: u64) -> u64 {
        let Some(volume) = &self.settings.volume else { return wanted };
        let claims = self.replicas.iter().filter_map(|replica| {
            let name = names::volume_claim(&self.settings.name, replica.ordinal);
            self.observed.objects.volume_claims.get(&name)
        });
        let smaller = claims
            .filter_map(|claim| {
                validate::capacity(&claim.status.as_ref()?.capacity.as_ref()?.get("storage")?.0)
            })
            .filter(|capacity| *capacity < volume.size);
        smaller.map(validate::history_share).fold(wanted, u64::min)
    }

    pub(crate) fn runs_pods(&self) -> bool {
        !self.settings.spec.suspend && !self.replicas.is_empty()
    }
}

impl<'a> Replica<'a> {
    fn read(
        observed: &'a Observed,
        settings: &'a Settings<'a>,
        ordinal: Ordinal,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let mut identity = identity::resolve(observed, settings, ordinal);
        let mut generated = None;
        if matches!(identity, Identity::Absent) {
            let key = entropy.node_key();
            identity = Identity::Known {
                public_key: key.public_key(),
                secret: SecretKeyRef {
                    name: names::identity(&settings.name, ordinal),
                    key: names::IDENTITY_KEY.to_owned(),
                },
            };
            generated = Some(key);
        }
        let record = match &identity {
            Identity::Known { public_key, .. } => Some(public_key.node_id().to_string()),
            _ => identity::recorded(observed, settings, ordinal),
        };
        let public_key = match &identity {
            Identity::Known { public_key, .. } => Some(*public_key),
            _ => record.as_deref().and_then(|node_id| identity::published(observed, ordinal, node_id)),
        };
        let status = observed.node.status.as_ref();
        let before = status
            .and_then(|status| status.nodes.iter().find(|node| node.ordinal == i32::from(ordinal.index())));
        let service = observed.objects.services.get(&names::p2p(&settings.name, ordinal));
        let service = service
            .filter(|service| names::claim(&service.metadata, &settings.name, &settings.uid) == Claim::Ours)
            .map(AsRef::as_ref);
        let cluster_ip = service.and_then(cluster_ip);
        Self {
            ordinal,
            identity,
            public_key,
            generated,
            record,
            cluster_ip,
            exposed: exposed(settings, ordinal, service, cluster_ip, before),
            pod: observed.objects.pods.get(&names::pod(&settings.name, ordinal)).map(AsRef::as_ref),
            before,
            canary: observed.canaries.get(&ordinal),
            history: observed.facts.get(&ordinal).and_then(|facts| facts.history),
        }
    }

    pub(crate) fn external(&self) -> Option<&ExternalAddress> {
        match &self.exposed {
            Exposed::Address(address) => Some(address),
            _ => None,
        }
    }

    /// What peers outside dial.
    pub(crate) fn enode(&self) -> Option<String> {
        let external = self.external()?;
        let port = u16::try_from(external.tcp_port).ok()?;
        Some(self.enode_at(external.address.parse().ok()?, port)?.to_string())
    }

    /// What peers inside the cluster dial.
    pub(crate) fn internal_enode(&self, port: u16) -> Option<String> {
        Some(self.enode_at(self.cluster_ip?, port)?.to_string())
    }

    fn enode_at(&self, ip: IpAddr, port: u16) -> Option<Enode> {
        Some(Enode { public_key: self.public_key?, endpoint: Some(Endpoint::new(ip, port, port)) })
    }

    /// Since when the pod is ready; `None` when it is not, or is going.
    pub(crate) fn ready_since(&self) -> Option<Timestamp> {
        let pod = self.pod.filter(|pod| pod.metadata.deletion_timestamp.is_none())?;
        let conditions = pod.status.as_ref()?.conditions.as_ref()?;
        let ready = conditions.iter().find(|c| c.type_ == "Ready" && c.status == "True")?;
        Some(ready.last_transition_time.as_ref().map_or(Timestamp::MIN, |time| time.0))
    }

    /// Whether a canary passed since the pod became ready.
    pub(crate) fn is_green(&self) -> bool {
        let since = self.ready_since();
        self.canary.is_some_and(|canary| canary.passing && since.is_some_and(|since| canary.at >= since))
    }

    pub(crate) fn canary_state(&self) -> Option<CanaryState> {
        let state = |canary: &CanaryFacts| {
            if canary.passing { CanaryState::Passing } else { CanaryState::Failing }
        };
        let before = || self.before.filter(|_| self.is_unheard())?.canary;
        self.canary.map(state).or_else(before)
    }

    /// Whether the node keeps what its replicas keep; before its first word, what the status says.
    pub(crate) fn history_complete(&self) -> Option<bool> {
        let before = || self.before.filter(|_| self.has_history_unheard())?.history_complete;
        self.history.map(|history| history.complete).or_else(before)
    }

    /// As [`Self::is_unheard`], of its history.
    pub(crate) fn has_history_unheard(&self) -> bool {
        self.history.is_none()
            && self.pod.is_some()
            && self.before.is_some_and(|before| before.history_complete.is_some())
    }

    /// Whether the status says what a canary came to, and no canary was heard of: the operator is new. What its
    /// forerunner found stands until the next canary, or a restart of the operator would change every status twice.
    pub(crate) fn is_unheard(&self) -> bool {
        self.canary.is_none()
            && self.pod.is_some()
            && self.before.is_some_and(|before| before.canary.is_some())
    }
}

fn cluster_ip(service: &Service) -> Option<IpAddr> {
    service.spec.as_ref()?.cluster_ip.as_ref()?.parse().ok()
}

/// Why the load balancer does not take the Service's ports, as the cloud's controller says it (the well-known condition
/// `LoadBalancerPortsError` of `k8s.io/api/core/v1`).
fn refusal(service: &Service) -> Option<String> {
    let conditions = service.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|c| c.type_ == "LoadBalancerPortsError" && c.status == "True")?;
    Some(format!("{}: {}", found.reason, found.message))
}

/// The advertised address: the user's word, else what the exposure gives. Of several the one that is published already stays, then the first IPv4.
fn exposed(
    settings: &Settings<'_>,
    ordinal: Ordinal,
    service: Option<&Service>,
    cluster_ip: Option<IpAddr>,
    before: Option<&NodeEntry>,
) -> Exposed {
    let external = |address: SocketAddr, source| {
        let port = i32::from(address.port());
        let address = address.ip().to_string();
        Exposed::Address(ExternalAddress { address, tcp_port: port, udp_port: port, source })
    };
    if let Some(address) = settings.advertised(ordinal) {
        return external(address, AddressSource::Spec);
    }
    let at = |ip, source| external(SocketAddr::new(ip, settings.ports.service), source);
    match settings.spec.p2p.exposure.type_ {
        ExposureType::None => Exposed::Nothing,
        ExposureType::ClusterIp => cluster_ip.map_or(Exposed::Pending, |ip| at(ip, AddressSource::ClusterIp)),
        ExposureType::LoadBalancer => {
            let balancer = service.and_then(|s| s.status.as_ref()).and_then(|s| s.load_balancer.as_ref());
            let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
            let ips: Vec<IpAddr> = ingress.iter().filter_map(|i| i.ip.as_ref()?.parse().ok()).collect();
            let published = before.and_then(|node| node.external.as_ref()?.address.parse::<IpAddr>().ok());
            let chosen = ips
                .iter()
                .find(|ip| Some(**ip) == published)
                .or_else(|| ips.iter().find(|ip| ip.is_ipv4()))
                .or_else(|| ips.first());
            let hostname = || ingress.iter().find_map(|i| i.hostname.clone()).map(Exposed::Hostname);
            let refusal = || service.and_then(refusal).map(Exposed::Refused);
            match chosen {
                Some(ip) => at(*ip, AddressSource::LoadBalancer),
                None => refusal().or_else(hostname).unwrap_or(Exposed::Pending),
            }
        }
    }
}

fn referenced(observed: &Observed, own: &SecretKeyRef, field: &str) -> SharedSecret {
    match observed.secrets.get(&own.name) {
        None => SharedSecret::Waiting(format!("{field}: Secret {} has not been read yet", own.name)),
        Some(SecretView::Absent) => {
            SharedSecret::Waiting(format!("{field}: Secret {} does not exist", own.name))
        }
        Some(SecretView::Present(live)) => {
            let value = live.data.as_ref().and_then(|data| data.get(&own.key));
            if value.is_some_and(|value| !value.0.is_empty()) {
                SharedSecret::Ready(own.clone())
            } else {
                SharedSecret::Waiting(format!("{field}: Secret {} has no key {:?}", own.name, own.key))
            }
        }
    }
}

fn generated_token(observed: &Observed, settings: &Settings<'_>) -> SharedSecret {
    let own = SecretKeyRef { name: names::rpc_token(&settings.name), key: names::TOKEN_KEY.to_owned() };
    match observed.secrets.get(&own.name) {
        None => SharedSecret::Waiting(format!("Secret {} has not been read yet", own.name)),
        Some(SecretView::Absent) => SharedSecret::Absent(own),
        Some(SecretView::Present(live)) => {
            match names::claim(&live.metadata, &settings.name, &settings.uid) {
                Claim::Ours => SharedSecret::Ready(own),
                Claim::Going => SharedSecret::Waiting(format!("Secret {} is being deleted", own.name)),
                Claim::Foreign => SharedSecret::Conflict(own.name),
            }
        }
    }
}

/// Metadata of an observed object.
pub(crate) fn live_meta<'a>(observed: &'a Observed, kind: ObjectKind, name: &str) -> Option<&'a ObjectMeta> {
    let objects = &observed.objects;
    match kind {
        ObjectKind::Secret => match observed.secrets.get(name)? {
            SecretView::Present(secret) => Some(&secret.metadata),
            SecretView::Absent => None,
        },
        ObjectKind::PersistentVolumeClaim => objects.volume_claims.get(name).map(|o| &o.metadata),
        ObjectKind::Service => objects.services.get(name).map(|o| &o.metadata),
        ObjectKind::ConfigMap => objects.config_maps.get(name).map(|o| &o.metadata),
        ObjectKind::NetworkPolicy => objects.network_policies.get(name).map(|o| &o.metadata),
        ObjectKind::PodDisruptionBudget => objects.disruption_budgets.get(name).map(|o| &o.metadata),
        ObjectKind::StatefulSet => objects.stateful_sets.get(name).map(|o| &o.metadata),
        ObjectKind::ServiceMonitor => objects.service_monitors.get(name).map(|o| &o.metadata),
    }
}

/// Whether the record of a node id may stand on an object: never on one that outlives the key by policy, where it
/// would make the next key look like a lost one.
pub(crate) fn may_record(settings: &Settings<'_>, kept: WhenGone) -> bool {
    !(settings.spec.retention.identities.when_deleted == WhenGone::Delete && kept == WhenGone::Retain)
}

/// The mode's name in a label.
pub(crate) const fn role(mode: Mode) -> &'static str {
    match mode {
        Mode::Mailserver => "mailserver",
        Mode::Relay => "relay",
    }
}

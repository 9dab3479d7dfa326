//! Pure: which pods are probed, where, and how.

use std::{collections::BTreeMap, net::IpAddr, net::SocketAddr, time::Duration};

use enode::PublicKey;
use k8s_openapi::api::core::v1::Pod;
use statusnode_api::{DEFAULT_MAIL_PASSWORD, Mode};
use statusnode_plan::{CONTAINER, Observed, Ordinal, PORT_METRICS, PORT_P2P, SecretView};
use zeroize::Zeroizing;

/// One pod as it is probed; another value is another probe.
#[derive(Clone, PartialEq)]
pub(super) struct Target {
    /// Its uid.
    pub(super) pod: String,
    /// When it became ready, as the kubelet wrote it; a pod that restarts is probed anew.
    pub(super) ready_since: Option<String>,
    /// Where `/status` is.
    pub(super) status_address: SocketAddr,
    /// How a canary is run; `None` while the pod is not ready.
    pub(super) canary: Option<CanaryTarget>,
}

/// What a canary needs.
#[derive(Clone, PartialEq)]
pub(super) struct CanaryTarget {
    pub(super) public_key: PublicKey,
    /// Peer-to-peer port of the pod.
    pub(super) address: SocketAddr,
    /// Password of the history; `None` on a node without history.
    pub(super) password: Option<Zeroizing<String>>,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

/// Whether there is to be a pod of that ordinal.
pub(super) fn is_wanted(observed: &Observed, ordinal: Ordinal) -> bool {
    let spec = &observed.node.spec;
    !spec.suspend && i32::from(ordinal.index()) < spec.replicas
}

/// Every pod that runs and has an address.
pub(super) fn targets(observed: &Observed) -> BTreeMap<Ordinal, Target> {
    let pods = observed.objects.pods.values();
    pods.filter_map(|pod| {
        let ordinal = Ordinal::of(&pod.metadata).filter(|ordinal| is_wanted(observed, *ordinal))?;
        Some((ordinal, target(observed, ordinal, pod)?))
    })
    .collect()
}

fn target(observed: &Observed, ordinal: Ordinal, pod: &Pod) -> Option<Target> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let status = pod.status.as_ref()?;
    let ip: IpAddr = status.pod_ip.as_deref()?.parse().ok()?;
    let ready = status.conditions.iter().flatten().find(|c| c.type_ == "Ready" && c.status == "True");
    // The pod's own ports: the spec may have changed since it was made.
    let address = |name: &str| Some(SocketAddr::new(ip, port(pod, name)?));
    Some(Target {
        pod: pod.metadata.uid.clone()?,
        ready_since: ready
            .map(|c| c.last_transition_time.as_ref().map(|t| t.0.to_string()).unwrap_or_default()),
        status_address: address(PORT_METRICS)?,
        canary: match (ready, public_key(observed, ordinal), address(PORT_P2P)) {
            (Some(_), Some(public_key), Some(address)) => canary(observed, public_key, address),
            _ => None,
        },
    })
}

fn port(pod: &Pod, name: &str) -> Option<u16> {
    let container = pod.spec.as_ref()?.containers.iter().find(|container| container.name == CONTAINER)?;
    let port = container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name))?;
    u16::try_from(port.container_port).ok()
}

fn canary(observed: &Observed, public_key: PublicKey, address: SocketAddr) -> Option<CanaryTarget> {
    let spec = &observed.node.spec;
    let duration = |text: &str| Some(text.parse::<kube::core::Duration>().ok()?.into());
    let password = match spec.mode {
        Mode::Mailserver => Some(password(observed)?),
        Mode::Relay => None,
    };
    Some(CanaryTarget {
        public_key,
        address,
        password,
        interval: duration(&spec.canary.interval)?,
        timeout: duration(&spec.canary.timeout)?,
    })
}

/// The password that the node's history has; `None` while the Secret is not there.
fn password(observed: &Observed) -> Option<Zeroizing<String>> {
    let mailserver = observed.node.spec.mailserver.as_ref();
    let Some(reference) = mailserver.and_then(|m| m.password_secret_key_ref.as_ref()) else {
        return Some(Zeroizing::new(DEFAULT_MAIL_PASSWORD.to_owned()));
    };
    let SecretView::Present(secret) = observed.secrets.get(&reference.name)? else { return None };
    let bytes = &secret.data.as_ref()?.get(&reference.key)?.0;
    Some(Zeroizing::new(std::str::from_utf8(bytes).ok()?.trim_end_matches(['\n', '\r']).to_owned()))
}

/// The key that the node must prove, as the status records it.
fn public_key(observed: &Observed, ordinal: Ordinal) -> Option<PublicKey> {
    let nodes = &observed.node.status.as_ref()?.nodes;
    let entry = nodes.iter().find(|entry| entry.ordinal == i32::from(ordinal.index()))?;
    let url = entry.internal_enode.as_deref().or(entry.enode.as_deref())?;
    Some(url.parse::<enode::EnodeUrl>().ok()?.public_key)
}

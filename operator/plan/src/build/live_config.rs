//! What a node applies without restart: its address, its peers, and with whom it syncs.

use enode::EnodeUrl;
use jiff::{SignedDuration, Timestamp};
use node_config::{Advertise, LIVE_FILE_NAME, LiveFile};
use serde_json::json;

use crate::{
    Object, ObjectKind, PodTouch,
    build::{Base, Owner},
    hash,
    names::{self, ANNOTATION_LIVE_CHANGED, ANNOTATION_LIVE_HASH},
    world::{Replica, World},
};

/// How far the clock of the API server, which says when a pod was made, may run ahead of this one's. A pod that is
/// touched without need costs one write.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(30);

/// The ConfigMap of `replica`.
///
/// The other replicas are static peers under their cluster addresses: stable for the life of their Services, whoever
/// restarts, and without a way out of the cluster and back. With history they are the replicas to sync with too.
pub(crate) fn live_config(world: &World<'_>, replica: &Replica<'_>) -> Object {
    let settings = world.settings;
    let name = names::live(&settings.name, replica.ordinal);
    let text = text(world, replica);
    let live = world.observed.objects.config_maps.get(&name);
    let unchanged =
        live.filter(|live| live.data.as_ref().and_then(|data| data.get(LIVE_FILE_NAME)) == Some(&text));
    let changed = match unchanged {
        Some(live) => {
            live.metadata.annotations.as_ref().and_then(|a| a.get(ANNOTATION_LIVE_CHANGED).cloned())
        }
        // A new file is there before the pod: no change.
        None => live.map(|_| world.observed.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    };
    let base = Base {
        kind: ObjectKind::ConfigMap,
        name,
        component: names::COMPONENT_LIVE,
        ordinal: Some(replica.ordinal),
        owner: Owner::Resource,
    };
    base.object(
        settings,
        super::annotation(ANNOTATION_LIVE_CHANGED, changed.as_deref()),
        json!({"data": {LIVE_FILE_NAME: text}}),
    )
}

/// The touch that makes the kubelet bring the file now instead of at its next round, up to a minute later.
///
/// Only when the API server has the new file already, and only for a pod that may have been started with an older one.
pub(crate) fn touch(world: &World<'_>, replica: &Replica<'_>) -> Option<PodTouch> {
    let live = world.observed.objects.config_maps.get(&names::live(&world.settings.name, replica.ordinal))?;
    let text = text(world, replica);
    let arrived = live.data.as_ref()?.get(LIVE_FILE_NAME) == Some(&text);
    let changed: Timestamp =
        live.metadata.annotations.as_ref()?.get(ANNOTATION_LIVE_CHANGED)?.parse().ok()?;
    let pod = replica.pod.filter(|pod| pod.metadata.deletion_timestamp.is_none())?;
    let older = pod.metadata.creation_timestamp.as_ref()?.0 <= changed.checked_add(CLOCK_SKEW).ok()?;
    let hash = hash::of_text(&text);
    let touched = pod.metadata.annotations.as_ref().and_then(|a| a.get(ANNOTATION_LIVE_HASH)) == Some(&hash);
    (arrived && older && !touched).then_some(PodTouch {
        pod: pod.metadata.name.clone()?,
        uid: pod.metadata.uid.clone()?,
        annotation: ANNOTATION_LIVE_HASH,
        value: hash,
    })
}

fn text(world: &World<'_>, replica: &Replica<'_>) -> String {
    let settings = world.settings;
    let siblings = world.replicas.iter().filter(|other| other.ordinal != replica.ordinal);
    let siblings: Vec<String> =
        siblings.filter_map(|other| other.internal_enode(settings.ports.service)).collect();
    let others = |peers: &[String]| -> Vec<String> {
        siblings.iter().chain(peers.iter().filter(|peer| !is(peer, replica))).cloned().collect()
    };
    // Sync does not dial.
    let mut static_peers = others(&settings.static_peers);
    let mut sync_peers = Vec::new();
    if let Some(history) = &settings.history {
        sync_peers = others(&history.sync_peers);
        let missing = sync_peers.iter().filter(|peer| !static_peers.contains(peer)).cloned();
        static_peers.extend(missing.collect::<Vec<_>>());
    }
    let interval = settings.history.as_ref().map(|history| history.sync_interval);
    let advertise = replica.external().and_then(|external| {
        Some(Advertise {
            address: external.address.parse().ok()?,
            tcp_port: u16::try_from(external.tcp_port).ok()?,
            udp_port: u16::try_from(external.udp_port).ok()?,
        })
    });
    let file = LiveFile {
        advertise,
        static_peers,
        trusted_peers: settings.spec.network.trusted_peers.clone(),
        sync_interval_seconds: interval.filter(|_| !sync_peers.is_empty()),
        sync_peers,
    };
    serde_json::to_string(&file).unwrap_or_default()
}

/// Whether `enode` is the node itself: a list for a whole fleet may be given to each of its members.
fn is(enode: &str, replica: &Replica<'_>) -> bool {
    enode.parse::<EnodeUrl>().is_ok_and(|url| Some(url.public_key) == replica.public_key)
}

//! Who each node is: the key's Secret against the node id that was recorded.
//!
//! A key is generated only when nothing remembers one. What remembers: `status.nodes[].nodeId`, and the annotation
//! `status.im/node-id` of the volume claim and the peer-to-peer Service. Facts: design §3 (Identity).

use std::{collections::BTreeSet, sync::Arc};

use enode::{EnodeUrl, NodeKey, PublicKey};
use k8s_openapi::api::core::v1::Secret;
use statusnode_api::{SecretKeyRef, StatusNode, WhenGone};

use crate::{
    Observed, Ordinal, SecretView,
    names::{self, ANNOTATION_NODE_ID, Claim, IDENTITY_KEY},
    validate::{Settings, validate},
};

/// What is known about the identity of one ordinal.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// Its key is there.
    Known {
        /// The public half.
        public_key: PublicKey,
        /// Where the key is.
        secret: SecretKeyRef,
    },
    /// Nothing remembers a key, and there is none.
    Absent,
    /// The user's Secret is not there, or holds no key; or the operator's own is still being removed.
    Waiting(String),
    /// A node id is remembered and its key is gone.
    Lost(String),
    /// The Secret's name is taken by somebody else's.
    Conflict,
}

/// Names of the Secrets whose content or presence [`crate::plan()`] needs, in the namespace of the resource.
#[must_use]
pub fn secrets_to_read(node: &StatusNode) -> BTreeSet<String> {
    // Which image is the default has no influence on Secrets.
    let Ok(settings) = validate(node, "") else { return BTreeSet::new() };
    let mut names: BTreeSet<String> = settings.own_keys.iter().map(|(_, key)| key.name.clone()).collect();
    names.extend(settings.ordinals.iter().map(|ordinal| names::identity(&settings.name, *ordinal)));
    if settings.spec.retention.identities.when_scaled == WhenGone::Delete {
        let known = node.status.iter().flat_map(|status| &status.nodes);
        let known = known.filter_map(|entry| Ordinal::new(i64::from(entry.ordinal)));
        names.extend(known.map(|ordinal| names::identity(&settings.name, ordinal)));
    }
    names.insert(match &settings.spec.rpc.token_secret_key_ref {
        Some(token) => token.name.clone(),
        None => names::rpc_token(&settings.name),
    });
    names.extend(settings.history.and_then(|history| history.password).map(|password| password.name));
    names
}

/// The identity of `ordinal`.
pub(crate) fn resolve(observed: &Observed, settings: &Settings<'_>, ordinal: Ordinal) -> Identity {
    if let Some(own) = settings.own_key(ordinal) {
        return resolve_own(observed, own);
    }
    let secret =
        SecretKeyRef { name: names::identity(&settings.name, ordinal), key: IDENTITY_KEY.to_owned() };
    let recorded = recorded(observed, settings, ordinal);
    let lost = |problem: &str, node_id: &str| {
        Identity::Lost(format!(
            "ordinal {ordinal}: Secret {} {problem} of node id {node_id}; restore the Secret from a backup, or name \
             a key of your own in spec.identity.keys",
            secret.name
        ))
    };
    let live = match observed.secrets.get(&secret.name) {
        None => return Identity::Waiting(format!("Secret {} has not been read yet", secret.name)),
        Some(SecretView::Absent) => {
            return recorded.map_or(Identity::Absent, |node_id| lost("is gone that held the key", &node_id));
        }
        Some(SecretView::Present(live)) => live,
    };
    match names::claim(&live.metadata, &settings.name, &settings.uid) {
        Claim::Foreign => return Identity::Conflict,
        Claim::Going => return Identity::Waiting(format!("Secret {} is being deleted", secret.name)),
        Claim::Ours => {}
    }
    match (key_of(live, IDENTITY_KEY), recorded) {
        (Some(key), Some(node_id)) if key.node_id().to_string() != node_id => {
            lost("holds another key than that", &node_id)
        }
        (Some(key), _) => Identity::Known { public_key: key.public_key(), secret },
        (None, Some(node_id)) => lost("does not hold the key", &node_id),
        (None, None) => Identity::Waiting(format!(
            "Secret {} holds no node key (64 hexadecimal digits under {IDENTITY_KEY:?}); delete it to have one generated",
            secret.name
        )),
    }
}

/// A key that the user names is the user's word: it stands above what was recorded.
fn resolve_own(observed: &Observed, own: &SecretKeyRef) -> Identity {
    match observed.secrets.get(&own.name) {
        None => Identity::Waiting(format!("Secret {} has not been read yet", own.name)),
        Some(SecretView::Absent) => Identity::Waiting(format!("Secret {} does not exist", own.name)),
        Some(SecretView::Present(live)) => match key_of(live, &own.key) {
            Some(key) => Identity::Known { public_key: key.public_key(), secret: own.clone() },
            None => Identity::Waiting(format!(
                "Secret {} holds no node key (64 hexadecimal digits) under {:?}",
                own.name, own.key
            )),
        },
    }
}

fn key_of(secret: &Arc<Secret>, key: &str) -> Option<NodeKey> {
    let bytes = &secret.data.as_ref()?.get(key)?.0;
    NodeKey::from_hex(std::str::from_utf8(bytes).ok()?.trim()).ok()
}

/// The node id that something remembers for `ordinal`.
pub(crate) fn recorded(observed: &Observed, settings: &Settings<'_>, ordinal: Ordinal) -> Option<String> {
    let objects = &observed.objects;
    let claim = objects.volume_claims.get(&names::volume_claim(&settings.name, ordinal)).map(|o| &o.metadata);
    let service = objects.services.get(&names::p2p(&settings.name, ordinal)).map(|o| &o.metadata);
    let annotated = claim.into_iter().chain(service).filter_map(|meta| {
        let ours = names::claim(meta, &settings.name, &settings.uid) == Claim::Ours;
        meta.annotations.as_ref().filter(|_| ours)?.get(ANNOTATION_NODE_ID).cloned()
    });
    let nodes = observed.node.status.iter().flat_map(|status| &status.nodes);
    let in_status = nodes
        .filter(|entry| entry.ordinal == i32::from(ordinal.index()))
        .filter_map(|entry| entry.node_id.clone());
    annotated.chain(in_status).find(|node_id| !node_id.is_empty())
}

/// The public half that the status publishes of the node with that id. Its pod has the key mounted still when the Secret
/// is gone or cannot be read: it stays where it is for its peers.
pub(crate) fn published(observed: &Observed, ordinal: Ordinal, node_id: &str) -> Option<PublicKey> {
    let nodes = observed.node.status.iter().flat_map(|status| &status.nodes);
    let entry = nodes.into_iter().find(|entry| entry.ordinal == i32::from(ordinal.index()))?;
    let enodes = [&entry.internal_enode, &entry.enode];
    let keys =
        enodes.into_iter().flatten().filter_map(|text| Some(text.parse::<EnodeUrl>().ok()?.public_key));
    keys.into_iter().find(|key| key.node_id().to_string() == node_id)
}

//! One reconcile: read, plan, carry out. The order of things, and nothing else.
//!
//! ```text
//! caches, Secrets, probes ─► Observed ─► plan ─► look at what is unknown ─► steps ─► status ─► events
//! ```
//!
//! Never depends on why it runs, keeps nothing that it needs to converge, and can be cut off anywhere.

use std::{sync::Arc, time::Duration};

use enode::NodeKey;
use jiff::Timestamp;
use kube::Resource;
use rand::RngCore;
use statusnode_api::StatusNode;
use statusnode_plan::{
    Entropy, Environment, Failure, Observed, OperatorPods, Plan, Stranger, plan, secrets_to_read,
};
use tracing::{debug, warn};
use zeroize::Zeroizing;

use crate::{
    apply::{Applier, Outcome},
    caches::Caches,
    error::{Class, Error},
    events::Events,
    memory::Memory,
    metrics::Metrics,
    monitors::Monitors,
    probe::Prober,
    secrets::Secrets,
    store::OwnerKey,
    watch::{GuardedNode, NodeStore},
};

/// Plans of one reconcile: the first, one after a look at unknown objects, one after a Secret that appeared, and one
/// without the failures of the last time.
const MOST_PLANS: u32 = 5;

/// Everything a reconcile uses.
pub struct Context {
    /// All `StatusNode`s.
    pub nodes: NodeStore,
    /// What they own.
    pub caches: Arc<Caches>,
    /// Secrets, read by name.
    pub secrets: Arc<Secrets>,
    /// Writes.
    pub applier: Applier,
    /// Asks the nodes.
    pub prober: Prober,
    /// Tells people.
    pub events: Events,
    /// What the last reconciles left.
    pub memory: Memory,
    /// Counts.
    pub metrics: Metrics,
    /// Whether ServiceMonitors can be made.
    pub monitors: Monitors,
    /// Where the operator's own pods are; `None` outside a cluster.
    pub operator: Option<OperatorPods>,
    /// Image of nodes whose spec names none.
    pub node_image: String,
}

/// How a plan was carried out.
enum Carried {
    /// To its end.
    Through,
    /// Not to its end: look again and plan again.
    Again,
}

/// Brings one resource closer to its spec; returns when to look again, `None` for when something changes.
///
/// # Errors
/// Those of the API server; the caller tries again.
pub async fn reconcile(
    context: &Context,
    key: &OwnerKey,
    node: &GuardedNode,
) -> Result<Option<Duration>, Error> {
    let node = match &node.0 {
        Ok(node) => node,
        Err(invalid) => {
            context.prober.drop_owner(key);
            context.events.invalid(&node.object_ref(&()), &invalid.error).await;
            return Ok(None);
        }
    };
    let mut strangers = Vec::new();
    let mut last = None;
    for _ in 0..MOST_PLANS {
        let observed = observe(context, key, node, strangers.clone()).await?;
        let plan = plan(&observed, &mut Random);
        let look = context.applier.look(key, &plan.steps).await?;
        if look.found || look.strangers.iter().any(|s| !strangers.contains(s)) {
            merge(&mut strangers, look.strangers);
            continue;
        }
        context.prober.follow(key, &observed);
        last = plan.requeue_after;
        let failed_before = !observed.failures.is_empty();
        match carry_out(context, key, &observed, plan).await? {
            Carried::Through if failed_before => context.memory.succeeded(key),
            Carried::Through => {
                context.memory.succeeded(key);
                return Ok(last);
            }
            Carried::Again => {}
        }
    }
    // Somebody keeps changing what is looked at; the next change or the pause brings the next try.
    Ok(Some(last.unwrap_or(Duration::from_secs(1))))
}

async fn observe(
    context: &Context,
    key: &OwnerKey,
    node: &StatusNode,
    strangers: Vec<Stranger>,
) -> Result<Observed, Error> {
    let node = context.memory.with_status(key, node);
    let secrets = context.secrets.read(key, &secrets_to_read(&node)).await?;
    let probed = context.prober.results(key);
    Ok(Observed {
        now: Timestamp::now(),
        environment: Environment {
            operator: context.operator.clone(),
            default_image: context.node_image.clone(),
            service_monitor_api: context.monitors.available(),
        },
        objects: context.caches.objects(key),
        secrets,
        strangers,
        failures: context.memory.refused(key),
        facts: probed.facts,
        canaries: probed.canaries,
        node,
    })
}

async fn carry_out(
    context: &Context,
    key: &OwnerKey,
    observed: &Observed,
    plan: Plan,
) -> Result<Carried, Error> {
    let mut failed = None;
    for step in &plan.steps {
        match context.applier.step(key, step).await {
            Ok(Outcome::AlreadyExists) => return Ok(Carried::Again),
            Ok(outcome) => debug!(resource = %key, ?outcome, "step"),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    if let Some(status) = plan.status {
        match context.applier.status(key, &status).await {
            Ok(version) => context.memory.wrote_status(key, version.as_deref(), status),
            // The failure of a step comes first: it was before.
            Err(error) if failed.is_none() => failed = Some(error),
            Err(error) => warn!(resource = %key, %error, "status not written"),
        }
    }
    let about = observed.node.object_ref(&());
    for intent in &plan.events {
        context.events.publish(&about, intent).await;
    }
    failed.map_or(Ok(Carried::Through), Err)
}

fn merge(known: &mut Vec<Stranger>, found: Vec<Stranger>) {
    for stranger in found {
        if !known.contains(&stranger) {
            known.push(stranger);
        }
    }
}

/// What the API server did not accept, for the next plan to say; `None` when it was something that passes.
pub fn refusal(error: &Error) -> Option<Failure> {
    match error {
        Error::Object { kind, name, source, .. } if error.class() == Class::Refused => {
            let message = match source.as_ref() {
                kube::Error::Api(status) => status.message.clone(),
                other => other.to_string(),
            };
            Some(Failure { kind: *kind, name: name.clone(), message })
        }
        _ => None,
    }
}

/// Keys and tokens from the operating system's randomness.
struct Random;

impl Entropy for Random {
    fn node_key(&mut self) -> NodeKey {
        NodeKey::generate()
    }

    fn token(&mut self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        rand::rng().fill_bytes(bytes.as_mut());
        Zeroizing::new(hex::encode(bytes.as_ref()))
    }
}

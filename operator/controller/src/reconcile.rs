//! One reconcile: read, plan, carry out. The order of things, and nothing else.
//!
//! ```text
//! caches, Secrets, probes ─► Observed ─► plan ─► look at what is unknown ─► steps ─► status ─► events
//! ```
//!
//! Never depends on why it runs, keeps nothing that it needs to converge, and can be cut off anywhere.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use enode::NodeKey;
use jiff::Timestamp;
use kube::Resource;
use rand::RngCore;
use statusnode_api::StatusNode;
use statusnode_plan::{
    Entropy, Environment, Failure, Object, Observed, OperatorPods, Plan, Step, Stranger, Told, plan,
    secrets_to_read,
};
use tracing::{debug, info};
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
    /// No further: the namespace is being deleted.
    Ending,
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
            if context.memory.is_news(key, Some(&invalid.error)) {
                context.events.invalid(&node.object_ref(&()), &invalid.error).await;
            }
            return Ok(None);
        }
    };
    context.memory.is_news(key, None);
    let uid = node.metadata.uid.as_deref().unwrap_or_default();
    if context.memory.is_ending(key, uid) {
        return Ok(None);
    }
    let mut strangers = Vec::new();
    let mut last = None;
    for _ in 0..MOST_PLANS {
        let (observed, unread) = observe(context, key, node, strangers.clone()).await;
        // What passes is waited for. What lasts is told, and all is done that can be done without it.
        let unread = match unread {
            Some(error) if !is_told(&error, &observed) => return Err(error),
            lasting => lasting,
        };
        let plan = plan(&observed, &mut Random);
        let look = match context.applier.look(key, &observed.node, &plan.steps).await {
            Ok(look) => look,
            // Nothing is written over what was not seen.
            Err(error) => return tell(context, key, &observed, plan, &Done::default(), vec![error]).await,
        };
        if look.found || look.strangers.iter().any(|s| !strangers.contains(s)) {
            merge(&mut strangers, look.strangers);
            continue;
        }
        context.prober.follow(key, &observed);
        last = plan.requeue_after;
        let failed_before = !observed.failures.is_empty();
        match carry_out(context, key, &observed, plan, unread).await? {
            Carried::Through if failed_before => context.memory.succeeded(key),
            Carried::Through => {
                context.memory.succeeded(key);
                return Ok(last);
            }
            Carried::Again => {}
            Carried::Ending => {
                info!(resource = %key, "the namespace is being deleted: nothing more is done for the resource");
                context.memory.ends(key, uid);
                context.prober.drop_owner(key);
                return Ok(None);
            }
        }
    }
    // Somebody keeps changing what is looked at; the next change or the pause brings the next try.
    Ok(Some(last.unwrap_or(Duration::from_secs(1))))
}

/// What is there, and why a Secret is missing in it if one could not be read.
async fn observe(
    context: &Context,
    key: &OwnerKey,
    node: &StatusNode,
    strangers: Vec<Stranger>,
) -> (Observed, Option<Error>) {
    let node = context.memory.with_status(key, node);
    let uid = node.metadata.uid.as_deref().unwrap_or_default();
    let (secrets, unread) = context.secrets.read(key, uid, &secrets_to_read(&node)).await;
    let probed = context.prober.results(key);
    let observed = Observed {
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
    };
    (observed, unread)
}

/// Whether the plan of `observed` says what `error` is about: it has lasted, or will.
fn is_told(error: &Error, observed: &Observed) -> bool {
    let refusals = error.refusals(u32::MAX);
    let told = |failure: &Failure| {
        observed.failures.iter().any(|known| (known.kind, &known.name) == (failure.kind, &failure.name))
    };
    !refusals.is_empty() && refusals.iter().all(told)
}

/// Indexes of the steps that were carried out.
type Done = BTreeSet<usize>;

async fn carry_out(
    context: &Context,
    key: &OwnerKey,
    observed: &Observed,
    plan: Plan,
    unread: Option<Error>,
) -> Result<Carried, Error> {
    let mut errors: Vec<Error> = unread.into_iter().collect();
    let mut done = Done::new();
    let mut missing: Vec<&Object> = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        if missing.iter().any(|object| step.waits_for(object)) {
            continue;
        }
        match context.applier.step(key, step).await {
            Ok(Outcome::AlreadyExists) => return Ok(Carried::Again),
            Ok(outcome) => {
                debug!(resource = %key, ?outcome, "step");
                done.insert(index);
            }
            Err(error) if error.class() == Class::Ending => return Ok(Carried::Ending),
            Err(error) => {
                // What follows a key that was not stored was planned with it; a server in trouble is left alone.
                let ends = error.class() != Class::Refused || matches!(step, Step::Create(_));
                errors.push(error);
                if ends {
                    break;
                }
                if let Step::Apply(object) = step
                    && context.caches.manifest(object.kind, key, &object.name).is_none()
                {
                    missing.push(object);
                }
            }
        }
    }
    drop(missing);
    tell(context, key, observed, plan, &done, errors).await.map(|_: Option<Duration>| Carried::Through)
}

/// Writes the status and the events that are true after the steps of `done`; `Ok` when that and all before went well.
async fn tell<T: Default>(
    context: &Context,
    key: &OwnerKey,
    observed: &Observed,
    plan: Plan,
    done: &Done,
    mut errors: Vec<Error>,
) -> Result<T, Error> {
    let mut written = true;
    if let Some(status) = plan.status {
        match context.applier.status(key, &status).await {
            Ok(version) => context.memory.wrote_status(key, version.as_deref(), status),
            Err(error) => {
                written = false;
                errors.push(error);
            }
        }
    }
    let about = observed.node.object_ref(&());
    for intent in &plan.events {
        let is_true = match intent.told {
            Told::WithStatus => written,
            Told::AfterStep(index) => done.contains(&index),
        };
        if is_true {
            context.events.publish(&about, intent).await;
        }
    }
    Error::all(errors).map_or_else(|| Ok(T::default()), Err)
}

fn merge(known: &mut Vec<Stranger>, found: Vec<Stranger>) {
    for stranger in found {
        if !known.contains(&stranger) {
            known.push(stranger);
        }
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

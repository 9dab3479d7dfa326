//! The running operator: caches from the start, reconciles while it leads.
//!
//! `kube`'s applier gives one reconcile a resource at a time, bounded concurrency, and a pause of its own to each
//! resource that fails. What is added here: a panic is an error of its resource like any other, and what is kept for a
//! resource that is gone is dropped.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use kube::{
    Client,
    runtime::{
        controller::{self, Action, ReconcileRequest, applier},
        reflector::ObjectRef,
    },
};
use statusnode_plan::OperatorPods;
use tokio::{sync::Mutex, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    apply::Applier,
    caches::Caches,
    error::{Class, Error},
    events::Events,
    memory::Memory,
    metrics::Metrics,
    monitors::Monitors,
    probe::Prober,
    reconcile::{Context, reconcile},
    secrets::Secrets,
    store::OwnerKey,
    triggers::Triggers,
    watch::{GuardedNode, Synced, Watches},
};

/// Time in which changes of one resource become one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// Longest time that reconciles under way get when the operator stops; the rest of the two seconds of a hand-over is
/// for the release of the Lease.
const FINISH: Duration = Duration::from_millis(800);

/// What the operator is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Namespaces to watch; empty means all.
    pub scopes: Vec<String>,
    /// Image of nodes whose spec names none.
    pub node_image: String,
    /// Where the operator's own pods are; `None` outside a cluster.
    pub operator: Option<OperatorPods>,
    /// Name of this instance in events.
    pub instance: String,
    /// Reconciles at the same time.
    pub concurrency: u16,
    /// Canaries at the same time.
    pub probe_concurrency: u16,
}

/// An operator whose watches run.
pub struct Operator {
    context: Arc<Context>,
    triggers: Triggers,
    synced: Synced,
    concurrency: u16,
    watches: Mutex<JoinSet<()>>,
}

/// A watch ended, which none does by itself: the operator would go on with what it saw last.
#[derive(Debug, thiserror::Error)]
#[error("a watch of the API server ended")]
pub struct Blind;

impl Operator {
    /// Starts the watches.
    // Boxed here, like `run`, so that what is behind it is compiled here and not once more in each program.
    pub fn start(client: Client, config: Config, metrics: Metrics) -> BoxFuture<'static, Self> {
        Box::pin(Self::watching(client, config, metrics))
    }

    async fn watching(client: Client, config: Config, metrics: Metrics) -> Self {
        let caches = Arc::new(Caches::default());
        let triggers = Triggers::default();
        let watches = Watches {
            client: client.clone(),
            scopes: config.scopes,
            caches: Arc::clone(&caches),
            triggers: triggers.clone(),
            metrics: metrics.clone(),
        };
        let monitors = Monitors::default();
        monitors.ask(&client).await;
        let mut tasks = JoinSet::new();
        let (nodes, synced) = watches.start(&mut tasks);
        tasks.spawn(monitors.clone().follow(watches, nodes.clone()));
        let secrets = Arc::new(Secrets::new(client.clone()));
        let context = Context {
            nodes,
            caches: Arc::clone(&caches),
            secrets: Arc::clone(&secrets),
            applier: Applier { client: client.clone(), caches, secrets, metrics: metrics.clone() },
            prober: Prober::new(triggers.clone(), metrics.clone(), config.probe_concurrency),
            events: Events::new(client, config.instance),
            memory: Memory::default(),
            metrics,
            monitors,
            operator: config.operator,
            node_image: config.node_image,
        };
        Self {
            context: Arc::new(context),
            triggers,
            synced,
            concurrency: config.concurrency,
            watches: Mutex::new(tasks),
        }
    }

    /// Waits until the caches have read the cluster once.
    pub fn synced(&self) -> Synced {
        self.synced.clone()
    }

    /// Reconciles until `stop`, then gives what is under way a moment; nothing is written after the return.
    ///
    /// # Errors
    /// When a watch has ended.
    pub fn run(&self, stop: CancellationToken) -> BoxFuture<'_, Result<(), Blind>> {
        Box::pin(self.reconciling(stop))
    }

    async fn reconciling(&self, stop: CancellationToken) -> Result<(), Blind> {
        let mut watches = self.watches.lock().await;
        tokio::select! {
            () = self.synced.wait() => {}
            () = stop.cancelled() => return Ok(()),
            _ = watches.join_next() => return Err(Blind),
        }
        let requests = self.triggers.stream().map(|key| Ok::<_, std::convert::Infallible>(request(&key)));
        let results = applier(
            attempt,
            |node, error, context| retry(&node, error, &context),
            Arc::clone(&self.context),
            self.context.nodes.clone(),
            Box::pin(requests.take_until(stop.clone().cancelled_owned())),
            controller::Config::default().debounce(DEBOUNCE).concurrency(self.concurrency),
        );
        let work = results.for_each(|result| {
            if let Err(controller::Error::ObjectNotFound(gone)) = result {
                self.forget(&gone.namespace.unwrap_or_default(), gone.name);
            }
            futures::future::ready(())
        });
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(FINISH).await;
        };
        tokio::select! {
            () = work => {}
            () = late => warn!("reconciles under way were cut off"),
            _ = watches.join_next() => return Err(Blind),
        }
        Ok(())
    }

    fn forget(&self, namespace: &str, name: String) {
        let key = OwnerKey { namespace: namespace.to_owned(), name };
        debug!(resource = %key, "gone");
        self.context.memory.drop_owner(&key);
        self.context.secrets.drop_owner(&key);
        self.context.prober.drop_owner(&key);
    }
}

fn request(key: &OwnerKey) -> ReconcileRequest<GuardedNode> {
    ObjectRef::new(&key.name).within(&key.namespace).into()
}

fn key_of(node: &GuardedNode) -> OwnerKey {
    let meta = kube::Resource::meta(node);
    OwnerKey {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

/// One reconcile with its metrics; a panic in it is its error.
fn attempt(node: Arc<GuardedNode>, context: Arc<Context>) -> BoxFuture<'static, Result<Action, Error>> {
    Box::pin(async move {
        let key = key_of(&node);
        let started = Instant::now();
        let result = AssertUnwindSafe(reconcile(&context, &key, &node)).catch_unwind().await;
        context.metrics.reconcile_seconds.observe(started.elapsed().as_secs_f64());
        let result = result.unwrap_or_else(|panic| Err(Error::Panicked(text_of(panic.as_ref()))));
        let outcome = result.as_ref().map_or_else(|error| error.class().as_str(), |_| "ok");
        context.metrics.reconciles.with_label_values(&[outcome]).inc();
        Ok(result?.map_or_else(Action::await_change, Action::requeue))
    })
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// What happens to a resource whose reconcile failed.
fn retry(node: &GuardedNode, error: &Error, context: &Context) -> Action {
    let key = key_of(node);
    let failures = context.memory.failed(&key, error);
    let pause = Error::retry_after(failures);
    match error.class() {
        Class::Bug => error!(resource = %key, failures, %error, "reconcile failed"),
        Class::Refused => warn!(resource = %key, failures, %error, "reconcile failed"),
        Class::Unavailable | Class::Conflict | Class::Ending => {
            info!(resource = %key, failures, %error, "reconcile failed");
        }
    }
    Action::requeue(pause)
}

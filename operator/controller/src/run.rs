//! From the command line to the running operator, and down again.
//!
//! On SIGTERM or SIGINT: no new reconciles, those under way get a moment, then the Lease is released, all within two
//! seconds. On the loss of the Lease the program ends with an error: a new process begins clean.

use std::{process::ExitCode, time::Duration};

use futures::future::BoxFuture;
use kube::{Client, client::ClientBuilder};
use statusnode_plan::OperatorPods;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    api_calls::CountCalls,
    cli::Args,
    controller::{Blind, Config, Operator},
    lease::{self, Elector},
    metrics::Metrics,
    server::{self, Readiness},
};

/// Labels of the operator's own pods, which the nodes' NetworkPolicies let in.
pub const OWN_LABELS: [(&str, &str); 1] = [("app.kubernetes.io/name", "status-operator")];

/// Why the operator cannot run.
#[derive(Debug, thiserror::Error)]
enum Fatal {
    #[error(
        "cannot find the cluster: {0}; in a pod a service account is needed, elsewhere a kubeconfig (KUBECONFIG)"
    )]
    Config(#[from] kube::config::InferConfigError),
    #[error("cannot make a client of the API server: {0}")]
    Client(#[from] kube::Error),
    #[error("cannot listen on {address}: {source}; choose another --listen-address")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("cannot set up metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] std::io::Error),
    #[error("no longer the leader: {0}")]
    Deposed(String),
    #[error(transparent)]
    Blind(#[from] Blind),
}

/// Runs until a signal; the exit code is 0 then, and 1 after a fatal error.
// Boxed here, so that what is behind it is compiled here and not once more in the program.
pub fn run(args: Args) -> BoxFuture<'static, ExitCode> {
    Box::pin(async {
        match try_run(args).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(fatal) => {
                error!(error = %fatal, "status-operator ends");
                eprintln!("status-operator: {fatal}");
                ExitCode::FAILURE
            }
        }
    })
}

async fn try_run(args: Args) -> Result<(), Fatal> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone()).map_err(Fatal::Signals)?;
    let metrics = Metrics::new()?;
    let address = args.listen_address;
    let listener = server::bind(address).await.map_err(|source| Fatal::Listen { address, source })?;
    let readiness = Readiness::waiting("the caches are not filled yet");
    tokio::spawn(server::serve(listener, metrics.clone(), readiness.clone(), stop.clone()));

    let client = client(&metrics).await?;
    let labels = OWN_LABELS.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let config = Config {
        scopes: args.scopes(),
        node_image: args.node_image,
        operator: Some(OperatorPods { namespace: args.namespace.clone(), labels }),
        instance: args.instance.clone(),
        concurrency: args.concurrency,
        probe_concurrency: args.probe_concurrency,
    };
    info!(version = env!("CARGO_PKG_VERSION"), node_image = config.node_image, scopes = ?config.scopes, "starting");
    let operator = Operator::start(client.clone(), config, metrics.clone()).await;
    let synced = operator.synced();
    tokio::spawn(async move {
        synced.wait().await;
        readiness.set_ready();
        info!("caches filled");
    });
    if !args.leader_election {
        metrics.leader.set(1);
        return Ok(operator.run(stop).await?);
    }
    let election = lease::Config {
        namespace: args.namespace,
        name: args.lease_name,
        identity: args.instance,
        duration: Duration::from_secs(args.lease_seconds.into()),
    };
    lead(&operator, Elector::new(client, election), &metrics, stop).await
}

async fn lead(
    operator: &Operator,
    elector: Elector,
    metrics: &Metrics,
    stop: CancellationToken,
) -> Result<(), Fatal> {
    let mut leadership = tokio::select! {
        leadership = elector.acquire() => leadership,
        () = stop.cancelled() => return Ok(()),
    };
    metrics.leader.set(1);
    let ended = tokio::select! {
        ended = operator.run(stop) => Ok(ended),
        reason = leadership.keep() => Err(reason),
    };
    metrics.leader.set(0);
    match ended {
        // Dropping the run ended every reconcile.
        Err(reason) => Err(Fatal::Deposed(reason)),
        Ok(ended) => {
            leadership.release().await;
            Ok(ended?)
        }
    }
}

async fn client(metrics: &Metrics) -> Result<Client, Fatal> {
    let config = kube::Config::infer().await?;
    let layer = CountCalls(metrics.api_requests.clone());
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

fn stop_on_signals(stop: CancellationToken) -> Result<(), std::io::Error> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
        info!("stopping");
        stop.cancel();
    });
    Ok(())
}

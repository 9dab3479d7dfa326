//! The archive of a mailserver: opened, written to in groups, kept within its retention, closed.
//! Facts: design §2 "Archive".

use std::{num::NonZeroU64, path::PathBuf, sync::Arc, time::Duration};

use archive::{ArchiveError, History, Quota, Retention, TimeRange, Writer, WriterConfig, WriterTask};
use archive_rocksdb::{RocksHistory, Settings};
use node_config::MailserverConfig;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tokio::time::{MissedTickBehavior, interval};

use crate::{clock::unix_seconds, exit::ExitError, metrics::live as scraped, rpc::ArchiveApi};

/// Between two looks at what is too old or too much. Retention goes by whole hours, space by what comes in.
const RETENTION_TICK: Duration = Duration::from_mins(5);

/// What may stay by this configuration.
pub(crate) fn retention(config: &MailserverConfig) -> Retention {
    Retention {
        max_age: config.retention.map(|age| u32::try_from(age.as_secs()).unwrap_or(u32::MAX)),
        max_bytes: config.max_bytes.map(NonZeroU64::get),
    }
}

/// What retention did.
#[derive(Clone)]
struct Evictions {
    runs: IntCounterVec,
    rows: IntCounter,
}

impl Evictions {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let evictions = Self {
            runs: IntCounterVec::new(
                Opts::new(
                    "statusd_archive_retention_runs_total",
                    "Looks at what is too old or too much, by how they ended: ok or failed.",
                ),
                &["result"],
            )?,
            rows: IntCounter::new(
                "statusd_archive_evicted_envelopes_total",
                "Envelopes that retention took out of the archive.",
            )?,
        };
        registry.register(Box::new(evictions.runs.clone()))?;
        registry.register(Box::new(evictions.rows.clone()))?;
        Ok(evictions)
    }
}

/// An open archive.
pub(crate) struct Archive {
    store: Arc<RocksHistory>,
    /// For reading.
    pub(crate) history: Arc<dyn History>,
    /// For writing.
    pub(crate) writer: Writer,
    /// Of mailserver and writer.
    pub(crate) metrics: Arc<mailserver::Metrics>,
    retention: Retention,
    /// With a cap on its bytes.
    quota: Option<Arc<Quota>>,
    evictions: Evictions,
}

impl Archive {
    /// Opens the archive and gives the writer's task, which the caller runs.
    ///
    /// # Errors
    /// [`ExitError::Archive`].
    pub(crate) async fn open(
        config: &MailserverConfig,
        registry: &Registry,
    ) -> Result<(Self, WriterTask), ExitError> {
        let path: PathBuf = config.data_dir.clone();
        let open = tokio::task::spawn_blocking(move || RocksHistory::open(&path, &Settings::default()));
        let history = open
            .await
            .map_err(|error| ArchiveError::Io(format!("opening ended early: {error}")))
            .and_then(|opened| opened)?;
        let store = Arc::new(history);
        let history: Arc<dyn History> = Arc::clone(&store) as Arc<dyn History>;
        let metrics = mailserver::Metrics::new(registry, history.label())?;
        let metrics = Arc::new(metrics);
        metrics.set_archived(history.stats().await?.envelopes);
        let retention = retention(config);
        let quota = retention.max_bytes.map(Quota::new).map(Arc::new);
        let (writer, task) = Writer::new(
            Arc::clone(&history),
            WriterConfig::default(),
            quota.clone(),
            Arc::clone(&metrics) as Arc<dyn archive::WriterObserver>,
        );
        let queue = writer.clone();
        registry.register(Box::new(scraped::archive_queue(move || queue.queued_bytes())?))?;
        let evictions = Evictions::register(registry)?;
        Ok((Self { store, history, writer, metrics, retention, quota, evictions }, task))
    }

    /// What `mailserver_*` works on.
    pub(crate) fn api(&self) -> ArchiveApi {
        ArchiveApi { store: Arc::clone(&self.store), retention: self.retention }
    }

    /// Evicts what is too old or too much, now and from time to time.
    pub(crate) fn keep_retention(&self) -> impl Future<Output = ()> + Send + 'static {
        let (history, metrics, retention) =
            (Arc::clone(&self.history), Arc::clone(&self.metrics), self.retention);
        let quota = self.quota.clone();
        let evictions = self.evictions.clone();
        async move {
            let mut tick = interval(RETENTION_TICK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let outcome = history.evict(retention, unix_seconds()).await;
                let result = if outcome.is_ok() { "ok" } else { "failed" };
                evictions.runs.with_label_values(&[result]).inc();
                evictions.rows.inc_by(outcome.as_ref().map_or(0, |evicted| evicted.rows));
                match outcome {
                    Ok(evicted) if evicted.rows > 0 => {
                        tracing::info!(
                            rows = evicted.rows,
                            bytes = evicted.bytes,
                            floor = evicted.floor,
                            "evicted history"
                        );
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "history could not be evicted; it will be tried again")
                    }
                }
                if let Some(quota) = &quota
                    && let Ok(windows) = history.windows(TimeRange::ALL).await
                {
                    quota.learn(unix_seconds(), &windows);
                }
                if let Ok(stats) = history.stats().await {
                    metrics.set_archived(stats.envelopes);
                }
            }
        }
    }
}

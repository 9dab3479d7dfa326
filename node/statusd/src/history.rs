//! The archive of a mailserver, in a directory or in a database: opened, written to in groups, kept within its retention,
//! closed.
//! Facts: design §2 "Archive".

use std::{num::NonZeroU64, path::PathBuf, sync::Arc, time::Duration};

use archive::{ArchiveError, Class, History, Quota, Retention, TimeRange, Writer, WriterConfig, WriterTask};
use archive_postgres::PostgresHistory;
use archive_rocksdb::{RocksHistory, Settings};
use archive_spool::Spooled;
use node_config::{DatabaseUri, MailserverConfig, PostgresConfig, Secret};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    clock::unix_seconds, exit::ExitError, files::read_password, metrics::live as scraped, parts::Parts,
    rpc::ArchiveApi,
};

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

/// Does what blocks on a thread for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    let work = tokio::task::spawn_blocking(work);
    work.await.map_err(|error| ArchiveError::Io(format!("opening ended early: {error}")))?
}

/// The URI of a database.
///
/// # Errors
/// Its file cannot be read.
pub(crate) fn uri(config: &PostgresConfig) -> Result<Secret, ExitError> {
    match &config.uri {
        DatabaseUri::Inline(uri) => Ok(uri.clone()),
        DatabaseUri::File(path) => read_password(path).map_err(|source| ExitError::File {
            setting: "WakuConfig.DatabaseConfig.PGConfig.URIFile",
            action: "read",
            path: path.clone(),
            source,
            remedy: "put postgres://user:password@host:5432/database there",
        }),
    }
}

/// The archive in a database, with a spool before it. A server that is away is no reason not to start; one that refuses
/// is.
async fn database(
    config: &PostgresConfig,
    registry: &Registry,
    parts: &mut Parts,
) -> Result<Arc<dyn History>, ExitError> {
    let history = PostgresHistory::new(uri(config)?.expose(), &archive_postgres::Settings::default())?;
    if let Err(error) = history.open().await {
        if error.class() == Class::Setup {
            return Err(error.into());
        }
        tracing::warn!(%error, "what is archived goes to the spool until the database is there");
    }
    let (directory, most) = (config.spool_dir.clone(), config.spool_max_bytes);
    let (spooled, replay) = blocking(move || Spooled::open(Arc::new(history), &directory, most)).await?;
    parts.run_until_stop("spool", replay);
    let waiting = Arc::clone(&spooled);
    registry.register(Box::new(scraped::archive_spool(move || waiting.waiting_bytes())?))?;
    Ok(spooled)
}

/// An open archive.
pub(crate) struct Archive {
    /// Where it is in a directory.
    directory: Option<Arc<RocksHistory>>,
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
        parts: &mut Parts,
    ) -> Result<(Self, WriterTask), ExitError> {
        let (directory, history): (_, Arc<dyn History>) = match &config.postgres {
            None => {
                let path: PathBuf = config.data_dir.clone();
                let open = blocking(move || RocksHistory::open(&path, &Settings::default())).await?;
                let directory = Arc::new(open);
                (Some(Arc::clone(&directory)), directory)
            }
            Some(postgres) => (None, database(postgres, registry, parts).await?),
        };
        let metrics = mailserver::Metrics::new(registry, history.label())?;
        let metrics = Arc::new(metrics);
        match history.stats().await {
            Ok(stats) => metrics.set_archived(stats.envelopes),
            // The spool takes what comes until it is back.
            Err(error) if config.postgres.is_some() && error.is_retryable() => {}
            Err(error) => return Err(error.into()),
        }
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
        Ok((Self { directory, history, writer, metrics, retention, quota, evictions }, task))
    }

    /// What `mailserver_*` works on.
    pub(crate) fn api(&self) -> ArchiveApi {
        ArchiveApi {
            history: Arc::clone(&self.history),
            directory: self.directory.clone(),
            retention: self.retention,
        }
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

//! Connections: a bounded pool, each connection set up alike, none used again after a failure, nothing waited for
//! without end.

use std::time::Duration;

use archive::ArchiveError;
use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::Address;
use crate::error::{from_driver, from_pool};
use crate::tls;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// Until the far end of a silent connection is asked whether it is there, and until it is given up.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// To read and write our tables.
    Archive,
    /// To look at our tables.
    View,
    /// To look at those of the reference, on servers from 9.6 on.
    Old,
}

impl Purpose {
    fn session(self) -> String {
        match self {
            Self::Archive => SESSION.to_owned(),
            Self::View => format!("{SESSION}; {READ_ONLY}"),
            Self::Old => READ_ONLY.to_owned(),
        }
    }
}

const READ_ONLY: &str = "SET application_name = 'statusd'; SET default_transaction_read_only = on";

/// How every connection works. Plans are made for the values at hand: they decide which days are looked at. A server set
/// to confirm before it has written is not believed. A statement or a transaction whose client was cut off ends by
/// itself, so that it does not hold up other replicas.
const SESSION: &str = "SET application_name = 'statusd'; \
    SET plan_cache_mode = force_custom_plan; \
    SET jit = off; \
    SET statement_timeout = '30s'; \
    SET lock_timeout = '8s'; \
    SET idle_in_transaction_session_timeout = '15s'; \
    SET client_min_messages = warning; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'; \
    SELECT set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false) \
        WHERE inet_client_addr() IS NOT NULL";

/// Makes a connection and sets it up.
struct Connector {
    tls: MakeRustlsConnect,
    session: String,
}

impl Connect for Connector {
    fn connect(
        &self,
        config: &Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        let (tls, config, session) = (self.tls.clone(), config.clone(), self.session.clone());
        async move {
            let (client, connection) = config.connect(tls).await?;
            // Who waits on the client hears how the connection ended.
            let running = tokio::spawn(connection.map(|_| ()));
            client.batch_execute(&session).await?;
            Ok((client, running))
        }
        .boxed()
    }
}

/// Connections to one database.
pub(crate) struct Connections {
    pool: Pool,
    patience: Duration,
}

impl Connections {
    /// A pool of at most `most` connections, none made yet, each given `patience` for a piece of work.
    pub(crate) fn new(
        address: &Address,
        purpose: Purpose,
        most: usize,
        patience: Duration,
    ) -> Result<Self, ArchiveError> {
        let mut config = address.config.clone();
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        config.keepalives_idle(KEEPALIVE);
        let manager = Manager::from_connect(
            config,
            Connector { tls: tls::connector(address)?, session: purpose.session() },
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(most)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(patience))
            .create_timeout(Some(patience))
            .build()
            .map_err(|error| ArchiveError::Io(error.to_string()))?;
        Ok(Self { pool, patience })
    }

    /// A connection of its own for a piece of work.
    pub(crate) async fn lease(&self) -> Result<Lease, ArchiveError> {
        Ok(Lease(Some(self.pool.get().await.map_err(from_pool)?)))
    }

    /// The end of `work`, if it comes in time.
    pub(crate) async fn limited<T>(
        &self,
        work: impl Future<Output = Result<T, ArchiveError>>,
    ) -> Result<T, ArchiveError> {
        tokio::time::timeout(self.patience, work).await.unwrap_or_else(|_| {
            Err(ArchiveError::Away(format!("no answer within {} s", self.patience.as_secs())))
        })
    }

    /// Closes what is idle; what is in use follows when it is given back.
    pub(crate) fn close(&self) {
        self.pool.close();
    }
}

/// A connection for one piece of work. Unless that was done well, it is closed: after a failure, or when nobody waits any
/// more, so that what it was in ends with it.
pub(crate) struct Lease(Option<Object>);

impl Lease {
    /// The connection.
    pub(crate) fn connection(&mut self) -> Result<&mut Object, ArchiveError> {
        self.0.as_mut().ok_or(ArchiveError::Closed)
    }

    /// The work went well: the connection may be used again.
    pub(crate) fn done(mut self) {
        self.0.take();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

/// What an error of the driver means.
pub(crate) trait Explained<T> {
    /// In the archive's terms.
    fn explained(self) -> Result<T, ArchiveError>;
}

impl<T> Explained<T> for Result<T, tokio_postgres::Error> {
    fn explained(self) -> Result<T, ArchiveError> {
        self.map_err(from_driver)
    }
}

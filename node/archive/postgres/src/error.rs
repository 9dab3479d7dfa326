//! The driver's and the server's errors in the archive's terms. None holds a password: the driver's have none, and of a
//! connection only the server's own words are told.

use std::error::Error as _;
use std::io;

use archive::ArchiveError;
use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, SqlState};

/// An error of a connection or a statement.
pub(crate) fn from_driver(error: tokio_postgres::Error) -> ArchiveError {
    if let Some(error) = error.as_db_error() {
        return from_server(error);
    }
    let source = error.source();
    let io = source.and_then(|source| source.downcast_ref::<io::Error>());
    let words = source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    // Display is all that tells the driver's kinds apart.
    match error.to_string().as_str() {
        "error performing TLS handshake" if io.is_none_or(|io| io.kind() == io::ErrorKind::InvalidData) => {
            database(
                words,
                "give sslrootcert the certificate of the authority that signed the server's, name the host as it does, or let the \
                 server offer TLS (ssl = on); without encryption: sslmode=disable",
            )
        }
        "authentication error" | "invalid configuration" => {
            database(words, "give the user's password in the URI")
        }
        _ if error.is_closed() || io.is_some() => ArchiveError::Away(words),
        "timeout waiting for server" => ArchiveError::Away(words),
        _ => ArchiveError::Io(words),
    }
}

fn database(problem: String, remedy: &'static str) -> ArchiveError {
    ArchiveError::Database { problem, remedy }
}

fn from_server(error: &DbError) -> ArchiveError {
    let words = || error.message().to_owned();
    let code = error.code();
    if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        return database(words(), "correct user and password, or let the user in (pg_hba.conf)");
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        return database(words(), "create the database, or name another");
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return database(
            words(),
            "as the database's owner: CREATE SCHEMA status_node AUTHORIZATION the user of the URI",
        );
    }
    if [SqlState::DISK_FULL, SqlState::OUT_OF_MEMORY].contains(code) {
        return ArchiveError::Full(words());
    }
    if [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(code) {
        return ArchiveError::Corrupt(words());
    }
    // Starting, stopping, out of connections, or not (yet) the one that is written to.
    let away = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    if away.contains(code) || code.code().starts_with("08") {
        return ArchiveError::Away(words());
    }
    ArchiveError::Io(format!("{} ({})", error.message(), code.code()))
}

/// An error of the pool.
pub(crate) fn from_pool(error: PoolError) -> ArchiveError {
    match error {
        PoolError::Backend(error) => from_driver(error),
        PoolError::Timeout(_) => ArchiveError::Away("no connection in time".to_owned()),
        PoolError::Closed => ArchiveError::Closed,
        PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            ArchiveError::Io("the pool of connections is not set up".to_owned())
        }
    }
}

/// A column that holds what the archive never writes.
pub(crate) fn corrupt(column: &str) -> ArchiveError {
    ArchiveError::Corrupt(format!("column {column} holds what the archive does not write"))
}

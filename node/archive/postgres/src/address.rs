//! Where the database is and how its server is trusted, from one URI. Pure.
//!
//! Facts: `spec/operations.md` §1.5 (`PGConfig.URI`). The reference's driver encrypts unless told otherwise, and so does
//! this; what it adds is that `verify-ca` and `verify-full` are there, too. No error speaks of a part of the URI that may
//! be a secret.

use std::path::PathBuf;
use std::str::FromStr as _;

use archive::ArchiveError;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

const FORM: &str = "write it as postgres://user:password@host:5432/database?sslmode=verify-full&sslrootcert=/path/ca.pem, \
                    with special characters of the password percent-encoded";

/// How much the server must prove.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trust {
    /// Nothing: encrypted against listeners only.
    Any,
    /// A certificate of the authority.
    Authority,
    /// A certificate of the authority in the host's name.
    Host,
}

/// A parsed URI.
#[derive(Clone)]
pub(crate) struct Address {
    /// For the driver; its `Debug` hides the password.
    pub(crate) config: Config,
    /// How much the server must prove, where there is encryption at all.
    pub(crate) trust: Trust,
    /// Certificates of authorities, PEM; `None`: those of the system.
    pub(crate) authorities: Option<PathBuf>,
}

impl Address {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`ArchiveError::Database`].
    pub(crate) fn parse(uri: &str) -> Result<Self, ArchiveError> {
        let uri = uri.trim();
        if !["postgres://", "postgresql://"].iter().any(|scheme| uri.starts_with(scheme)) {
            return Err(wrong("does not begin with postgres://"));
        }
        let (base, options) = uri.split_once('?').unwrap_or((uri, ""));
        let (mut mode, mut authorities, mut rest) = (None, None, Vec::new());
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => authorities = Some(PathBuf::from(value)),
                _ => rest.push(option),
            }
        }
        let uri = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        // Not the driver's words: they may quote a part of the password that was taken for something else.
        let mut config = Config::from_str(&uri)
            .map_err(|_| wrong("cannot be read, or has an option that is not known"))?;
        if config.get_hosts().is_empty() {
            return Err(wrong("names no host"));
        }
        if config.get_user().is_none() {
            return Err(wrong("names no user"));
        }
        let local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let (ssl, trust) = match mode {
            None if local => (SslMode::Disable, Trust::Any),
            Some("disable") => (SslMode::Disable, Trust::Any),
            Some("prefer") => (SslMode::Prefer, Trust::Any),
            // As libpq: who names an authority wants it asked.
            None | Some("require") if authorities.is_some() => (SslMode::Require, Trust::Authority),
            None | Some("require") => (SslMode::Require, Trust::Any),
            Some("verify-ca") => (SslMode::Require, Trust::Authority),
            Some("verify-full") => (SslMode::Require, Trust::Host),
            Some(_) => {
                return Err(ArchiveError::Database {
                    problem: "has an sslmode that is not known".to_owned(),
                    remedy: "give disable, prefer, require, verify-ca or verify-full",
                });
            }
        };
        config.ssl_mode(ssl);
        Ok(Self { config, trust, authorities })
    }

    /// The database's name.
    pub(crate) fn database(&self) -> String {
        self.config.get_dbname().or(self.config.get_user()).unwrap_or_default().to_owned()
    }
}

fn wrong(problem: &str) -> ArchiveError {
    ArchiveError::Database { problem: problem.to_owned(), remedy: FORM }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str) -> Address {
        Address::parse(uri).unwrap()
    }

    #[test]
    fn a_uri_says_where_and_how_far_to_trust() {
        let mode = |uri: &str| {
            let address = parse(uri);
            (address.config.get_ssl_mode(), address.trust)
        };
        assert_eq!(
            mode("postgres://u:p@db/x"),
            (SslMode::Require, Trust::Any),
            "encrypted unless told otherwise"
        );
        assert_eq!(mode("postgres://u@%2Frun%2Fpg/x"), (SslMode::Disable, Trust::Any), "a Unix socket");
        assert_eq!(mode("postgresql://u@db/x?sslmode=disable"), (SslMode::Disable, Trust::Any));
        assert_eq!(mode("postgres://u@db/x?sslmode=verify-ca"), (SslMode::Require, Trust::Authority));
        assert_eq!(mode("postgres://u@db/x?sslmode=verify-full"), (SslMode::Require, Trust::Host));
        let named = parse("postgres://u@db/x?sslrootcert=/ca.pem&connect_timeout=3");
        assert_eq!((named.trust, named.authorities), (Trust::Authority, Some(PathBuf::from("/ca.pem"))));
        assert_eq!(named.config.get_connect_timeout(), Some(&std::time::Duration::from_secs(3)));
    }

    #[test]
    fn the_database_is_named_or_has_the_users_name() {
        assert_eq!(parse("postgres://u:p@db/history").database(), "history");
        assert_eq!(parse("postgres://u:p@db").database(), "u");
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_its_secrets() {
        for uri in [
            "",
            "host=db user=u password=hush",
            "mysql://u:hush@db/x",
            "postgres://u:hush@db/x?hush=1",
            "postgres://u:hu/sh@db:no",
            "postgres://u:hush@db:hush/x",
            "postgres:///x",
            "postgres://db/x",
            "postgres://u:hush@db/x?sslmode=hush",
        ] {
            let error = Address::parse(uri).map(|_| ()).unwrap_err().to_string();
            assert!(error.starts_with("WakuConfig.DatabaseConfig.PGConfig.URI: "), "{error}");
            assert!(!error.contains("hu") && error.contains("; "), "{uri}: {error}");
        }
    }
}

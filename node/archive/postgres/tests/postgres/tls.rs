//! Encryption and passwords, with an authority and certificates made here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use archive::conformance::block_on;
use archive::{ArchiveError, Class};
use archive_postgres::{PostgresHistory, Settings};

use archive_postgres::testing::Server;

const HUSH: &str = "hush%20hush";
const HBA: &str = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\nhostssl all all ::1/128 scram-sha-256\n";

fn openssl(directory: &Path, line: &str) {
    let output = Command::new("openssl").current_dir(directory).args(line.split(' ')).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority and a certificate of it, for the host `localhost`; and another authority.
fn certificates(directory: &Path) {
    for authority in ["ca", "other"] {
        openssl(
            directory,
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={authority} -keyout {authority}.key -out {authority}.pem"
            ),
        );
    }
    openssl(
        directory,
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
    );
    fs::write(directory.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl(
        directory,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
    fs::set_permissions(directory.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    for public in ["ca.pem", "other.pem"] {
        fs::set_permissions(directory.join(public), fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::write(directory.join("data/pg_hba.conf"), HBA).unwrap();
}

fn open(uri: &str) -> Result<PostgresHistory, ArchiveError> {
    block_on(async {
        let history = PostgresHistory::new(uri, &Settings::default())?;
        history.open().await?;
        Ok(history)
    })
}

#[test]
fn connections_are_encrypted_and_the_server_proves_what_the_uri_asks_for() {
    let server = Server::start_with(
        &["fsync=off", "ssl=on", "ssl_cert_file=../server.pem", "ssl_key_file=../server.key"],
        certificates,
    );
    server.sql("postgres", "CREATE ROLE node LOGIN PASSWORD 'hush hush'");
    server.sql("postgres", "CREATE DATABASE history OWNER node");
    let uri = |password: &str, host: &str, options: &str| {
        format!("postgres://node:{password}@{host}:{}/history?{options}", server.port())
    };
    let (ca, other) = (server.directory().join("ca.pem"), server.directory().join("other.pem"));
    let (ca, other) = (ca.display(), other.display());
    for (host, options) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={ca}")),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={ca}")),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", String::new()),
    ] {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let history = PostgresHistory::new(&uri(HUSH, host, &options), &Settings::default()).unwrap();
            history.open().await.unwrap();
            let encrypted = "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'node'";
            assert_eq!(server.sql("postgres", encrypted), "t", "{options}");
        });
    }
    for (password, host, options, words) in [
        (HUSH, "127.0.0.1", format!("sslmode=verify-full&sslrootcert={ca}"), "not valid for name"),
        (HUSH, "localhost", format!("sslmode=verify-full&sslrootcert={other}"), "sslrootcert"),
        (HUSH, "localhost", format!("sslmode=verify-ca&sslrootcert={other}"), "sslrootcert"),
        (HUSH, "localhost", "sslmode=verify-full&sslrootcert=/nowhere".to_owned(), "/nowhere"),
        (HUSH, "127.0.0.1", "sslmode=disable".to_owned(), "pg_hba.conf"),
        (
            "hush",
            "127.0.0.1",
            String::new(),
            "password authentication failed for user \"node\"; correct user and password",
        ),
    ] {
        let error = open(&uri(password, host, &options)).map(|_| ()).unwrap_err();
        assert_eq!(error.class(), Class::Setup, "{error}");
        assert!(error.to_string().contains(words), "{options}: {error}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
}

#[test]
fn a_server_without_tls_is_refused_unless_the_uri_says_so() {
    let server = Server::start(&["fsync=off"]);
    let uri =
        |options: &str| format!("postgres://postgres:hush@127.0.0.1:{}/postgres{options}", server.port());
    let error = open(&uri("")).map(|_| ()).unwrap_err();
    assert!(error.class() == Class::Setup && error.to_string().contains("sslmode=disable"), "{error}");
    open(&uri("?sslmode=prefer")).unwrap();
    open(&uri("?sslmode=disable")).unwrap();
}

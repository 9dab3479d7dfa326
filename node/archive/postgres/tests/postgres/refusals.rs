//! What cannot be used is refused in words that say what to do, and is left as it was.

use archive::conformance::{DAY_START, append, block_on, envelope};
use archive::{ArchiveError, Class, History as _};
use archive_postgres::{PostgresHistory, Settings};

use archive_postgres::testing::{Database, Server};

async fn open(uri: &str) -> Result<(), ArchiveError> {
    PostgresHistory::new(uri, &Settings::default())?.open().await
}

/// All tables, columns and rows of the schema.
fn contents(database: &Database<'_>) -> String {
    database.sql("SELECT schema_to_xml_and_xmlschema('status_node', true, false, '')")
}

fn refused(database: &Database<'_>, words: &str) {
    let before = contents(database);
    let error = block_on(open(&database.uri())).unwrap_err();
    assert_eq!(error.class(), Class::Setup);
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(contents(database), before, "nothing was changed");
}

#[test]
fn a_schema_of_somebody_else_is_left_alone() {
    let database = Server::shared().database();
    database.sql("CREATE SCHEMA status_node; CREATE TABLE status_node.accounts (name text); INSERT INTO status_node.accounts VALUES ('x')");
    refused(&database, "is not an archive of this node: it has no table archive; nothing was changed");
    database.sql("CREATE TABLE status_node.archive (name text)");
    refused(&database, "its table archive has no format");
}

#[test]
fn an_archive_of_a_newer_program_is_left_alone() {
    let database = Server::shared().database();
    block_on(open(&database.uri())).unwrap();
    database.sql("UPDATE status_node.archive SET format = 2");
    refused(
        &database,
        "is of format 2, this program knows format 1; nothing was changed; run the newer version",
    );
    database.sql("UPDATE status_node.archive SET format = 0");
    refused(&database, "format 0 never was");
}

#[test]
fn an_empty_schema_that_an_administrator_made_is_taken() {
    let server = Server::shared();
    let database = server.database();
    let role = format!("small_{}", database.name());
    database.sql(&format!("CREATE ROLE {role} LOGIN"));
    let uri = database.uri().replace("postgres@", &format!("{role}@"));
    let error = block_on(open(&uri)).unwrap_err();
    assert_eq!(error.class(), Class::Setup);
    assert!(error.to_string().contains("CREATE SCHEMA status_node AUTHORIZATION"), "{error}");
    database.sql(&format!("CREATE SCHEMA status_node AUTHORIZATION {role}"));
    block_on(async {
        let history = PostgresHistory::new(&uri, &Settings::default()).unwrap();
        let envelope = envelope(DAY_START, [1; 4], 1, 10);
        append(&history, &[envelope]).await;
        assert_eq!(history.stats().await.unwrap().envelopes, 1);
        history.close().await.unwrap();
    });
    database.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn the_old_table_beside_it_is_nobodys_business() {
    let database = Server::shared().database();
    database.sql("CREATE TABLE envelopes (id bytea UNIQUE); INSERT INTO envelopes VALUES ('x')");
    block_on(open(&database.uri())).unwrap();
    assert_eq!(database.sql("SELECT count(*) FROM public.envelopes"), "1");
}

#[test]
fn a_database_that_is_not_there_and_a_server_that_is_not_there_are_told_apart() {
    let server = Server::shared();
    let error = block_on(open(&server.uri("nowhere"))).unwrap_err();
    assert_eq!(error.class(), Class::Setup);
    assert!(error.to_string().contains("\"nowhere\" does not exist; create the database"), "{error}");
    let error = block_on(open("postgres://u:hush@%2Fnowhere/x")).unwrap_err();
    assert!(error.class() == Class::Away && error.is_retryable(), "{error}");
    assert!(!format!("{error} {error:?}").contains("hush"));
}

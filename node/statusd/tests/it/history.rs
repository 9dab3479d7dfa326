//! What was confirmed is served, also after a stop, also with another password.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use enode::NodeKey;
use node_client::{Client, Error, Options, history::Form, seal};
use serde_json::json;
use waku_wire::{Envelope, MessagesRequest, SymmetricKey, Topic, WireEnvelope};

use crate::program::{SOON, Setup, Statusd, until};

const POW: f64 = 0.000_002;
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn now() -> u32 {
    u32::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn topic() -> Topic {
    Topic::from_name("status")
}

pub(crate) async fn connect(node: &Statusd) -> Client {
    let url = node.enode().parse().unwrap();
    Client::connect(&url, &NodeKey::generate(), &Options::quiet()).await.unwrap()
}

pub(crate) async fn post(client: &Client, text: &str) -> WireEnvelope {
    let envelope = Envelope {
        expiry: now() + 30,
        ttl: 30,
        topic: topic(),
        data: text.as_bytes().to_vec().into(),
        nonce: 0,
    };
    let sealed = seal(envelope, POW, Duration::from_secs(5)).await.unwrap();
    client.post(std::slice::from_ref(&sealed)).await.unwrap().wait(PATIENCE).await.unwrap();
    sealed
}

pub(crate) async fn history(client: &Client, password: &str) -> Result<Vec<WireEnvelope>, Error> {
    let form = Form::Encrypted { key: SymmetricKey::from_password(password), pow: POW };
    let request = MessagesRequest {
        from: now() - 600,
        to: now() + 60,
        topics: vec![topic()],
        limit: 100,
        batch: true,
        ..MessagesRequest::default()
    };
    Ok(client.request_history(&request, &form, now(), PATIENCE).await?.envelopes)
}

#[tokio::test]
async fn what_was_confirmed_before_sigterm_is_served_after_the_restart() {
    let setup = Setup::default();
    let node = setup.start();
    let client = connect(&node).await;
    let posted = post(&client, "before the stop").await;
    // No close of the session: the node stops with a peer connected.
    let (status, log) = tokio::task::spawn_blocking(|| node.stop("-TERM")).await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    let node = setup.start();
    let served = history(&connect(&node).await, "status-offline-inbox").await.unwrap();
    assert_eq!(served.iter().map(WireEnvelope::raw).collect::<Vec<_>>(), [posted.raw()]);
    let (_, metrics) = node.get("/metrics");
    assert!(metrics.lines().any(|line| line == "mailserver_delivery_attempts_total 1"), "{metrics}");
    assert!(metrics.lines().any(|line| line == "statusd_archive_envelopes 1"), "{metrics}");
    // `spec/waku-mailserver.md` §9.4 S89.
    let counted = metrics.lines().find(|line| line.starts_with("mailserver_archived_envelopes_total{db=\""));
    assert!(counted.is_some_and(|line| line.ends_with("} 1")), "{metrics}");
}

/// Bytes in the write-ahead logs below a directory: what the next start has to replay.
fn logged(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let of = |entry: fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => logged(&entry.path()),
        false if entry.path().extension().is_some_and(|it| it == "log") => entry.metadata().unwrap().len(),
        false => 0,
    };
    entries.map(of).sum()
}

/// `spec/waku-mailserver.md` §12 Q24: a stop closes the archive, and the next start has nothing to replay.
#[tokio::test]
async fn q24_a_stop_closes_the_archive() {
    let setup = Setup::default();
    let archive = setup.path("data").join("waku");
    let node = setup.start();
    post(&connect(&node).await, "logged").await;
    assert!(logged(&archive) > 0, "what is confirmed is in the log");
    let (status, log) = tokio::task::spawn_blocking(|| node.stop("-TERM")).await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(logged(&archive), 0);
}

/// `spec/waku-mailserver.md` §12 Q23: the flag alone makes a node a mailserver.
#[tokio::test]
async fn q23_the_mailserver_flag_is_enough() {
    let mut setup = Setup::default();
    setup.config["WakuConfig"] = json!({"Enabled": true, "MailServerPassword": "status-offline-inbox"});
    let status: serde_json::Value = serde_json::from_str(&setup.start().get("/status").1).unwrap();
    assert!(status["archive"].is_null(), "without it: {status}");
    let mut command = setup.command();
    command.arg("-mailserver");
    let node = setup.start_as(command);
    let client = connect(&node).await;
    assert!(history(&client, "status-offline-inbox").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_new_password_file_takes_effect_without_a_restart() {
    let mut setup = Setup::default();
    let secrets = setup.path("secrets");
    setup.write_mounted(&secrets, "password", "first password\n");
    setup.config["WakuConfig"] = json!({"EnableMailServer": true, "MailServerPasswordFile": secrets.join("password"), "EnableConfirmations": true});
    let node = setup.start();
    let client = connect(&node).await;
    post(&client, "one").await;
    assert_eq!(history(&client, "first password").await.unwrap().len(), 1);
    assert!(matches!(history(&client, "second password").await, Err(Error::Refused(_))));
    setup.write_mounted(&secrets, "password", "second password\n");
    until("the new password is taken", SOON, || node.log().contains("password replaced").then_some(()));
    assert_eq!(history(&client, "second password").await.unwrap().len(), 1);
    assert!(matches!(history(&client, "first password").await, Err(Error::Refused(_))));
}

/// `spec/waku-mailserver.md` §12 Q36: who asks for what is nobody's business at the default level.
#[tokio::test]
async fn q36_requests_are_not_logged() {
    let node = Setup::default().start();
    let client = connect(&node).await;
    post(&client, "one").await;
    assert_eq!(history(&client, "status-offline-inbox").await.unwrap().len(), 1);
    assert!(history(&client, "another password").await.is_err());
    let id = client.own_id().to_string();
    let (_, log) = tokio::task::spawn_blocking(|| node.stop("-TERM")).await.unwrap();
    let secrets = [id.as_str(), &topic().to_string(), "cd423760", "bloom", "p2p request"];
    assert!(secrets.iter().all(|secret| !log.contains(secret)), "{log}");
}

/// One peer alone cannot fill an archive that has a cap: it is told, its envelopes are counted, and the relay goes on.
#[tokio::test]
async fn a_source_that_would_fill_the_archive_is_refused_and_told() {
    let mut setup = Setup::default();
    setup.config["WakuConfig"]["MailServerMaxBytes"] = json!(100_000);
    let node = setup.start();
    let client = connect(&node).await;
    let mut archived = 0;
    let refused = loop {
        let envelope = Envelope {
            expiry: now() + 30,
            ttl: 30,
            topic: topic(),
            data: vec![u8::try_from(archived % 251).unwrap(); 2000].into(),
            nonce: 0,
        };
        let sealed = seal(envelope, POW, Duration::from_secs(5)).await.unwrap();
        match client.post(&[sealed]).await.unwrap().wait(PATIENCE).await {
            Ok(()) => archived += 1,
            Err(Error::Rejected(errors)) => break errors,
            Err(error) => panic!("{error}"),
        }
        assert!(archived < 50, "more than the cap");
    };
    assert!((40..50).contains(&archived), "{archived} of 2 kB were archived");
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (refused[0].code, refused[0].description.as_str()),
        (22, "not archived: over your quota of the day")
    );
    let (_, metrics) = node.get("/metrics");
    let counted = r#"statusd_archive_refused_total{reason="source_quota"} 1"#;
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
}

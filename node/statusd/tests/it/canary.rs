//! The canary and the node (`spec/waku-mailserver.md` §9.5).

use enode::NodeKey;
use node_client::canary::{Check, Config, Passed, Report, run};
use serde_json::json;
use waku_wire::{SymmetricKey, keys::DEFAULT_MAILSERVER_PASSWORD};

use crate::{
    history::{connect, post},
    program::{Setup, Statusd},
};

async fn check(node: &Statusd, check: Check) -> Report {
    let url = node.enode().parse().unwrap();
    let mailbox = SymmetricKey::from_password(DEFAULT_MAILSERVER_PASSWORD);
    run(&Config::new(url, check, NodeKey::generate(), mailbox)).await
}

/// `spec/waku-mailserver.md` §9.5 S99.
#[tokio::test]
async fn s99_static() {
    let node = Setup::default().start();
    let report = check(&node, Check::Static).await;
    assert!(matches!(report.result, Ok(Passed::Static)), "{report:?}");
    assert!((5..30).contains(&report.elapsed.as_secs()), "{report:?}");
}

/// `spec/waku-mailserver.md` §9.5 S100, S101: an empty store, then one envelope of the channel.
#[tokio::test]
async fn s100_s101_mailserver() {
    let node = Setup::default().start();
    let found = async || match check(&node, Check::Mailserver { post: false }).await.result {
        Ok(Passed::Mailserver { last, posted: None }) => last,
        other => panic!("{other:?}"),
    };
    assert_eq!(found().await, None);
    let client = connect(&node).await;
    let posted = post(&client, "one").await;
    assert_eq!(found().await, Some(posted.hash()));
    let report = check(&node, Check::Mailserver { post: true }).await;
    assert!(matches!(report.result, Ok(Passed::Mailserver { posted: Some(_), .. })), "{report:?}");
}

/// `spec/waku-mailserver.md` §9.5 S106: a node whose password is another answers with an error, which is told apart.
#[tokio::test]
async fn s106_another_password() {
    let mut setup = Setup::default();
    setup.config["WakuConfig"]["MailServerPassword"] = json!("another");
    let report = check(&setup.start(), Check::Mailserver { post: false }).await;
    assert_eq!(report.exit_code(), 10, "{report:?}");
}

//! The canary tells what is wrong by its exit code: 0 to 4 as the reference's, from 10 on what the reference lets pass.

use std::io::Write as _;

use e2e_tests::{Access, Client, Output, kubectl_file, mailserver, node_canary, reached_enodes, relay, test};
use futures::future::join_all;
use serde_json::json;

/// The canary ended with this code and said why in one line.
fn failed(out: &Output, code: i32, words: &str) {
    assert_eq!(out.code, Some(code), "{out:?}");
    assert!(
        out.stdout.is_empty() && out.stderr.lines().count() == 1 && out.stderr.contains(words),
        "{out:?}"
    );
}

/// `enode` with another port.
fn at_port(enode: &str, port: u16) -> String {
    format!("{}:{port}", enode.rsplit_once(':').expect("a port").0)
}

#[test]
fn without_a_mailserver_there_is_no_answer() {
    test("canary-relay", Access::Shared, |env| async move {
        let node = env.ready("relay", relay(2)).await;
        let enodes = reached_enodes(&env.namespace, &node.name).await;
        // The node is there and well.
        node_canary(&["-staticnode", &enodes[0]]).await.ok();
        for post in [&[][..], &["-post"]] {
            let out = node_canary(&[&["-mailserver", &enodes[0], "-timeout", "3"], post].concat()).await;
            failed(&out, 3, "no answer to the history request");
        }
        let too_much = ["-mailserver", &enodes[0], "-waku.pow", "1e60"];
        failed(&node_canary(&too_much).await, 2, "the history request could not be sent");

        // Nobody listens there, or somebody else does: no connection, whatever is checked.
        let address = |enode: &str| enode.rsplit_once('@').expect("an address").1.to_owned();
        let mine_elsewhere = enodes[0].replace(&address(&enodes[0]), &address(&enodes[1]));
        for wrong in [at_port(&enodes[0], 1), mine_elsewhere] {
            for check in ["-mailserver", "-staticnode"] {
                failed(&node_canary(&[check, &wrong, "-timeout", "3"]).await, 1, "");
            }
        }
    });
}

#[test]
fn a_wrong_password_is_refused() {
    test("canary-password", Access::Shared, |env| async move {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mail-password"},
            "stringData": {"password": "not the public one"},
        });
        kubectl_file(&["create"], &env.namespace, &secret).await.ok();
        let mut spec = mailserver(1);
        spec["mailserver"] = json!({"passwordSecretKeyRef": {"name": "mail-password", "key": "password"}});
        let node = env.ready("mail", spec).await;
        let enode = reached_enodes(&env.namespace, &node.name).await.remove(0);
        let canary = async |password: Option<&str>, post: &[&str]| {
            let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
            writeln!(file, "{}", password.unwrap_or_default()).expect("written");
            let path = file.path().display().to_string();
            let with: &[&str] = if password.is_some() { &["-password-file", &path] } else { &[] };
            node_canary(&[&["-mailserver", &enode], with, post].concat()).await
        };
        for post in [&[][..], &["-post"]] {
            canary(Some("not the public one"), post).await.ok();
            for wrong in [None, Some("another"), Some("not the public one ")] {
                failed(&canary(wrong, post).await, 10, "failed to decrypt");
            }
        }
    });
}

#[test]
fn withheld_history_is_told_from_no_history() {
    test("canary-withheld", Access::Definitions, |_env| async move {
        let check = async |mode: &'static str, post: &[&str]| {
            let mut peer = Client::Independent.start(&["serve", "-mode", mode, "-fill", "2"]);
            let enode = peer.line().await["enode"].as_str().expect("an enode").to_owned();
            node_canary(&[&["-mailserver", &enode, "-timeout", "5"], post].concat()).await
        };
        // A peer that keeps and serves passes both: what follows is the misbehaviour, not the peer.
        check("normal", &[]).await.ok();
        check("normal", &["-post"]).await.ok();
        // "I have nothing" passes as it does with the reference; not when the canary has just posted something.
        check("empty-history", &[]).await.ok();
        let cases = [
            ("empty-history", &["-post"][..], 14, "is not in the node's history"),
            ("drop-127", &[], 4, "did not deliver"),
            ("drop-127", &["-post"], 4, "did not deliver"),
            ("silent", &[], 3, "no answer"),
            ("wrong-id", &["-post"], 3, "no answer"),
            ("refuse", &[], 10, "refused by the test peer"),
            ("refuse", &["-post"], 10, "refused by the test peer"),
        ];
        join_all(cases.map(|(mode, post, code, words)| async move {
            failed(&check(mode, post).await, code, words);
        }))
        .await;
    });
}

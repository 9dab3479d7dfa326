//! The canary against one node, from inside the cluster.
//!
//! A node with history must answer a history request with the password it should have; a relay must keep a connection.
//! Nothing is posted. Facts: `spec/waku-mailserver.md` §7.3.

use std::{sync::Arc, time::Duration};

use enode::{EnodeUrl, Host, NodeKey};
use node_client::canary::{self, Check, Config, Failure};
use parking_lot::Mutex;
use waku_wire::SymmetricKey;
use zeroize::Zeroizing;

use super::target::CanaryTarget;

/// Longest message of a failure, in characters: it can quote the node.
const LONGEST_MESSAGE: usize = 240;
/// Passwords whose key is kept.
const KEPT_KEYS: usize = 64;
/// Steps of a run that may each take the canary's timeout.
const STEPS: u32 = 3;
/// What a run may take besides: its waits of fixed length, and the goodbye.
const BESIDES: Duration = Duration::from_secs(20);

/// Runs canaries with one identity.
pub(super) struct Canaries {
    key: NodeKey,
    // Deriving a key takes tens of milliseconds; most resources have the same password.
    mailboxes: Mutex<Vec<(Zeroizing<String>, SymmetricKey)>>,
}

impl Default for Canaries {
    fn default() -> Self {
        Self { key: NodeKey::generate(), mailboxes: Mutex::default() }
    }
}

impl Canaries {
    /// What is wrong with the node, in words that stay the same while the fault does.
    pub(super) async fn run(self: &Arc<Self>, target: &CanaryTarget) -> Result<(), String> {
        let check = match target.password {
            Some(_) => Check::Mailserver { post: false },
            None => Check::Static,
        };
        let password = target.password.clone().unwrap_or_default();
        let canaries = Arc::clone(self);
        let mailbox = tokio::task::spawn_blocking(move || canaries.mailbox(password));
        let mailbox =
            mailbox.await.map_err(|error| format!("the password's key could not be made: {error}"))?;
        let port = target.address.port();
        let node = EnodeUrl {
            public_key: target.public_key,
            address: Some((Host::Ip(target.address.ip()), port, port)),
        };
        let config =
            Config { timeout: target.timeout, ..Config::new(node, check, self.key.clone(), mailbox) };
        // A run has one of few permits: whatever a node does, it gives it back.
        let longest = target.timeout * STEPS + BESIDES;
        let report = tokio::time::timeout(longest, Box::pin(canary::run(&config))).await;
        let report = report.map_err(|_| format!("NotFinished: no result in {} s", longest.as_secs()))?;
        report.result.map(|_| ()).map_err(|failure| message(&failure))
    }

    fn mailbox(&self, password: Zeroizing<String>) -> SymmetricKey {
        let known = |kept: &Vec<(Zeroizing<String>, SymmetricKey)>| {
            kept.iter().find(|(other, _)| *other == password).map(|(_, key)| key.clone())
        };
        if let Some(key) = known(&self.mailboxes.lock()) {
            return key;
        }
        let key = SymmetricKey::from_password(&password);
        let mut kept = self.mailboxes.lock();
        if kept.len() == KEPT_KEYS {
            kept.remove(0);
        }
        kept.push((password, key.clone()));
        key
    }
}

fn message(failure: &Failure) -> String {
    let text = match failure {
        // Without the hash, which is another one each time.
        Failure::NotDelivered(_) => "the node announced an envelope but did not deliver it".to_owned(),
        other => other.to_string(),
    };
    format!("{}: {}", failure.reason(), text.chars().take(LONGEST_MESSAGE).collect::<String>())
}

#[cfg(test)]
mod tests {
    use waku_wire::EnvelopeHash;

    use super::*;

    #[test]
    fn the_message_of_a_fault_stays_the_same() {
        let of = |byte| message(&Failure::NotDelivered(EnvelopeHash([byte; 32])));
        assert_eq!(of(1), of(2));
        assert!(of(1).starts_with("HistoryWithheld: "));
        assert!(message(&Failure::Refused("x".repeat(10_000))).len() < 300);
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let second = std::time::Duration::from_secs(1);
        let public_key = NodeKey::generate().public_key();
        let target = CanaryTarget {
            public_key,
            address,
            password: Some(Zeroizing::new("secret".to_owned())),
            interval: second,
            timeout: second,
        };
        let canaries = Arc::new(Canaries::default());
        let error = canaries.run(&target).await.unwrap_err();
        assert!(error.starts_with("NotConnected: "), "{error}");
        assert_eq!(canaries.mailboxes.lock().len(), 1);
        assert_eq!(canaries.run(&target).await.unwrap_err(), error);
        assert_eq!(canaries.mailboxes.lock().len(), 1);
    }
}

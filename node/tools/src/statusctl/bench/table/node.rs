//! A fresh node for one run, on loopback, in a directory of its own.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use enode::{Endpoint, Enode, EnodeUrl, NodeKey};
use serde_json::{Map, Value, json};

use super::super::Failure;

/// Longest start.
const START: Duration = Duration::from_secs(60);

/// A running node. Ended and removed when dropped.
pub(in super::super) struct Node {
    child: Child,
    enode: EnodeUrl,
    _directory: tempfile::TempDir,
}

impl Node {
    /// Starts `program` with room for `peers` peers; a mailserver with confirmations if asked.
    pub(super) fn start(program: &Path, peers: u32, mailserver: bool) -> Result<Self, Failure> {
        Self::start_with(program, peers, mailserver, Map::new())
    }

    /// The same with `more` keys in its config.
    pub(super) fn start_with(
        program: &Path,
        peers: u32,
        mailserver: bool,
        mut more: Map<String, Value>,
    ) -> Result<Self, Failure> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            Failure::Local(format!("{what} {}: {error}", program.display()))
        };
        let directory = tempfile::tempdir().map_err(|error| failed("no directory for", &error))?;
        let key = NodeKey::generate();
        // No least proof of work: what is measured is the node, not the sealing.
        let waku = json!({"Enabled": true, "EnableMailServer": mailserver, "EnableConfirmations": true,
            "MailServerPassword": "status-offline-inbox", "MinimumPoW": 0, "MailServerDataRetention": 30,
            "MailServerRateLimit": 0});
        let mut config = json!({"DataDir": directory.path().join("data"), "NodeKey": key.to_hex().as_str(),
            "ListenAddr": "127.0.0.1:0", "MaxPeers": peers.saturating_mul(3).saturating_add(10), "MaxPendingPeers": 200,
            "WakuConfig": waku});
        if let Some(keys) = config.as_object_mut() {
            keys.append(&mut more);
        }
        let path = directory.path().join("config.json");
        std::fs::write(&path, config.to_string()).map_err(|error| failed("no config for", &error))?;
        let mut child = Command::new(program)
            .arg("-c")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed("cannot start", &error))?;
        let lines = BufReader::new(child.stderr.take().ok_or_else(|| failed("no output of", &"?"))?).lines();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut last = String::new();
            for line in lines.map_while(Result::ok) {
                if line.contains("node started") {
                    let address = line.split_whitespace().find_map(|word| word.strip_prefix("p2p="));
                    // The other side may have given up.
                    let _ = tell.send(
                        address.and_then(|text| text.parse::<SocketAddr>().ok()).ok_or_else(|| line.clone()),
                    );
                }
                last = line;
            }
            let _ = tell.send(Err(last));
        });
        let address = match told.recv_timeout(START) {
            Ok(Ok(address)) => address,
            Ok(Err(line)) => return Err(end(child, failed("did not start:", &line))),
            Err(_) => return Err(end(child, failed("did not start in a minute:", &"no word"))),
        };
        let endpoint = Endpoint::new(address.ip(), address.port(), address.port());
        let enode = Enode { public_key: key.public_key(), endpoint: Some(endpoint) }.into();
        Ok(Self { child, enode, _directory: directory })
    }

    pub(super) fn enode(&self) -> &EnodeUrl {
        &self.enode
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

fn end(mut child: Child, failure: Failure) -> Failure {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
    failure
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! A node with fixed answers, to test shapes without one.

use std::sync::Arc;

use enode::{Enode, EnodeUrl, NodeId};
use futures::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;

use super::{
    Backend, Calls, NodeInfo, PeerChange, PeerEntry, PeerNetwork, Ports, Services, peer_protocols,
    waku_protocol,
};
use crate::{health::Health, report::Report};

#[derive(Default)]
pub(crate) struct Sample {
    pub(crate) enode: Mutex<Option<String>>,
    pub(crate) names: Mutex<Vec<String>>,
    pub(crate) added: Mutex<Vec<EnodeUrl>>,
    pub(crate) removed: Mutex<Vec<NodeId>>,
    pub(crate) trusted: Mutex<Vec<(NodeId, bool)>>,
}

pub(crate) const PUBLIC: &str = "ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f";

impl Backend for Sample {
    fn client_name(&self) -> String {
        "Statusd/v1.2.3/linux-amd64/rust1.95".into()
    }
    fn network_id(&self) -> u64 {
        3
    }
    fn is_listening(&self) -> bool {
        true
    }
    fn data_dir(&self) -> String {
        "/var/lib/statusd".into()
    }
    fn peer_count(&self) -> usize {
        17
    }
    fn peer_names(&self) -> Vec<String> {
        self.names.lock().clone()
    }
    fn info(&self) -> NodeInfo {
        NodeInfo {
            id: "a4".repeat(32),
            name: self.client_name(),
            enode: format!("enode://{PUBLIC}@127.0.0.1:30303?discport=0"),
            enr: "enr:-abc".into(),
            ip: "127.0.0.1".into(),
            ports: Ports { discovery: 0, listener: 30303 },
            listen_addr: "[::]:30303".into(),
            protocols: waku_protocol(1_048_576, 0.000_002),
        }
    }
    fn peers(&self) -> Vec<PeerEntry> {
        ["ff", "0a"]
            .map(|id| PeerEntry {
                enode: format!("enode://{PUBLIC}@203.0.113.7:443"),
                id: id.repeat(32),
                name: "StatusIM/v1.14.0/android-arm64/go1.16".into(),
                caps: vec!["waku/0".into(), "waku/1".into()],
                network: PeerNetwork {
                    local_address: "10.0.0.2:30303".into(),
                    remote_address: "203.0.113.7:49152".into(),
                    inbound: true,
                    trusted: false,
                    is_static: false,
                },
                protocols: peer_protocols(["waku".to_owned()].into_iter()),
            })
            .into()
    }
    fn enode(&self) -> Enode {
        let text = self.enode.lock().clone().unwrap_or_else(|| format!("enode://{PUBLIC}"));
        text.parse().unwrap()
    }
    fn add_peer(&self, peer: EnodeUrl) -> Result<(), String> {
        self.added.lock().push(peer);
        Ok(())
    }
    fn remove_peer(&self, peer: NodeId) -> BoxFuture<'_, ()> {
        self.removed.lock().push(peer);
        async {}.boxed()
    }
    fn set_trusted(&self, peer: NodeId, trusted: bool) -> Result<(), String> {
        self.trusted.lock().push((peer, trusted));
        Ok(())
    }
    /// One of each type, then nothing for ever.
    fn peer_events(&self) -> BoxStream<'static, PeerChange> {
        let change = |kind, error: Option<&str>| PeerChange {
            kind,
            peer: "0a".repeat(32),
            error: error.map(Into::into),
            local: "10.0.0.2:30303".into(),
            remote: "203.0.113.7:49152".into(),
        };
        stream::iter([change("add", None), change("drop", Some("read timeout"))])
            .chain(stream::pending())
            .boxed()
    }
}

/// What there is on a node that neither relays nor archives.
pub(crate) fn services(node: Arc<Sample>) -> Services {
    let report = Report {
        version: "1.2.3",
        config_hash: "c0ffee".into(),
        data_dir: "/".into(),
        backend: Arc::clone(&node) as Arc<dyn Backend>,
        history: None,
        health: Arc::new(Health::new(None)),
        sync: None,
    };
    Services { node, waku: None, archive: None, report: Arc::new(report), calls: Calls::default() }
}

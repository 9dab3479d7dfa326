//! Who calls: a client outside the cluster, or a pod in it with labels and a namespace of its own. One question for all:
//! which addresses take a connection.
//!
//! Owns the pods and their image (busybox, packed and loaded once). Must never try twice: a refusal is an answer, and the
//! test says whether it may come late.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::cluster::{kubectl, kubectl_file, status_cluster};
use crate::process::Process;
use crate::program::{Output, run};

const IMAGE: &str = "localhost/e2e-caller:1";
/// What the image offers; `true` is what runs once a connection stands.
const APPLETS: [&str; 5] = ["sh", "sleep", "timeout", "wget", "true"];
/// A policy drops packets: no answer after this time is none. The way is a few links on one machine.
const PATIENCE: Duration = Duration::from_secs(3);
/// Connections that are tried at the same time.
const AT_ONCE: usize = 256;

/// A place from which addresses are called.
#[derive(Debug)]
pub enum Caller {
    /// The namespace `outside`, where this test itself runs.
    Outside,
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A process's own network, for a pod whose image has no shell.
    NetworkOf(Process),
}

impl Caller {
    /// Starts a pod that does nothing but call when it is told to; one that was left of that name goes first.
    pub async fn start(namespace: &str, name: &str, labels: &Value) -> Self {
        image().await;
        kubectl(&["delete", "pod", name, "-n", namespace, "--ignore-not-found", "--wait"]).await.ok();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "caller", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sleep", "infinity"],
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        });
        kubectl_file(&["create"], namespace, &pod).await.ok();
        let pod = format!("pod/{name}");
        kubectl(&["wait", "--for=condition=Ready", &pod, "-n", namespace, "--timeout=60s"]).await.ok();
        Self::Pod { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Those of `addresses` that take a TCP connection.
    pub async fn reached(&self, addresses: &[SocketAddr]) -> BTreeSet<SocketAddr> {
        let connect = format!("busybox nc -w {} ${{a%:*}} ${{a##*:}} -e /bin/true", PATIENCE.as_secs());
        let script = format!("for a in \"$@\"; do ({connect} 2>/dev/null && echo $a) & done; wait");
        let texts: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        let mut command = vec!["sh", "-c", &script, "sh"];
        command.extend(texts.iter().map(String::as_str));
        let out = match self {
            Self::Outside => return reached_from_here(addresses).await,
            Self::Pod { namespace, name } => exec(namespace, name, &command).await,
            Self::NetworkOf(process) => {
                let pid = process.pid.to_string();
                run("nsenter", [&["--target", &pid, "--net", "--"], &command[..]].concat()).await
            }
        };
        out.ok().lines().map(|line| line.parse().unwrap_or_else(|e| panic!("{e}: {line:?}"))).collect()
    }

    /// Calls a JSON-RPC method at an address from a pod, with a bearer token or without; `Err` is the error object.
    pub async fn rpc(
        &self,
        address: SocketAddr,
        token: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, Value> {
        let Self::Pod { namespace, name } = self else { panic!("only pods make calls") };
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let url = format!("http://{address}/");
        let header = token.map(|token| format!("authorization: Bearer {token}"));
        let mut command = vec!["timeout", "10", "wget", "-q", "-O", "-", "--post-data", &body];
        command.extend(["--header", "content-type: application/json"]);
        if let Some(header) = &header {
            command.extend(["--header", header]);
        }
        command.push(&url);
        let answer = exec(namespace, name, &command).await.json();
        if answer["error"].is_null() { Ok(answer["result"].clone()) } else { Err(answer["error"].clone()) }
    }
}

async fn exec(namespace: &str, pod: &str, command: &[&str]) -> Output {
    kubectl(&[&["exec", "-n", namespace, pod, "--"], command].concat()).await
}

async fn reached_from_here(addresses: &[SocketAddr]) -> BTreeSet<SocketAddr> {
    futures::stream::iter(addresses.iter().copied())
        .map(|address| async move {
            let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await;
            matches!(connected, Ok(Ok(_))).then_some(address)
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(futures::future::ready)
        .collect()
        .await
}

/// Packs the machine's static busybox as an image and loads it, once for all tests of this process.
async fn image() {
    static LOADED: OnceCell<()> = OnceCell::const_new();
    LOADED
        .get_or_init(|| async {
            let folder = tempfile::tempdir().expect("a temporary directory");
            let bin = folder.path().join("root/bin");
            std::fs::create_dir_all(&bin).expect("created");
            let path = std::env::var_os("PATH").expect("PATH");
            let busybox = std::env::split_paths(&path)
                .map(|directory| directory.join("busybox"))
                .find(|file| file.is_file())
                .expect("busybox is installed: scripts/deps.sh cluster");
            std::fs::copy(busybox, bin.join("busybox")).expect("copied");
            for applet in APPLETS {
                std::os::unix::fs::symlink("busybox", bin.join(applet)).expect("linked");
            }
            let root = folder.path().join("root").display().to_string();
            let archive = folder.path().join("caller.tar").display().to_string();
            let config = json!({"User": "65532:65532", "Env": ["PATH=/bin"]}).to_string();
            status_cluster("image", &["pack", &root, IMAGE, &config, &archive]).await.ok();
            status_cluster("image", &["load", &archive]).await.ok();
        })
        .await;
}

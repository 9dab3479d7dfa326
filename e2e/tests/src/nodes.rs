//! A `StatusNode` as a user handles it: apply, wait, read what `kubectl` shows, ask a replica.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::env::Env;
use crate::wait::{eventually, within};

/// A `StatusNode` in a test's namespace.
pub struct Node<'a> {
    env: &'a Env,
    /// Its name.
    pub name: String,
}

/// The spec of a mailserver with so many replicas; its RPC is open to nobody, its volumes are small.
pub fn mailserver(replicas: u32) -> Value {
    json!({"mode": "Mailserver", "replicas": replicas, "storage": {"size": "1Gi"}})
}

/// The spec of a relay with so many replicas.
pub fn relay(replicas: u32) -> Value {
    json!({"mode": "Relay", "replicas": replicas})
}

impl Env {
    fn statusnodes(&self) -> Api<DynamicObject> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("status.im", "v1alpha1", "StatusNode"));
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind)
    }

    /// Applies a `StatusNode`, as `kubectl apply --server-side` does. The API server's refusal is the error.
    pub async fn try_apply(&self, name: &str, spec: Value) -> Result<Node<'_>, kube::Error> {
        let object = json!({"apiVersion": "status.im/v1alpha1", "kind": "StatusNode", "metadata": {"name": name}, "spec": spec});
        self.statusnodes().patch(name, &PatchParams::apply("e2e").force(), &Patch::Apply(object)).await?;
        Ok(Node { env: self, name: name.to_owned() })
    }

    /// [`Self::try_apply`], which has to succeed.
    pub async fn apply(&self, name: &str, spec: Value) -> Node<'_> {
        self.try_apply(name, spec).await.expect("the StatusNode is accepted")
    }

    /// Applies a `StatusNode` and waits until it is Ready and can be reached.
    pub async fn ready(&self, name: &str, spec: Value) -> Node<'_> {
        let node = self.apply(name, spec).await;
        node.wait_ready().await;
        node.wait_reachable().await;
        node
    }
}

impl Node<'_> {
    /// The whole object.
    pub async fn object(&self) -> Value {
        serde_json::to_value(self.env.statusnodes().get(&self.name).await.expect("the StatusNode is there"))
            .unwrap()
    }

    /// `status.conditions` entry of that type: (status, reason, message).
    pub async fn condition(&self, kind: &str) -> Option<(String, String, String)> {
        let object = self.object().await;
        let all = object["status"]["conditions"].as_array()?;
        let found = all.iter().find(|c| c["type"] == kind)?;
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason"), text("message")))
    }

    /// Waits until the condition has this status; gives its reason and message.
    pub async fn wait_condition(&self, kind: &str, status: &str, bound: Duration) -> (String, String) {
        let what = format!("{} {kind}={status}", self.name);
        within(&what, bound, || async {
            let object = self.object().await;
            let observed = &object["status"]["observedGeneration"];
            if observed != &object["metadata"]["generation"] {
                return Err(format!(
                    "generation {} not observed yet ({observed})",
                    object["metadata"]["generation"]
                ));
            }
            match self.condition(kind).await {
                Some((s, reason, message)) if s == status => Ok((reason, message)),
                other => Err(format!("{other:?}")),
            }
        })
        .await
        .0
    }

    /// Waits until Ready is true at the present generation.
    pub async fn wait_ready(&self) {
        self.wait_condition("Ready", "True", Duration::from_secs(180)).await;
    }

    /// Waits until each public address passes connections: a load balancer's own checks come after readiness.
    async fn wait_reachable(&self) {
        for replica in self.replicas().await {
            let external = &replica["external"];
            if let (Some(address), Some(port)) = (external["address"].as_str(), external["tcpPort"].as_u64())
            {
                let address = format!("{address}:{port}");
                eventually(&format!("{address} passes connections"), || TcpStream::connect(&address)).await;
            }
        }
    }

    /// `status.nodes`, in order of ordinals.
    pub async fn replicas(&self) -> Vec<Value> {
        self.object().await["status"]["nodes"].as_array().cloned().unwrap_or_default()
    }

    /// The published enodes, in order of ordinals.
    pub async fn enodes(&self) -> Vec<String> {
        let of = |n: &Value| n["enode"].as_str().unwrap_or_else(|| panic!("no enode in {n}")).to_owned();
        self.replicas().await.iter().map(of).collect()
    }

    /// Merges a change into the object, as `kubectl patch --type merge` does.
    pub async fn patch(&self, change: Value) {
        let all = self.env.statusnodes();
        all.patch(&self.name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .expect("the change is accepted");
    }

    /// Deletes the object and waits until its pods are gone.
    pub async fn delete(&self) {
        self.env.statusnodes().delete(&self.name, &DeleteParams::default()).await.expect("deleted");
        let pods: Api<Pod> = Api::namespaced(self.env.client.clone(), &self.env.namespace);
        within("pods and object gone", Duration::from_secs(150), || async {
            let left = pods.list(&Default::default()).await.map_err(|e| e.to_string())?.items.len();
            let there =
                self.env.statusnodes().get_opt(&self.name).await.map_err(|e| e.to_string())?.is_some();
            if left == 0 && !there { Ok(()) } else { Err(format!("{left} pods left, object there: {there}")) }
        })
        .await;
    }

    /// The pod of a replica.
    pub fn pod(&self, ordinal: u32) -> String {
        format!("{}-{ordinal}-0", self.name)
    }

    /// A pod's uid and the restarts of its container: both stay the same while nothing restarts.
    pub async fn incarnation(&self, ordinal: u32) -> (String, i32) {
        let pods: Api<Pod> = Api::namespaced(self.env.client.clone(), &self.env.namespace);
        let pod = pods.get(&self.pod(ordinal)).await.expect("the pod is there");
        let restarts = pod
            .status
            .and_then(|s| s.container_statuses)
            .into_iter()
            .flatten()
            .map(|c| c.restart_count)
            .sum();
        (pod.metadata.uid.expect("uid"), restarts)
    }

    /// Calls a JSON-RPC method of a replica through the API server's pod proxy (the one way in that needs no policy).
    pub async fn rpc(&self, ordinal: u32, method: &str, params: Value) -> Result<Value, String> {
        let url = format!("/api/v1/namespaces/{}/pods/{}:8545/proxy/", self.env.namespace, self.pod(ordinal));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = http::Request::post(url)
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .map_err(|e| e.to_string())?;
        let text = self.env.client.request_text(request).await.map_err(|e| e.to_string())?;
        let answer: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        if answer["error"].is_null() {
            Ok(answer["result"].clone())
        } else {
            Err(answer["error"].to_string())
        }
    }

    /// Reads a path of a replica's metrics port through the API server's pod proxy.
    pub async fn get(&self, ordinal: u32, path: &str) -> Result<String, String> {
        let url =
            format!("/api/v1/namespaces/{}/pods/{}:9090/proxy{path}", self.env.namespace, self.pod(ordinal));
        let request = http::Request::get(url).body(Vec::new()).map_err(|e| e.to_string())?;
        self.env.client.request_text(request).await.map_err(|e| e.to_string())
    }
}

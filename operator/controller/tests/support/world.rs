//! The rest of the cluster, played on the fake API server: load balancers, volumes, the StatefulSet controller, the
//! kubelet; and the operator, started and stopped at will.

use std::time::Duration;

use serde_json::{Value, json};
use status_operator::{
    controller::{Config, Operator},
    metrics::Metrics,
};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{FakeApi, objects::Path};

/// A running operator.
pub(crate) struct Running {
    task: JoinHandle<()>,
    stop: CancellationToken,
    pub(crate) metrics: Metrics,
}

impl Running {
    /// Starts an operator that watches the namespaces, all when there is none.
    pub(crate) fn start(api: &FakeApi, scopes: &[&str]) -> Self {
        let config = Config {
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            node_image: "example/node:1".into(),
            operator: None,
            instance: "test".into(),
            concurrency: 4,
            probe_concurrency: 1,
        };
        let (client, stop, metrics) = (api.client(), CancellationToken::new(), Metrics::new().unwrap());
        let (stopped, counted) = (stop.clone(), metrics.clone());
        let task = tokio::spawn(async move {
            Operator::start(client, config, counted).await.run(stopped).await.unwrap();
        });
        Self { task, stop, metrics }
    }

    /// Stops it as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Stops it as SIGKILL does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Lets the operator and the rest of the cluster work until neither has anything to do.
pub(crate) async fn settle(api: &FakeApi) {
    let mut quiet = 0;
    for _ in 0..200 {
        sleep(Duration::from_secs(1)).await;
        let before = api.contents();
        play(api);
        sleep(Duration::from_secs(1)).await;
        quiet = if api.contents() == before { quiet + 1 } else { 0 };
        // Longer than the pause after a failure, shorter than the regular look.
        if quiet == 4 {
            return;
        }
    }
    panic!("the cluster does not come to rest");
}

/// One round of everything but the operator.
pub(crate) fn play(api: &FakeApi) {
    api.collect_garbage();
    for service in api.list("services") {
        let waits = service["status"]["loadBalancer"]["ingress"].is_null();
        if service["spec"]["type"] == "LoadBalancer" && waits {
            let name = text(&service, "/metadata/name");
            let last = name.bytes().fold(1_u8, |a, b| a.wrapping_mul(33).wrapping_add(b));
            set_address(api, &Path::of(&service), &format!("198.51.100.{last}"));
        }
    }
    for claim in api.list("persistentvolumeclaims") {
        if claim["status"]["phase"].is_null() {
            let size = claim["spec"]["resources"]["requests"]["storage"].clone();
            api.change(&Path::of(&claim), |c| {
                c["spec"]["volumeName"] = json!("pv");
                c["status"] = json!({"phase": "Bound", "capacity": {"storage": size}});
            });
        }
    }
    for set in api.list("statefulsets") {
        play_stateful_set(api, &set);
    }
}

/// Gives a Service an address, as a load balancer does.
pub(crate) fn set_address(api: &FakeApi, service: &Path, ip: &str) {
    api.change(service, |s| s["status"]["loadBalancer"] = json!({"ingress": [{"ip": ip}]}));
}

fn play_stateful_set(api: &FakeApi, set: &Value) {
    let (namespace, name) = (text(set, "/metadata/namespace"), text(set, "/metadata/name"));
    let pod_path = Path::new("pods", &namespace, &format!("{name}-0"));
    let revision = format!("{name}-{}", set["metadata"]["generation"]);
    let wanted = set["spec"]["replicas"] == 1;
    let live = api.get(&pod_path);
    let current = live.as_ref().is_some_and(|p| p["metadata"]["labels"]["revision"] == revision.as_str());
    if live.is_some() && !(wanted && current) {
        api.remove(&pod_path);
    }
    if wanted && !current {
        let template = &set["spec"]["template"];
        let mut metadata = template["metadata"].clone();
        metadata["name"] = json!(pod_path.name);
        metadata["namespace"] = json!(namespace);
        metadata["labels"]["revision"] = json!(revision);
        metadata["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name,
            "uid": set["metadata"]["uid"], "controller": true}]);
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = json!({"phase": "Running", "conditions": [ready]});
        api.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"],
            "status": status}));
    }
    let count = u8::from(wanted);
    let status = json!({"observedGeneration": set["metadata"]["generation"], "replicas": count,
        "readyReplicas": count, "availableReplicas": count, "currentReplicas": count, "updatedReplicas": count,
        "currentRevision": revision, "updateRevision": revision});
    if set["status"] != status {
        api.change(&Path::of(set), |s| s["status"] = status);
    }
}

/// A `StatusNode` with three nodes, history and public addresses.
pub(crate) fn mail(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "status.im/v1alpha1", "kind": "StatusNode",
        "metadata": {"namespace": namespace, "name": name},
        // As the API server stores it: with the defaults that the schema has.
        "spec": {"mode": "Mailserver", "replicas": 3, "update": {"strategy": "Ready"}}
    })
}

/// The path of a `StatusNode`.
pub(crate) fn node(namespace: &str, name: &str) -> Path {
    Path::new("statusnodes", namespace, name)
}

/// Status and reason of a condition; `None` when it is absent.
pub(crate) fn condition(api: &FakeApi, node: &Path, kind: &str) -> Option<(String, String)> {
    let node = api.get(node)?;
    let found = node["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)?.clone();
    Some((text(&found, "/status"), text(&found, "/reason")))
}

/// A string in a value; empty when it is not there.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

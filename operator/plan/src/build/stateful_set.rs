//! The StatefulSet of one node: one replica, its own identity, volume and live file (design §3).

use serde_json::{Map, Value, json};
use statusnode_api::SecretKeyRef;

use crate::{
    Object, ObjectKind,
    build::{Base, CONTAINER, Owner, PORT_METRICS, PORT_P2P, PORT_P2P_UDP, PORT_RPC, config::paths, set},
    hash, names,
    world::{Replica, SharedSecret, World, role},
};

/// User, group and volume group of the node's process.
const USER: i64 = 65532;
/// Time to finish replies, flush and close the store.
const GRACE_SECONDS: i64 = 120;

/// The StatefulSet of `replica` with the configuration in ConfigMap `config`; `None` while its key or a Secret that it
/// mounts is not there: its pod could not start.
pub(crate) fn stateful_set(world: &World<'_>, replica: &Replica<'_>, config: &str) -> Option<Object> {
    let settings = world.settings;
    let template = template(world, replica, config)?;
    let base = Base {
        kind: ObjectKind::StatefulSet,
        name: names::stateful_set(&settings.name, replica.ordinal),
        component: names::COMPONENT_NODE,
        ordinal: Some(replica.ordinal),
        owner: Owner::Resource,
    };
    let hash = hash::of_json(&template);
    Some(base.object(
        settings,
        super::annotation(names::ANNOTATION_TEMPLATE_HASH, Some(&hash)),
        json!({"spec": {
            "replicas": settings.pods_per_ordinal(),
            "serviceName": names::headless(&settings.name),
            "selector": {"matchLabels": names::pod_selector(&settings.name, Some(replica.ordinal))},
            // With OrderedReady a pod that never became ready would not be replaced by a better one.
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
            "revisionHistoryLimit": 2,
            "template": template,
        }}),
    ))
}

fn template(world: &World<'_>, replica: &Replica<'_>, config: &str) -> Option<Value> {
    let settings = world.settings;
    let pod = &settings.spec.pod;
    let mut labels: Map<String, Value> = pod.labels.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
    let mut own = names::owned_labels(&settings.name);
    own.extend(names::pod_selector(&settings.name, Some(replica.ordinal)));
    own.insert("status.im/mode".to_owned(), role(settings.spec.mode).to_owned());
    labels.extend(own.into_iter().map(|(key, value)| (key, json!(value))));
    let (volumes, mounts) = volumes(world, replica, config)?;
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container(world, mounts)],
        "volumes": volumes,
    });
    schedule(world, &mut spec);
    let mut metadata = json!({"labels": labels});
    if !pod.annotations.is_empty() {
        set(&mut metadata, "annotations", json!(pod.annotations));
    }
    Some(json!({"metadata": metadata, "spec": spec}))
}

fn container(world: &World<'_>, mounts: Vec<Value>) -> Value {
    let settings = world.settings;
    let ports = settings.ports;
    let probe = |path: &str, period: i32, timeout: i32, failures: i32| {
        json!({
            "httpGet": {"path": path, "port": PORT_METRICS},
            "periodSeconds": period,
            "timeoutSeconds": timeout,
            "failureThreshold": failures,
        })
    };
    let resources = match &settings.spec.pod.resources {
        Some(resources) => serde_json::to_value(resources).unwrap_or_default(),
        None => json!({"requests": {"cpu": "50m", "memory": "64Mi"}}),
    };
    let mut container = json!({
        "name": CONTAINER,
        "image": settings.image,
        "args": ["-c", format!("{}/{}", paths::CONFIG_DIR, paths::CONFIG_FILE)],
        "ports": [
            {"name": PORT_P2P, "containerPort": ports.p2p, "protocol": "TCP"},
            {"name": PORT_P2P_UDP, "containerPort": ports.p2p, "protocol": "UDP"},
            {"name": PORT_RPC, "containerPort": ports.rpc, "protocol": "TCP"},
            {"name": PORT_METRICS, "containerPort": ports.metrics, "protocol": "TCP"},
        ],
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        // Five minutes for a store that recovers; then a minute without a sign of life is the end.
        "startupProbe": probe("/livez", 1, 5, 300),
        "livenessProbe": probe("/livez", 10, 5, 6),
        "readinessProbe": probe("/readyz", 2, 5, 3),
        "volumeMounts": mounts,
    });
    if let Some(policy) = settings.spec.image_pull_policy {
        set(&mut container, "imagePullPolicy", json!(policy.as_str()));
    }
    container
}

/// Each source is mounted as a whole directory: a file mounted by subPath would never change.
fn volumes(world: &World<'_>, replica: &Replica<'_>, config: &str) -> Option<(Vec<Value>, Vec<Value>)> {
    let settings = world.settings;
    let crate::identity::Identity::Known { secret: key, .. } = &replica.identity else { return None };
    let live = names::live(&settings.name, replica.ordinal);
    let mut volumes = vec![
        json!({"name": "config", "configMap": {"name": config}}),
        json!({"name": "live", "configMap": {"name": live}}),
        secret("identity", key, paths::IDENTITY_FILE),
    ];
    let mut mounts = vec![
        mount("config", paths::CONFIG_DIR, true),
        mount("live", paths::LIVE_DIR, true),
        mount("identity", paths::IDENTITY_DIR, true),
    ];
    let shared = [
        (&world.token, "rpc-token", paths::TOKEN_DIR, paths::TOKEN_FILE),
        (&world.password, "mail-password", paths::PASSWORD_DIR, paths::PASSWORD_FILE),
    ];
    for (state, name, directory, file) in shared {
        match state {
            SharedSecret::NotWanted => {}
            SharedSecret::Ready(reference) | SharedSecret::Absent(reference) => {
                volumes.push(secret(name, reference, file));
                mounts.push(mount(name, directory, true));
            }
            SharedSecret::Waiting(_) | SharedSecret::Conflict(_) => return None,
        }
    }
    volumes.push(if settings.volume.is_some() {
        let claim = names::volume_claim(&settings.name, replica.ordinal);
        json!({"name": "data", "persistentVolumeClaim": {"claimName": claim}})
    } else {
        json!({"name": "data", "emptyDir": {"sizeLimit": "1Gi"}})
    });
    mounts.push(mount("data", paths::DATA_DIR, false));
    volumes.push(json!({"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}));
    mounts.push(mount("tmp", "/tmp", false));
    Some((volumes, mounts))
}

fn secret(volume: &str, reference: &SecretKeyRef, file: &str) -> Value {
    json!({"name": volume, "secret": {
        "secretName": reference.name,
        "defaultMode": 0o440,
        "items": [{"key": reference.key, "path": file}],
    }})
}

fn mount(volume: &str, path: &str, read_only: bool) -> Value {
    if read_only {
        json!({"name": volume, "mountPath": path, "readOnly": true})
    } else {
        json!({"name": volume, "mountPath": path})
    }
}

fn schedule(world: &World<'_>, spec: &mut Value) {
    let settings = world.settings;
    let pod = &settings.spec.pod;
    if !settings.spec.image_pull_secrets.is_empty() {
        set(spec, "imagePullSecrets", json!(settings.spec.image_pull_secrets));
    }
    if !pod.node_selector.is_empty() {
        set(spec, "nodeSelector", json!(pod.node_selector));
    }
    if !pod.tolerations.is_empty() {
        set(spec, "tolerations", json!(pod.tolerations));
    }
    if let Some(affinity) = &pod.affinity {
        set(spec, "affinity", json!(affinity));
    }
    if let Some(class) = &pod.priority_class_name {
        set(spec, "priorityClassName", json!(class));
    }
    let spread = if pod.topology_spread_constraints.is_empty() {
        let selector = json!({"matchLabels": names::pod_selector(&settings.name, None)});
        let over = |key: &str| {
            json!({
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": selector,
            })
        };
        json!([over("kubernetes.io/hostname"), over("topology.kubernetes.io/zone")])
    } else {
        json!(pod.topology_spread_constraints)
    };
    set(spec, "topologySpreadConstraints", spread);
}

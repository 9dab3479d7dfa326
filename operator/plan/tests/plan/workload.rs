//! The pod and its walls: the contract with the node, Pod Security, who may connect. Design §3 (Workload).

use std::{io, path::Path};

use node_config::{Environment, Flags, LiveFile, Parsed};
use serde_json::{Value, json};
use statusnode_plan::ObjectKind;

use crate::cluster::Cluster;

fn pod(cluster: &Cluster) -> Value {
    cluster.applied(ObjectKind::StatefulSet, "mail-0")["spec"]["template"].clone()
}

fn config_text(cluster: &Cluster) -> String {
    let name = cluster.config_names().into_iter().next().unwrap();
    cluster.observed.objects.config_maps[&name].data.as_ref().unwrap()["config.json"].clone()
}

/// The node itself reads what the operator writes, and understands it as meant.
#[test]
fn the_node_accepts_its_configuration() {
    let mut cluster = Cluster::with(
        2,
        ", p2p: {port: 30404}, rpc: {port: 8600, modules: [admin, net]}, metrics: {port: 9100}, \
         network: {maxPeers: 77}, storage: {size: 10Gi}, mailserver: {retention: {maxAge: 36h30m, maxSize: 6Gi}}",
    );
    cluster.settle();
    let args = pod(&cluster)["spec"]["containers"][0]["args"].clone();
    let args: Vec<String> = serde_json::from_value(args).unwrap();
    assert_eq!(args, ["-c", "/etc/statusd/config/config.json"]);
    let Ok(Parsed::Run(flags)) = Flags::parse_args(args.into_iter().map(Into::into)) else {
        panic!("the node refuses its arguments")
    };
    let files = [("config.json".to_owned(), config_text(&cluster))];
    let read = |path: &Path| match path.to_str() {
        Some("/etc/statusd/config/config.json") => Ok(files[0].1.clone()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let loaded = node_config::load(&flags, &Environment::default(), read).unwrap();
    assert_eq!(loaded.warnings.len(), 0, "{:?}", loaded.warnings);
    let config = loaded.config;
    assert_eq!(config.listen.port, 30404);
    assert_eq!(config.max_peers, 77);
    assert_eq!(config.live_dir.unwrap().to_str(), Some("/etc/statusd/live"));
    let node_config::Identity::File(key) = config.identity else { panic!("the key is a file") };
    assert_eq!(key.to_str(), Some("/etc/statusd/identity/nodekey"));
    let http = config.http.unwrap();
    assert_eq!(
        (http.host.as_str(), http.port, http.modules),
        ("0.0.0.0", 8600, vec!["admin".to_owned(), "net".to_owned()])
    );
    assert_eq!(http.virtual_hosts, ["*"]);
    assert_eq!(http.token_file.unwrap().to_str(), Some("/etc/statusd/rpc/token"));
    let metrics = config.metrics.unwrap();
    assert_eq!((metrics.host.as_str(), metrics.port), ("0.0.0.0", 9100));
    assert!(config.mailserver.is_some());
    let file: Value = serde_json::from_str(&files[0].1).unwrap();
    let waku = &file["WakuConfig"];
    assert_eq!(waku["MailServerRetentionSeconds"], 36 * 3600 + 30 * 60);
    assert_eq!(waku["MailServerMaxBytes"], 6_u64 << 30);
    assert_eq!(waku["MailServerPassword"], "status-offline-inbox");
    let live = serde_json::to_string(&cluster.live_file(0)).unwrap();
    assert_eq!(LiveFile::parse("live.json", &live).unwrap().static_peers.len(), 1);
}

#[test]
fn a_relay_keeps_no_history_and_has_no_volume() {
    let mut cluster = Cluster::with(1, "");
    cluster.edit(|node| node.spec.mode = statusnode_api::Mode::Relay);
    cluster.settle();
    let config: Value = serde_json::from_str(&config_text(&cluster)).unwrap();
    assert_eq!(config["WakuConfig"]["EnableMailServer"], false);
    assert!(cluster.observed.objects.volume_claims.is_empty());
    let volumes = pod(&cluster)["spec"]["volumes"].clone();
    let data = volumes.as_array().unwrap().iter().find(|volume| volume["name"] == "data").unwrap().clone();
    assert_eq!(data, json!({"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}));
}

#[test]
fn a_named_password_is_a_file_and_never_in_the_configuration() {
    let mut cluster = Cluster::with(1, ", mailserver: {passwordSecretKeyRef: {name: p, key: secret-word}}");
    cluster.settle();
    assert_eq!(cluster.condition("Ready"), "False WaitingForSecret");
    assert_eq!(cluster.message("Ready"), "spec.mailserver.passwordSecretKeyRef: Secret p does not exist");
    assert!(cluster.observed.objects.stateful_sets.is_empty());
    let mut secret = k8s_openapi::api::core::v1::Secret::default();
    cluster.secrets.insert("p".to_owned(), secret.clone());
    cluster.settle();
    assert_eq!(
        cluster.message("Ready"),
        "spec.mailserver.passwordSecretKeyRef: Secret p has no key \"secret-word\""
    );
    let value = k8s_openapi::ByteString(b"hidden".to_vec());
    secret.data = Some([("secret-word".to_owned(), value)].into());
    cluster.secrets.insert("p".to_owned(), secret);
    cluster.settle();
    let config: Value = serde_json::from_str(&config_text(&cluster)).unwrap();
    assert_eq!(config["WakuConfig"]["MailServerPassword"], json!(null));
    assert_eq!(config["WakuConfig"]["MailServerPasswordFile"], "/etc/statusd/secrets/password");
    let volume = &pod(&cluster)["spec"]["volumes"][4];
    assert_eq!(volume["secret"]["items"], json!([{"key": "secret-word", "path": "password"}]));
}

/// Pod Security `restricted` (Kubernetes), and design §3 (Workload).
#[test]
fn the_pod_is_restricted() {
    let mut cluster = Cluster::with(1, "");
    cluster.settle();
    let spec = &pod(&cluster)["spec"];
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(spec["securityContext"]["runAsUser"], 65532);
    assert_eq!(spec["securityContext"]["fsGroup"], 65532);
    assert_eq!(spec["securityContext"]["fsGroupChangePolicy"], "OnRootMismatch");
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(spec["terminationGracePeriodSeconds"], 120);
    for absent in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
        assert_eq!(spec[absent], json!(null), "{absent}");
    }
    let containers = spec["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    let context = &containers[0]["securityContext"];
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
    for port in containers[0]["ports"].as_array().unwrap() {
        assert_eq!(port["hostPort"], json!(null));
    }
    for volume in spec["volumes"].as_array().unwrap() {
        assert_eq!(volume["hostPath"], json!(null));
    }
    for mount in containers[0]["volumeMounts"].as_array().unwrap() {
        assert_eq!(mount["subPath"], json!(null), "a subPath is never updated");
        let writable = ["/data", "/tmp"].contains(&mount["mountPath"].as_str().unwrap());
        assert_eq!(mount["readOnly"] == json!(true), !writable);
    }
    let paths = ["startupProbe", "livenessProbe", "readinessProbe"]
        .map(|p| containers[0][p]["httpGet"]["path"].clone());
    assert_eq!(paths, ["/livez", "/livez", "/readyz"]);
}

#[test]
fn labels_of_the_user_never_replace_ours() {
    let mut cluster = Cluster::with(
        1,
        ", pod: {labels: {app.kubernetes.io/instance: mine, status.im/ordinal: '9', team: a}, annotations: {x: y}}",
    );
    cluster.settle();
    let metadata = &pod(&cluster)["metadata"];
    assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], "mail");
    assert_eq!(metadata["labels"]["status.im/ordinal"], "0");
    assert_eq!(metadata["labels"]["team"], "a");
    assert_eq!(metadata["annotations"], json!({"x": "y"}));
    let selector =
        cluster.applied(ObjectKind::StatefulSet, "mail-0")["spec"]["selector"]["matchLabels"].clone();
    for (key, value) in selector.as_object().unwrap() {
        assert_eq!(metadata["labels"][key], *value);
    }
}

fn ingress(cluster: &Cluster) -> Vec<Value> {
    let policy = cluster.applied(ObjectKind::NetworkPolicy, "mail");
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress"]));
    policy["spec"]["ingress"].as_array().unwrap().clone()
}

/// P2P for everybody, RPC for nobody, metrics for the operator.
#[test]
fn by_default_only_the_peer_to_peer_port_is_open() {
    let mut cluster = Cluster::with(1, "");
    cluster.settle();
    let rules = ingress(&cluster);
    assert_eq!(rules.len(), 2, "{rules:?}");
    assert_eq!(rules[0]["from"], json!(null));
    assert_eq!(
        rules[0]["ports"],
        json!([{"protocol": "TCP", "port": 30303}, {"protocol": "UDP", "port": 30303}])
    );
    assert_eq!(rules[1]["ports"], json!([{"protocol": "TCP", "port": 9090}]));
    assert_eq!(
        rules[1]["from"],
        json!([{
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "status-operator"}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "status-operator"}},
        }])
    );
}

/// A rollout goes from node to node: those that still have the former ports stay reachable, for the same clients.
#[test]
fn while_ports_change_the_former_ones_stay_open_as_long_as_a_pod_has_them() {
    let mut cluster =
        Cluster::with(2, ", update: {strategy: Ready}, rpc: {allowedFrom: [{podSelector: {}}]}");
    cluster.bring_up();
    cluster.edit(|node| {
        node.spec.p2p.port = 30404;
        node.spec.rpc.port = 8600;
        node.spec.metrics.port = 9100;
    });
    let open = |cluster: &Cluster| -> Vec<Vec<u64>> {
        let ports = |rule: &Value| {
            rule["ports"].as_array().unwrap().iter().map(|port| port["port"].as_u64().unwrap()).collect()
        };
        ingress(cluster).iter().map(ports).collect()
    };
    let both = vec![vec![30303, 30303, 30404, 30404], vec![8545, 8600], vec![9090, 9100]];
    cluster.settle();
    assert_eq!(open(&cluster), both);
    cluster.run_pod("mail-0", true);
    cluster.settle();
    assert_eq!(open(&cluster), both, "mail-1 has the former");
    assert!(ingress(&cluster)[1..].iter().all(|rule| rule["from"].as_array().is_some_and(|f| !f.is_empty())));
    cluster.run_pod("mail-1", true);
    cluster.settle();
    assert_eq!(open(&cluster), [vec![30404, 30404], vec![8600], vec![9100]]);
    assert_eq!(cluster.condition("Ready"), "True AllReady");
}

/// A rule whose `from` is empty would let everybody in.
#[test]
fn no_rule_is_ever_without_a_source_but_that_of_peer_to_peer() {
    let access =
        "[{podSelector: {matchLabels: {a: b}}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]";
    for rpc in ["[]", access] {
        for metrics in ["[]", access] {
            for operator in [true, false] {
                let spec = format!(", rpc: {{allowedFrom: {rpc}}}, metrics: {{allowedFrom: {metrics}}}");
                let mut cluster = Cluster::with(1, &spec);
                if !operator {
                    cluster.observed.environment.operator = None;
                }
                cluster.settle();
                let rules = ingress(&cluster);
                let expected = 1 + usize::from(rpc == access) + usize::from(metrics == access || operator);
                assert_eq!(rules.len(), expected);
                for rule in &rules[1..] {
                    assert!(!rule["from"].as_array().unwrap().is_empty());
                }
            }
        }
    }
}

#[test]
fn rpc_is_a_cluster_address_whatever_the_exposure() {
    for exposure in ["None", "ClusterIP", "LoadBalancer"] {
        let mut cluster = Cluster::with(1, &format!(", p2p: {{exposure: {{type: {exposure}}}}}"));
        cluster.settle();
        for name in ["mail-rpc", "mail-metrics", "mail-headless"] {
            let spec = cluster.applied(ObjectKind::Service, name)["spec"].clone();
            assert_eq!(spec["type"], "ClusterIP", "{name}");
            assert_eq!(spec["publishNotReadyAddresses"] == json!(true), name != "mail-rpc", "{name}");
        }
    }
}

#[test]
fn the_drain_budget_never_blocks_for_a_pod_that_is_down() {
    let mut cluster = Cluster::mailservers();
    cluster.settle();
    let spec = cluster.applied(ObjectKind::PodDisruptionBudget, "mail")["spec"].clone();
    assert_eq!(spec["maxUnavailable"], 1);
    assert_eq!(spec["unhealthyPodEvictionPolicy"], "AlwaysAllow");
}

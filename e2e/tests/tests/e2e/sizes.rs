//! What the programs cost at rest, by the kernel's own figures, and how large their images are.

use std::time::{Duration, Instant};

use e2e_tests::{Access, OPERATOR_NAMESPACE, Process, kubectl, mailserver, only_process, operator_pod, test};
use serde_json::Value;

/// As the kernel and the tools of operators count memory.
const MB: u64 = 1 << 20;
/// How long memory is looked at; the largest figure counts.
const WATCHED: Duration = Duration::from_secs(30);

/// The largest resident memory of each process over [`WATCHED`], bytes.
async fn peaks(processes: &[Process]) -> Vec<u64> {
    let mut peaks = vec![0; processes.len()];
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        for (peak, process) in peaks.iter_mut().zip(processes) {
            *peak = process.resident_bytes().max(*peak);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    peaks
}

#[test]
fn three_idle_nodes_and_their_operator_are_small() {
    test("sizes", Access::Exclusive, |env| async move {
        let node = env.ready("small", mailserver(3)).await;
        // Every part has been used once: history by the canary, each replica by the others.
        node.wait_condition("CanaryPassing", "True", Duration::from_secs(90)).await;
        let mut processes = vec![only_process(OPERATOR_NAMESPACE, &operator_pod().await).await];
        for ordinal in 0..3 {
            processes.push(only_process(&env.namespace, &node.pod(ordinal)).await);
        }
        let names: Vec<&str> = processes.iter().map(|process| process.name.as_str()).collect();
        assert_eq!(names, ["status-operator", "statusd", "statusd", "statusd"]);

        let peaks = peaks(&processes).await;
        eprintln!("resident at rest, bytes: operator {}, nodes {:?}", peaks[0], &peaks[1..]);
        // The node says the same of itself, so that a user's dashboard shows what was measured here.
        let metrics = node.get(0, "/metrics").await.unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        let said: u64 = line.expect("the metric").parse().unwrap();
        assert!(said.abs_diff(peaks[1]) < 4 * MB, "the node says {said}, the kernel {}", peaks[1]);
        assert!(peaks[0] <= 40 * MB, "operator: {}", peaks[0]);
        // 2 MB above the budget for an idle mailserver: docs/performance.md, "Memory", says what they are.
        assert!(peaks[1..].iter().all(|node| *node <= 22 * MB), "nodes: {:?}", &peaks[1..]);
    });
}

#[test]
fn the_images_are_small() {
    test("images", Access::Shared, |_env| async move {
        let nodes = kubectl(&["get", "nodes", "-o", "json"]).await.json();
        let images = nodes["items"][0]["status"]["images"].as_array().expect("images").clone();
        for variable in ["NODE_IMAGE", "OPERATOR_IMAGE"] {
            let name = std::env::var(variable).expect(variable);
            let is_it = |image: &&Value| image["names"].as_array().into_iter().flatten().any(|n| *n == *name);
            let image = images.iter().find(is_it).unwrap_or_else(|| panic!("no {name} in {images:?}"));
            let bytes = image["sizeBytes"].as_u64().unwrap();
            eprintln!("image {name}: {bytes} bytes");
            assert!((MB..=60 * MB).contains(&bytes), "{name}: {bytes} bytes");
        }
    });
}

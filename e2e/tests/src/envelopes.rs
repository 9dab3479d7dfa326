//! Envelopes as a client outside posts them and gets them back: every byte, by hash.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::program::{Output, statusctl};
use crate::wait::eventually;

/// Hash of each envelope → its bytes on the wire, both in hexadecimal.
pub type Envelopes = BTreeMap<String, String>;

/// Waits until an enode leads to its node: a load balancer gives an address a moment before it passes connections on.
pub async fn reachable(enode: &str) {
    eventually("the enode leads to its node", || async {
        let out = statusctl(&["connect", enode]).await;
        if out.code == Some(0) { Ok(()) } else { Err(out.stderr) }
    })
    .await;
}

/// Posts so many envelopes to a node, each confirmed: the node says that it has stored it.
pub async fn post(enode: &str, topic: &str, count: u32) -> Envelopes {
    reachable(enode).await;
    let count_text = count.to_string();
    let args = ["post", enode, "--topic", topic, "--count", &count_text, "--confirm", "--in-flight", "10"];
    let posted = once_each(statusctl(&args).await.json_lines());
    assert_eq!(posted.len(), count as usize);
    posted
}

/// The last day's history of a topic. `Err` when the node cannot be asked; an envelope that comes twice is a failure.
pub async fn history(enode: &str, topic: &str) -> Result<Envelopes, String> {
    let out: Output = statusctl(&["history", enode, "--topic", topic, "--all"]).await;
    if out.code != Some(0) {
        return Err(out.stderr);
    }
    Ok(once_each(out.json_lines().into_iter().filter(|line| line["type"] == "envelope").collect()))
}

pub(crate) fn once_each(lines: Vec<Value>) -> Envelopes {
    let mut all = Envelopes::new();
    for line in lines {
        let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("no {key} in {line}")).to_owned();
        assert_eq!(all.insert(text("hash"), text("raw")), None, "{} came twice", line["hash"]);
    }
    all
}

//! `statusd archive stats`.

use serde_json::Value;

use super::{HOUR, archive_of, count, done, filled, hourly, node_with, now, run};
use crate::program::Setup;

#[test]
fn counts_times_and_days_add_up() {
    let setup = Setup::default();
    let envelopes = hourly(72);
    filled(&archive_of(&setup), &envelopes);
    let json: Value = serde_json::from_str(&done(&run(&setup, &["stats", "-json"]))).unwrap();
    let bytes: usize = envelopes.iter().map(|envelope| envelope.raw().len() + 60).sum();
    assert_eq!(json["envelopes"], 72);
    assert_eq!(json["bytes"], bytes);
    assert_eq!(json["oldest"], envelopes[71].sent());
    assert_eq!(json["newest"], envelopes[0].sent());
    assert_eq!(json["floor"], 0);
    let days = json["days"].as_array().unwrap();
    let sum = |name: &str| days.iter().map(|day| day[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("envelopes"), sum("bytes")), (72, bytes as u64));
    // 72 hours touch three days or four.
    let first = envelopes[71].sent() / 86_400;
    assert_eq!(days.len(), (envelopes[0].sent() / 86_400 - first + 1) as usize);
    let text = done(&run(&setup, &["stats"]));
    for word in ["envelopes  72", days[0]["day"].as_str().unwrap(), "floor      none"] {
        assert!(text.contains(word), "{word} in {text}");
    }
}

#[test]
fn a_running_node_is_counted_too_and_not_disturbed() {
    let (setup, node) = node_with(&hourly(5));
    let json: Value = serde_json::from_str(&done(&run(&setup, &["stats", "-json"]))).unwrap();
    assert_eq!(json["envelopes"], 5);
    assert!(json["oldest"].as_u64().unwrap() < (now() - 3 * HOUR).into());
    assert_eq!(count(&node), 5);
}

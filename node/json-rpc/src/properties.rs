//! Hostile streams: split where their values end, and bounded.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Received, Splitter};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
    ];
    let nested = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z\"\\\\{}]{0,6}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    nested.prop_map(|value| json!([value]))
}

proptest! {
    #[test]
    fn a_stream_is_split_where_its_values_end(
        values in prop::collection::vec(any_json(), 0..6),
        gaps in prop::collection::vec("[ \n\t\r]{0,3}", 6),
        piece in 1_usize..40,
    ) {
        let texts: Vec<String> = values.iter().map(Value::to_string).collect();
        let stream: String = texts.iter().zip(&gaps).flat_map(|(text, gap)| [gap.as_str(), text]).collect();
        let mut splitter = Splitter::new(1 << 20);
        let mut found = Vec::new();
        for bytes in stream.as_bytes().chunks(piece) {
            splitter.push(bytes);
            while let Some(received) = splitter.next_value() {
                match received {
                    Received::Request(bytes) => found.push(String::from_utf8(bytes).unwrap()),
                    Received::Malformed => prop_assert!(false, "{stream}"),
                }
            }
        }
        prop_assert_eq!(found, texts);
    }

    #[test]
    fn no_stream_of_bytes_panics_or_grows_beyond_its_bound(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut splitter = Splitter::new(64);
        splitter.push(&bytes);
        while let Some(Received::Request(request)) = splitter.next_value() {
            prop_assert!(request.len() <= 64);
        }
    }
}

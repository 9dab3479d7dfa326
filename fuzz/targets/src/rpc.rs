//! What callers of JSON-RPC send, up to the methods (`spec/operations.md` §2.1).

use json_rpc::{Args, Body, Call, Kind, MAX_BATCH, Param, Received, Splitter};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Parameters of every kind, as methods want them.
const WANTED: &[&[Param]] = &[
    &[],
    &[wanted(Kind::Text, true), wanted(Kind::Number, false)],
    &[wanted(Kind::Texts, true), wanted(Kind::Boolean, false)],
    &[wanted(Kind::Object, false)],
    &[wanted(Kind::Array, false), wanted(Kind::Null, false)],
];

const fn wanted(kind: Kind, required: bool) -> Param {
    Param { name: "any", kind, required }
}

/// An error as it is answered.
#[derive(Deserialize)]
struct Refusal<'a> {
    jsonrpc: &'a str,
    #[serde(borrow)]
    id: &'a RawValue,
    error: Fault,
}

#[derive(Deserialize)]
struct Fault {
    code: i32,
    message: String,
}

/// The answer refuses, with one of these codes; its id, byte for byte.
fn refuses<'a>(answer: &'a str, codes: &[i32]) -> &'a str {
    let Refusal { jsonrpc, id, error } = serde_json::from_str(answer).unwrap();
    assert_eq!(jsonrpc, "2.0");
    assert!(codes.contains(&error.code) && !error.message.is_empty(), "{answer}");
    id.get()
}

fn call(text: &RawValue) {
    let Call { id, method, params } = match Call::parse(text) {
        Ok(call) => call,
        Err(answer) => {
            refuses(&answer, &[-32600]);
            return;
        }
    };
    assert!(!method.is_empty() && id.is_none_or(|id| !id.get().starts_with(['{', '['])));
    let params = params.map(RawValue::get);
    for want in WANTED {
        match Args::read(params, want) {
            Ok(args) => {
                let _ = (args.text(0), args.hex(0), args.parse::<u64>(1), args.parse::<Vec<String>>(0));
            }
            Err(fault) => {
                let answer = json_rpc::error(id, &fault);
                assert_eq!(refuses(&answer, &[-32602]), id.map_or("null", RawValue::get));
            }
        }
    }
    if let Some(id) = id {
        let answer = json_rpc::result(id, text);
        assert!(serde_json::from_str::<&RawValue>(&answer).is_ok(), "{answer}");
    }
}

/// The body of a request, a message of a WebSocket, or a value from the IPC socket.
pub fn rpc_body(data: &[u8]) {
    match Body::parse(data) {
        Ok(Body::One(text)) => call(text),
        Ok(Body::Batch(calls)) => {
            assert!((1..=MAX_BATCH).contains(&calls.len()));
            calls.into_iter().for_each(call);
        }
        Err(answer) => assert_eq!(refuses(&answer, &[-32700, -32600]), "null"),
    }
}

/// Longest value of the stream below.
const MAX_VALUE: usize = 256;

fn split(data: &[u8], piece: usize) -> Vec<Received> {
    let mut splitter = Splitter::new(MAX_VALUE);
    let mut found = Vec::new();
    for bytes in data.chunks(piece) {
        splitter.push(bytes);
        while let Some(received) = splitter.next_value() {
            found.push(received);
            if found.last() == Some(&Received::Malformed) {
                return found;
            }
        }
    }
    found
}

/// The bytes of the IPC socket: the same values whatever pieces they come in, none too long.
pub fn rpc_stream(data: &[u8]) {
    let found = split(data, data.len().max(1));
    for piece in [1, 7] {
        assert_eq!(split(data, piece), found, "in pieces of {piece}");
    }
    for received in found {
        if let Received::Request(value) = received {
            assert!(value.len() <= MAX_VALUE);
            rpc_body(&value);
        }
    }
}

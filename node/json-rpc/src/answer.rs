//! Answers, and the codes of errors. Facts: `spec/operations.md` §2.1.

use jsonrpsee_types::ErrorObjectOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::body::present;

#[derive(Serialize)]
struct Response<'a, E: Serialize> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<E>,
}

/// A registry's answer (an object with `result` or `error`) under the caller's own id.
pub fn result(id: &RawValue, answer: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Parts<'a> {
        #[serde(borrow, default, deserialize_with = "present")]
        result: Option<&'a RawValue>,
        #[serde(borrow, default, deserialize_with = "present")]
        error: Option<&'a RawValue>,
    }
    match serde_json::from_str::<Parts<'_>>(answer.get()) {
        Ok(Parts { result, error }) => to_text(&Response { jsonrpc: "2.0", id: Some(id), result, error }),
        Err(_) => error(Some(id), &crashed()),
    }
}

/// An error under the caller's id; `None` is written as `null`: there was none, or none that could be read.
pub fn error(id: Option<&RawValue>, fault: &ErrorObjectOwned) -> String {
    to_text(&Response { jsonrpc: "2.0", id, result: None, error: Some(fault) })
}

fn to_text<E: Serialize>(response: &Response<'_, E>) -> String {
    // Text, numbers and JSON that was parsed before always serialise.
    serde_json::to_string(response).unwrap_or_default()
}

/// The answer to a body that is no JSON.
pub fn parse_error() -> String {
    error(None, &fault(-32700, "parse error"))
}

/// An error of any code.
pub fn fault(code: i32, message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message, None::<()>)
}

/// An error of the caller's arguments: -32602.
pub fn invalid(message: impl Into<String>) -> ErrorObjectOwned {
    fault(-32602, message)
}

/// An error that a method returns: always -32000.
pub fn failure(message: impl Into<String>) -> ErrorObjectOwned {
    fault(-32000, message)
}

/// The error of a method that panicked.
pub fn crashed() -> ErrorObjectOwned {
    failure("method handler crashed")
}

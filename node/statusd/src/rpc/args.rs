//! Positional arguments and the reference's words for wrong ones. Facts: `spec/operations.md` §2.1 (-32602).

use jsonrpsee::types::{ErrorObjectOwned, Params};
use serde_json::Value;

fn invalid(message: String) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(-32602, message, None::<()>)
}

/// The arguments of a call that takes at most `most`.
fn positional(params: &Params<'_>, most: usize) -> Result<Vec<Value>, ErrorObjectOwned> {
    let text = params.as_str().unwrap_or("null");
    let values = match serde_json::from_str(text) {
        Ok(Value::Null) => Vec::new(),
        Ok(Value::Array(values)) => values,
        _ => return Err(invalid("non-array args".to_owned())),
    };
    if values.len() > most {
        return Err(invalid(format!("too many arguments, want at most {most}")));
    }
    Ok(values)
}

/// Refuses any argument.
pub(super) fn none(params: &Params<'_>) -> Result<(), ErrorObjectOwned> {
    positional(params, 0).map(|_| ())
}

/// The one text argument of a call.
pub(super) fn one_text(params: &Params<'_>) -> Result<String, ErrorObjectOwned> {
    match positional(params, 1)?.into_iter().next() {
        None | Some(Value::Null) => Err(invalid("missing value for required argument 0".to_owned())),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(invalid("invalid argument 0: want a string".to_owned())),
    }
}

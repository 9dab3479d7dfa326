//! One question to the running node over its socket: a line of JSON-RPC there, a line back.
//! Facts: `spec/operations.md` §2.1 (IPC).

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{error::CommandError, place::Found};

/// Most bytes of an answer.
const MAX_ANSWER: u64 = 1 << 20;

/// Calls `method` of the node that has the archive. Waits as long as the node works at it.
///
/// # Errors
/// [`CommandError::NoAnswer`], [`CommandError::OtherNode`], [`CommandError::Refused`].
pub(super) fn ask(found: &Found, method: &str, params: Value) -> Result<Value, CommandError> {
    let call = |method, params| {
        let line = exchange(&found.socket, method, params).map_err(|source| CommandError::NoAnswer {
            archive: found.archive.clone(),
            socket: found.socket.clone(),
            source,
        })?;
        answer(&line)
    };
    let has = call("mailserver_directory", json!([]))?;
    let has = PathBuf::from(has.as_str().unwrap_or_default());
    if is_other(&has, &found.archive) {
        return Err(CommandError::OtherNode {
            socket: found.socket.clone(),
            has,
            archive: found.archive.clone(),
        });
    }
    call(method, params)
}

/// Whether two paths lead to different directories, as far as can be told.
fn is_other(has: &Path, archive: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(has) != real(archive)
}

fn exchange(socket: &Path, method: &str, params: Value) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_ANSWER)).read_line(&mut line)?;
    if line.ends_with('\n') { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn answer(line: &str) -> Result<Value, CommandError> {
    let mut answer: Value = serde_json::from_str(line)
        .map_err(|error| CommandError::Refused(format!("its answer is no JSON: {error}")))?;
    if let Some(message) = answer.pointer("/error/message").and_then(Value::as_str) {
        return Err(CommandError::Refused(message.to_owned()));
    }
    Ok(answer.get_mut("result").map(Value::take).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_result_or_its_error_in_words() {
        assert_eq!(answer(r#"{"id":1,"result":{"rows":3}}"#).unwrap(), json!({"rows": 3}));
        let error = answer(r#"{"id":1,"error":{"code":-32000,"message":"disk is full"}}"#).unwrap_err();
        assert!(error.to_string().contains("refused: disk is full"), "{error}");
        assert!(answer("junk").unwrap_err().to_string().contains("no JSON"));
    }
}

//! HTTP answers as the API server gives them.

use std::convert::Infallible;

use futures::{Stream, StreamExt, stream};
use http::{Response, StatusCode};
use http_body_util::{StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

pub(super) fn ok(value: &Value) -> Answer {
    answer(StatusCode::OK, value)
}

pub(super) fn created(value: &Value) -> Answer {
    answer(StatusCode::CREATED, value)
}

pub(super) fn failure(code: StatusCode, reason: &str) -> Answer {
    answer(code, &status(code, reason))
}

pub(super) fn status(code: StatusCode, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason,
           "reason": reason, "code": code.as_u16()})
}

/// The events of a watch, a line each.
pub(super) fn lines(events: impl Stream<Item = Value> + Send + 'static) -> Answer {
    let lines = events.map(|event| {
        let mut line = serde_json::to_vec(&event).unwrap();
        line.push(b'\n');
        Ok(Frame::data(Bytes::from(line)))
    });
    Response::new(UnsyncBoxBody::new(StreamBody::new(lines)))
}

pub(super) fn answer(code: StatusCode, value: &Value) -> Answer {
    let body = Bytes::from(serde_json::to_vec(value).unwrap());
    let once = stream::once(async move { Ok(Frame::data(body)) });
    let mut answer = Response::new(UnsyncBoxBody::new(StreamBody::new(once)));
    *answer.status_mut() = code;
    answer
}

/// That of an API group which is not there: in plain text, as the real one.
pub(super) fn unknown_group() -> Answer {
    let once = stream::once(async { Ok(Frame::data(Bytes::from_static(b"404 page not found\n"))) });
    let mut answer = Response::new(UnsyncBoxBody::new(StreamBody::new(once)));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

/// That to a creation in a namespace which is being deleted.
pub(super) fn ending(namespace: &str) -> Answer {
    let mut status = status(StatusCode::FORBIDDEN, "Forbidden");
    status["details"] = json!({"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace",
        "message": format!("namespace {namespace} is being terminated")}]});
    answer(StatusCode::FORBIDDEN, &status)
}

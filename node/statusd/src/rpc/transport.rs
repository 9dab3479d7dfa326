//! JSON-RPC over HTTP: which requests get through to the methods. Facts: `spec/operations.md` §2.1.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, Response, StatusCode, header},
    response::IntoResponse,
    routing::any,
};
use http_body_util::{BodyExt as _, Limited};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::{
    WriteAccess,
    dispatch::{Authorized, Rpc},
    gzip,
    websocket::{self, WebSockets},
};
use crate::http;

/// Most bytes of a request body.
const MAX_BODY_BYTES: usize = 5 * 1024 * 1024;
/// Longest time for a request body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for WebSockets to close when the server stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Who gets through.
pub(crate) struct Access {
    /// Who may call privileged methods.
    pub(crate) write: WriteAccess,
    /// Host headers that are answered, lower case; `*` is any.
    pub(crate) virtual_hosts: Vec<String>,
    /// Origins whose pages may ask; `*` is any.
    pub(crate) origins: Vec<String>,
    /// Origins whose pages may open WebSockets; `*` is any; `None`: there are no WebSockets.
    pub(crate) websocket_origins: Option<Vec<String>>,
}

struct Front {
    rpc: Rpc,
    access: Access,
    websockets: WebSockets,
}

/// Serves HTTP and WebSocket until `stop`, then lets replies under way finish, for a bounded time.
pub(crate) async fn serve(listener: TcpListener, rpc: Rpc, access: Access, stop: CancellationToken) {
    let front = Arc::new(Front { rpc, access, websockets: WebSockets::new(stop.clone()) });
    http::serve(listener, router(Arc::clone(&front)), stop).await;
    if timeout(CLOSE_TIMEOUT, front.websockets.closed()).await.is_err() {
        tracing::warn!("WebSockets were cut off");
    }
}

fn router(front: Arc<Front>) -> Router {
    let mut calls = Router::new().route("/", any(handle));
    let origins = &front.access.origins;
    if !origins.is_empty() {
        let origins = if origins.iter().any(|origin| origin == "*") {
            AllowOrigin::any()
        } else {
            AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok()))
        };
        calls = calls.layer(
            CorsLayer::new()
                .allow_origin(origins)
                .allow_methods([Method::POST, Method::GET])
                .allow_headers(Any)
                .max_age(Duration::from_secs(600)),
        );
    }
    calls.layer(axum::middleware::from_fn_with_state(Arc::clone(&front), virtual_host)).with_state(front)
}

/// Refuses requests for other hosts, the defence against DNS rebinding.
async fn virtual_host(
    State(front): State<Arc<Front>>,
    request: Request,
    next: axum::middleware::Next,
) -> Response<Body> {
    let host = match request.headers().get(header::HOST) {
        None => None,
        Some(host) => Some(host.to_str().unwrap_or("?")),
    };
    if host.is_none_or(|host| is_allowed(host, &front.access.virtual_hosts)) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "invalid host specified\n").into_response()
    }
}

fn is_allowed(host: &str, allowed: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.is_empty()
        || name.parse::<IpAddr>().is_ok()
        || allowed.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(name))
}

async fn handle(State(front): State<Arc<Front>>, request: Request) -> Response<Body> {
    if let Some(origins) = &front.access.websocket_origins
        && request.method() == Method::GET
        && websocket::is_wanted(&request)
    {
        let (asked, shown) = (Arc::clone(&front), request.headers().get(header::AUTHORIZATION).cloned());
        let authorized = move || asked.access.authorized(shown.as_ref());
        return front.websockets.accept(request, front.rpc.clone(), authorized, origins);
    }
    let (parts, body) = request.into_parts();
    let header = |name| parts.headers.get(name).map(HeaderValue::as_bytes);
    let length: Option<u64> =
        header(header::CONTENT_LENGTH).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    match parts.method {
        Method::POST => {}
        Method::GET | Method::HEAD if length.unwrap_or(0) == 0 && parts.uri.query().is_none() => {
            return StatusCode::OK.into_response();
        }
        Method::OPTIONS => return StatusCode::OK.into_response(),
        _ => {
            return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], "method not allowed\n")
                .into_response();
        }
    }
    if length.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return too_large();
    }
    if !header(header::CONTENT_TYPE).is_some_and(is_json) {
        let text = "invalid content type, only application/json is supported\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    let body = match timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return too_large(),
        Ok(Err(_)) => return StatusCode::BAD_REQUEST.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let authorized = front.access.authorized(parts.headers.get(header::AUTHORIZATION));
    let answer = front.rpc.answer(&body, authorized, None).await.unwrap_or_default();
    respond(answer, gzip::is_accepted(&parts.headers)).await
}

const JSON: (HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

async fn respond(answer: String, compressed: bool) -> Response<Body> {
    if !compressed || answer.is_empty() {
        return ([JSON], answer).into_response();
    }
    match gzip::compress(answer).await {
        Ok(answer) => ([JSON, (header::CONTENT_ENCODING, "gzip")], answer).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer was not compressed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn too_large() -> Response<Body> {
    let text = format!("content length too large, want at most {MAX_BODY_BYTES}\n");
    (StatusCode::PAYLOAD_TOO_LARGE, text).into_response()
}

impl Access {
    /// By the value of an `Authorization` header.
    fn authorized(&self, shown: Option<&HeaderValue>) -> Authorized {
        Authorized(match &self.write {
            WriteAccess::Off => false,
            WriteAccess::Open => true,
            WriteAccess::Token(token) => token.admits(shown.map(HeaderValue::as_bytes)),
        })
    }
}

fn is_json(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    ["application/json", "application/json-rpc", "application/jsonrequest"]
        .iter()
        .any(|accepted| media_type.eq_ignore_ascii_case(accepted.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_2_1_host_headers() {
        let allowed = ["localhost".to_owned(), "mail.example".to_owned()];
        for host in
            ["localhost", "LOCALHOST:8545", "mail.example:1", "127.0.0.1:8545", "[::1]:8545", "10.0.0.1", ""]
        {
            assert!(is_allowed(host, &allowed), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8545", "?", "[mail"] {
            assert!(!is_allowed(host, &allowed), "{host}");
        }
        assert!(is_allowed("anything", &["*".to_owned()]));
    }

    #[test]
    fn ops_2_1_content_types() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json-rpc",
            "application/jsonrequest",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
        }
        for bad in ["", "text/plain", "application/jsonx", "multipart/form-data"] {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
    }
}

//! JSON-RPC over WebSocket, on the HTTP listener: the same modules and rules, and subscriptions besides.
//! A browser's page may open one only from a configured origin. Facts: `spec/operations.md` §2.1.

use std::{io, sync::Arc};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, Response, StatusCode, header},
    response::IntoResponse,
};
use futures::io::{BufReader, BufWriter};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use json_rpc::Received;
use soketto::{
    connection::{Receiver, Sender},
    data::ByteSlice125,
    handshake::http::{Server, is_upgrade_request},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{
    compat::{Compat, TokioAsyncReadCompatExt as _},
    sync::CancellationToken,
    task::TaskTracker,
};

use super::{
    connection::{self, Incoming, MAX_REQUEST_BYTES, Outgoing},
    dispatch::{Authorized, Rpc},
};

/// WebSockets open at once.
const MAX_WEBSOCKETS: usize = 64;

/// The open WebSockets of a listener.
pub(super) struct WebSockets {
    slots: Arc<Semaphore>,
    open: TaskTracker,
    stop: CancellationToken,
}

type Stream = BufReader<BufWriter<Compat<TokioIo<Upgraded>>>>;

/// Whether a request asks for a WebSocket.
pub(super) fn is_wanted<B>(request: &axum::http::Request<B>) -> bool {
    is_upgrade_request(request)
}

impl WebSockets {
    /// They are told goodbye at `stop`.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { slots: Arc::new(Semaphore::new(MAX_WEBSOCKETS)), open: TaskTracker::new(), stop }
    }

    /// Accepts a request that asks for one; what is said over it is served on a task of its own.
    pub(super) fn accept(
        &self,
        request: Request,
        rpc: Rpc,
        authorized: impl Fn() -> Authorized + Send + Sync + 'static,
        origins: &[String],
    ) -> Response<Body> {
        if !origin_is_allowed(request.headers(), origins) {
            return (StatusCode::FORBIDDEN, "origin not allowed: add it to WSOrigins\n").into_response();
        }
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return (StatusCode::SERVICE_UNAVAILABLE, "too many WebSockets are open\n").into_response();
        };
        let mut server = Server::new();
        let response = match server.receive_request(&request) {
            Ok(response) => response.map(|()| Body::empty()),
            Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
        };
        let stop = self.stop.clone();
        self.open.spawn(async move {
            match hyper::upgrade::on(request).await {
                Ok(upgraded) => serve(server, upgraded, rpc, authorized, slot, stop).await,
                Err(error) => tracing::debug!(%error, "a WebSocket was not opened"),
            }
        });
        response
    }

    /// Waits until all are closed, after the stop.
    pub(super) async fn closed(&self) {
        self.open.close();
        self.open.wait().await;
    }
}

/// A page in a browser says where it comes from; other programs say nothing.
fn origin_is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().unwrap_or_default();
    allowed.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
}

async fn serve(
    server: Server,
    upgraded: Upgraded,
    rpc: Rpc,
    authorized: impl Fn() -> Authorized + Send + Sync,
    _slot: OwnedSemaphorePermit,
    stop: CancellationToken,
) {
    let mut builder = server.into_builder(BufReader::new(BufWriter::new(TokioIo::new(upgraded).compat())));
    builder.set_max_message_size(MAX_REQUEST_BYTES);
    builder.set_max_frame_size(MAX_REQUEST_BYTES);
    let (sender, receiver) = builder.finish();
    connection::serve(rpc, authorized, Messages(receiver), Texts(sender), stop).await;
}

struct Messages(Receiver<Stream>);

impl Incoming for Messages {
    async fn next(&mut self) -> Option<Received> {
        let mut message = Vec::new();
        match self.0.receive_data(&mut message).await {
            Ok(_) => Some(Received::Request(message)),
            Err(error) => {
                tracing::debug!(%error, "a WebSocket ended");
                None
            }
        }
    }
}

struct Texts(Sender<Stream>);

impl Outgoing for Texts {
    async fn send(&mut self, text: String) -> io::Result<()> {
        self.0.send_text_owned(text).await.map_err(io::Error::other)?;
        self.0.flush().await.map_err(io::Error::other)
    }

    async fn keep_alive(&mut self) -> io::Result<()> {
        let nothing = ByteSlice125::try_from(&[][..]).map_err(io::Error::other)?;
        self.0.send_ping(nothing).await.map_err(io::Error::other)?;
        self.0.flush().await.map_err(io::Error::other)
    }

    async fn close(&mut self) {
        // The client may be gone already.
        let _ = self.0.close().await;
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn pages_need_a_configured_origin_and_programs_need_none() {
        let mut headers = HeaderMap::new();
        assert!(origin_is_allowed(&headers, &[]));
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(!origin_is_allowed(&headers, &[]));
        assert!(!origin_is_allowed(&headers, &["https://good.example".to_owned()]));
        assert!(origin_is_allowed(&headers, &["HTTPS://evil.example".to_owned()]));
        assert!(origin_is_allowed(&headers, &["*".to_owned()]));
    }
}

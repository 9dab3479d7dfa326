//! A bounded HTTP/1.1 server for RPC and metrics: so many connections, so long for a request head, and a clean end.
//!
//! Owns connections only; what is answered is the router's.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpSocket, lookup_host},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::exit::ExitError;

/// Connections served at once; more wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 128;
/// Longest time for a request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest request head in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Longest time that replies under way get when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after the kernel refused a connection (out of file descriptors), lest the loop spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds `host:port`, the first address that `host` stands for. `setting` names it in errors.
///
/// # Errors
/// [`ExitError::Listen`].
pub(crate) async fn bind(setting: &'static str, host: &str, port: u16) -> Result<TcpListener, ExitError> {
    let error = |source| ExitError::Listen { setting, address: format!("{host}:{port}"), source };
    let address = lookup_host((host, port))
        .await
        .map_err(error)?
        .next()
        .ok_or_else(|| error(io::Error::from(io::ErrorKind::AddrNotAvailable)))?;
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(128)
    };
    listen().map_err(error)
}

/// Serves `router` until `stop`, then lets replies under way finish, for a bounded time.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let accept = async {
            // The semaphore is never closed; a refusal would end the server.
            let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
            Some((slot, listener.accept().await))
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept => accepted,
        };
        let Some((slot, accepted)) = accepted else { break };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()))
            .with_upgrades();
        let stop = stop.clone();
        connections.spawn(async move {
            let _slot = slot;
            let mut connection = std::pin::pin!(connection);
            let result = tokio::select! {
                result = connection.as_mut() => result,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = result {
                tracing::debug!(%error, "an HTTP connection ended early");
            }
        });
    }
    drop(listener);
    connections.close();
    if timeout(DRAIN_TIMEOUT, connections.wait()).await.is_err() {
        tracing::warn!("HTTP replies under way were cut off");
    }
}

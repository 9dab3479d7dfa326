//! A connection that lasts, over a WebSocket or the IPC socket: requests one after the other, answers and notifications
//! out through one bounded queue. Knows no socket.

use std::{future::Future, time::Duration};

use json_rpc::{Received, parse_error};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    dispatch::{Authorized, Rpc},
    subscriptions::Subscriptions,
};

/// Most bytes of one request.
pub(super) const MAX_REQUEST_BYTES: usize = 5 * 1024 * 1024;
/// Texts that wait for the socket before requests and subscriptions wait too.
const QUEUE: usize = 16;
/// Longest time for one text: a client that does not read is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two signs of life where nothing else is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Longest time for what is still queued when the client says no more.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The receiving half of a connection.
pub(super) trait Incoming: Send {
    /// The next request; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Option<Received>> + Send;
}

/// The sending half of a connection.
pub(super) trait Outgoing: Send {
    /// Sends one text.
    fn send(&mut self, text: String) -> impl Future<Output = std::io::Result<()>> + Send;
    /// Called when nothing was sent for long: tells a connection that is dead from one that is silent.
    fn keep_alive(&mut self) -> impl Future<Output = std::io::Result<()>> + Send;
    /// Says goodbye.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// Serves a connection to its end. `authorized` is asked at each request: a token may be replaced meanwhile. After the client's last request its answers are still sent; subscriptions end.
pub(super) async fn serve(
    rpc: Rpc,
    authorized: impl Fn() -> Authorized + Send + Sync,
    mut incoming: impl Incoming,
    outgoing: impl Outgoing,
    stop: CancellationToken,
) {
    let (out, queue) = mpsc::channel(QUEUE);
    let mut subscriptions = Subscriptions::new(out.clone());
    let mut write = std::pin::pin!(write(queue, outgoing));
    let read = async {
        while let Some(received) = incoming.next().await {
            let (answer, go_on) = match received {
                Received::Request(body) => {
                    (rpc.answer(&body, authorized(), Some(&mut subscriptions)).await, true)
                }
                Received::Malformed => (Some(parse_error()), false),
            };
            if let Some(answer) = answer
                && out.send(answer).await.is_err()
            {
                return;
            }
            subscriptions.activate();
            if !go_on {
                return;
            }
        }
    };
    let ended = tokio::select! {
        () = read => false,
        () = &mut write => true,
        () = stop.cancelled() => false,
    };
    subscriptions.close().await;
    drop(out);
    // The reader is gone or does not read; there is nobody to tell.
    if !ended && timeout(DRAIN_TIMEOUT, write).await.is_err() {
        tracing::debug!("the last answers of an RPC connection were not taken");
    }
}

/// Sends what is queued until nothing can come any more, or the client does not take it.
async fn write(mut queue: mpsc::Receiver<String>, mut outgoing: impl Outgoing) {
    loop {
        let sent = match timeout(KEEP_ALIVE, queue.recv()).await {
            Ok(Some(text)) => timeout(WRITE_TIMEOUT, outgoing.send(text)).await,
            Ok(None) => return outgoing.close().await,
            Err(_) => timeout(WRITE_TIMEOUT, outgoing.keep_alive()).await,
        };
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

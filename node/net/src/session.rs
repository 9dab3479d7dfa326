//! The life of a session after Hello: one task reads and runs the sub-protocols, one writes.
//! Facts: `spec/devp2p.md` §2.7, §2.8, §2.9.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use parking_lot::Mutex;
use rlpx::{BASE_PROTOCOL_LENGTH, DisconnectReason, Shared, base};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    Error, ProtocolError, outbox::Outbox, peer::Message, pen, reader::Reader, traffic::Codes, writer::Writer,
};

/// Messages that wait for a sub-protocol before reading stops.
const INBOUND_QUEUE: usize = 4;
/// How long a sub-protocol may take to end after its session has.
const HANDLER_GRACE: Duration = Duration::from_secs(5);

/// One sub-protocol's future, or what stands for it.
pub(crate) type Work = BoxFuture<'static, Result<(), ProtocolError>>;

/// Why a session ended, once it has.
#[derive(Default)]
pub(crate) struct Ended(Mutex<Option<(String, Option<DisconnectReason>)>>);

impl Ended {
    fn set(&self, error: &Error) {
        *self.0.lock() = Some((error.to_string(), error.reason()));
    }

    pub(crate) fn text(&self) -> Option<String> {
        self.0.lock().as_ref().map(|(text, _)| text.clone())
    }

    pub(crate) fn reason(&self) -> Option<DisconnectReason> {
        self.0.lock().as_ref().and_then(|(_, reason)| *reason)
    }
}

/// Where messages of one sub-protocol go.
pub(crate) struct Route {
    offset: u64,
    length: u64,
    /// Boxed: a channel is made with room for 32, in every session.
    sender: mpsc::Sender<Box<Message>>,
    codes: Arc<Codes>,
}

impl Route {
    pub(crate) fn new(shared: &Shared, codes: Arc<Codes>) -> (Self, mpsc::Receiver<Box<Message>>) {
        let (sender, receiver) = mpsc::channel(INBOUND_QUEUE);
        (Self { offset: shared.offset, length: shared.length, sender, codes }, receiver)
    }
}

/// Runs a session to its end and says why it ended: the first end of a work, of reading, of writing, or on request. The
/// socket is closed when this returns; works that are left see the end of their messages, see [`finish`].
pub(crate) async fn run(
    mut reader: Reader,
    writer: Writer,
    outbox: Arc<Outbox>,
    routes: Vec<Route>,
    works: &mut FuturesUnordered<Work>,
    ended: &Ended,
) -> Error {
    let patience = writer.patience();
    let mut writing = tokio::spawn(Box::pin(pen::run(writer, Arc::clone(&outbox))));
    let mut writer_ended = false;
    let end = tokio::select! {
        error = read(&mut reader, &routes, &outbox) => error,
        Some(result) = works.next() => match result {
            Ok(()) => Error::Closed(DisconnectReason::ClientQuitting),
            Err(ProtocolError { reason, message }) => Error::Protocol { reason, message },
        },
        reason = outbox.close_asked() => Error::Closed(reason),
        result = &mut writing => {
            writer_ended = true;
            match result {
                Ok(Ok(reason)) => Error::Closed(reason),
                Ok(Err(error)) => error,
                Err(_) => Error::Closed(DisconnectReason::NetworkError),
            }
        }
    };
    ended.set(&end);
    // Sub-protocols see the end of their messages.
    drop(routes);
    if let Some(reason) = end.farewell() {
        outbox.close(reason);
        let said = writer_ended || timeout(patience * 3, &mut writing).await.is_ok();
        if said {
            Box::pin(reader.drain(patience)).await;
        }
    }
    writing.abort();
    outbox.end();
    end
}

/// Lets the works of a session that is over come to their end, for at most 5 s.
pub(crate) async fn finish(mut works: FuturesUnordered<Work>) {
    if timeout(HANDLER_GRACE, async { while works.next().await.is_some() {} }).await.is_err() {
        tracing::warn!("a sub-protocol did not end with its session and was dropped");
    }
}

/// Reads until something ends the session; answers the base protocol, hands the rest to the routes.
async fn read(reader: &mut Reader, routes: &[Route], outbox: &Outbox) -> Error {
    loop {
        let mut message = match reader.read().await {
            Ok(message) => message,
            Err(error) => return error,
        };
        outbox.heard();
        match message.code {
            base::DISCONNECT => return Error::Disconnected(DisconnectReason::decode(&message.payload)),
            base::PING => outbox.pong(),
            // A second Hello, pongs and reserved codes are read and ignored.
            0..BASE_PROTOCOL_LENGTH => {}
            code => {
                let route = routes.iter().find(|r| (r.offset..r.offset + r.length).contains(&code));
                let Some(route) = route else { return Error::CodeOutOfRange(code) };
                message.code -= route.offset;
                route.codes.received(message.code, message.wire);
                if route.sender.send(Box::new(message)).await.is_err() {
                    // The sub-protocol is gone; its future says how in a moment.
                    return std::future::pending().await;
                }
            }
        }
    }
}

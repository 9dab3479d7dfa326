//! `GET /status` of a node, bounded in time and size.

use std::{net::SocketAddr, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use node_client::status::{MAX_STATUS_BYTES, NodeStatus};

/// Longest time for one poll.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A client that keeps no connection.
#[derive(Clone)]
pub(super) struct Http(Client<HttpConnector, Empty<Bytes>>);

impl Default for Http {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http())
    }
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("no answer in {} s", TIMEOUT.as_secs())]
    Late,
    #[error("not reachable: {0}")]
    Connect(#[from] hyper_util::client::legacy::Error),
    #[error("malformed request: {0}")]
    Request(#[from] http::Error),
    #[error("answered {0}")]
    Code(http::StatusCode),
    #[error("body: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Malformed(#[from] node_client::status::StatusError),
}

impl Http {
    /// The status that the node at `address` serves.
    pub(super) async fn status(&self, address: SocketAddr) -> Result<NodeStatus, Error> {
        tokio::time::timeout(TIMEOUT, self.ask(address)).await.unwrap_or(Err(Error::Late))
    }

    async fn ask(&self, address: SocketAddr) -> Result<NodeStatus, Error> {
        let request = http::Request::get(format!("http://{address}/status")).body(Empty::new())?;
        let answer = self.0.request(request).await?;
        if !answer.status().is_success() {
            return Err(Error::Code(answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_STATUS_BYTES).collect().await.map_err(Error::Body)?;
        Ok(NodeStatus::parse(&body.to_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn served(answer: Vec<u8>) -> Result<NodeStatus, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = socket.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /status HTTP/1.1\r\n"));
            socket.write_all(&answer).await.ok();
        });
        Http::default().status(address).await
    }

    fn response(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[tokio::test]
    async fn a_document_is_read() {
        let body = r#"{"version":"1","nodeId":"a","publicKey":"b","peers":2,"live":true,"ready":false}"#;
        assert_eq!(served(response(body)).await.unwrap().peers, 2);
    }

    #[tokio::test]
    async fn what_is_no_status_is_an_error() {
        assert!(matches!(served(response("{}")).await, Err(Error::Malformed(_))));
        assert!(matches!(served(b"HTTP/1.1 503 X\r\n\r\n".to_vec()).await, Err(Error::Code(_))));
        assert!(matches!(served(vec![]).await, Err(Error::Connect(_))));
    }

    #[tokio::test]
    async fn an_endless_body_is_cut() {
        let body = " ".repeat(MAX_STATUS_BYTES + 1);
        assert!(matches!(served(response(&body)).await, Err(Error::Body(_))));
    }
}

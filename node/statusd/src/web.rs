//! What the metrics listener answers: `/metrics`, `/livez`, `/readyz`, `/health`, `/status`. Read-only, no secrets.
//! Facts: `spec/operations.md` §3.1, §7.1 item 10; design §2 "Metrics".

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use node_client::status::NodeStatus;

use crate::{metrics::Metrics, report::Report};

/// The parts that are looked at.
pub(crate) struct Web {
    /// The node as a whole.
    pub(crate) report: Arc<Report>,
    /// Families.
    pub(crate) metrics: Metrics,
}

/// The router of the metrics listener.
pub(crate) fn router(web: Web) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/health", get(legacy_health))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .with_state(Arc::new(web))
}

async fn livez(State(web): State<Arc<Web>>) -> Response {
    if web.report.health.is_live().await {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "event loop: it does not run tasks\n").into_response()
    }
}

/// The reference's body, but not its unconditional answer (S18).
async fn legacy_health(State(web): State<Arc<Web>>) -> Response {
    if web.report.health.is_live().await {
        "OK".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not live").into_response()
    }
}

async fn readyz(State(web): State<Arc<Web>>) -> Response {
    let verdict = web.report.health.verdict().await;
    if verdict.reasons.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, verdict.reasons.join("\n") + "\n").into_response()
}

async fn metrics(State(web): State<Arc<Web>>) -> Response {
    let verdict = web.report.health.verdict().await;
    match web.metrics.render(verdict.reasons.is_empty(), web.report.stats().await) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written as text");
            (StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written as text\n").into_response()
        }
    }
}

async fn status(State(web): State<Arc<Web>>) -> Json<NodeStatus> {
    Json(web.report.status().await)
}

#[cfg(test)]
mod tests {
    use archive::memory::MemoryHistory;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use archive::History;

    use super::*;
    use crate::health::Health;
    use crate::rpc::testing::{PUBLIC, Sample};

    struct NoObserver;
    impl archive::WriterObserver for NoObserver {
        fn stored(&self, _: usize) {}
        fn failed(&self, _: usize) {}
    }

    /// A node with an archive in memory; the archive comes back to be closed.
    fn web(enode: Option<String>) -> (tempfile::TempDir, Web, Arc<dyn History>) {
        let root = tempfile::tempdir().unwrap();
        let history: Arc<dyn History> = Arc::new(MemoryHistory::default());
        let (writer, task) = archive::Writer::new(
            Arc::clone(&history),
            archive::WriterConfig::default(),
            None,
            Arc::new(NoObserver),
        );
        tokio::spawn(task);
        let report = Report {
            version: "1.2.3",
            config_hash: "c0ffee".into(),
            data_dir: root.path().to_owned(),
            backend: Arc::new(Sample { enode: enode.into(), ..Sample::default() }),
            history: Some(Arc::clone(&history)),
            health: Arc::new(Health::new(Some((Arc::clone(&history), writer)))),
            sync: None,
        };
        let metrics = Metrics::new("1.2.3", "c0ffee", true).unwrap();
        let web = Web { report: Arc::new(report), metrics };
        (root, web, history)
    }

    async fn get_(router: &Router, path: &str) -> (StatusCode, String) {
        let request = axum::http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_healthy_node() {
        let (_root, web, _history) = web(None);
        let router = router(web);
        assert_eq!(get_(&router, "/livez").await, (StatusCode::OK, "ok\n".into()));
        assert_eq!(get_(&router, "/readyz").await, (StatusCode::OK, "ok\n".into()));
        assert_eq!(get_(&router, "/health").await, (StatusCode::OK, "OK".into()));
        assert!(get_(&router, "/metrics").await.1.contains("statusd_ready 1"));
        assert_eq!(get_(&router, "/").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn an_archive_that_takes_no_write_makes_the_node_not_ready_but_live() {
        let (_root, web, history) = web(None);
        let router = router(web);
        history.close().await.unwrap();
        let (code, text) = get_(&router, "/readyz").await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.starts_with("archive: "), "{text}");
        assert_eq!(get_(&router, "/livez").await.0, StatusCode::OK);
        assert!(get_(&router, "/metrics").await.1.contains("statusd_ready 0"));
        let status = NodeStatus::parse(get_(&router, "/status").await.1.as_bytes()).unwrap();
        assert!(!status.ready && status.live);
        assert_eq!(status.not_ready_reasons.len(), 1);
    }

    #[tokio::test]
    async fn a_stopping_node_is_not_ready() {
        let (_root, web, _history) = web(None);
        let health = Arc::clone(&web.report.health);
        let router = router(web);
        assert_eq!(get_(&router, "/readyz").await.0, StatusCode::OK);
        health.stopping();
        assert_eq!(get_(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn the_status_document() {
        let (_root, quiet, _history) = web(None);
        let status = quiet.report.status().await;
        assert_eq!((status.enode, status.advertised), (None, None));
        let enode = format!("enode://{PUBLIC}@198.51.100.7:443?discport=30303");
        let (_root, web, _history) = web(Some(enode.clone()));
        let router = router(web);
        let status = NodeStatus::parse(get_(&router, "/status").await.1.as_bytes()).unwrap();
        assert_eq!((status.enode, status.public_key.as_str()), (Some(enode), PUBLIC));
        let advertised = status.advertised.unwrap();
        assert_eq!(
            (advertised.address.as_str(), advertised.tcp_port, advertised.udp_port),
            ("198.51.100.7", 443, 30303)
        );
        assert_eq!((status.version.as_str(), status.config_hash.as_str()), ("1.2.3", "c0ffee"));
        assert!(status.ready && status.live && status.archive.unwrap().writable);
        let disk = status.disk.unwrap();
        assert!(disk.total_bytes > 0 && disk.free_bytes <= disk.total_bytes);
    }
}

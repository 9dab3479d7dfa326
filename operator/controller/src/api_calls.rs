//! A client layer that counts every request to the API server by verb and answer.
//!
//! Must never change a request or an answer. The counts are what proves that nothing is written at steady state.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use prometheus::IntCounterVec;
use tower::{Layer, Service};

/// Wraps a service of the client.
#[derive(Clone)]
pub struct CountCalls(pub IntCounterVec);

/// The wrapped service.
#[derive(Clone)]
pub struct Counted<S> {
    inner: S,
    calls: IntCounterVec,
}

impl<S> Layer<S> for CountCalls {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, calls: self.0.clone() }
    }
}

impl<S, A, B> Service<Request<A>> for Counted<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let verb = verb(request.method(), request.uri().query());
        let calls = self.calls.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = answer.as_ref().map_or("none".into(), |a| a.status().as_u16().to_string());
            calls.with_label_values(&[verb, &code]).inc();
            answer
        })
    }
}

/// The Kubernetes verb, as far as method and query tell it (`get` includes lists).
fn verb(method: &Method, query: Option<&str>) -> &'static str {
    let watch = query.is_some_and(|q| q.split('&').any(|pair| pair == "watch=true" || pair == "watch=1"));
    match *method {
        Method::GET if watch => "watch",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_those_of_kubernetes() {
        for (method, query, expected) in [
            (Method::GET, None, "get"),
            (Method::GET, Some("labelSelector=a%3Db&watch=true"), "watch"),
            (Method::GET, Some("fieldSelector=watch%3Dtrue"), "get"),
            (Method::PATCH, Some("force=true"), "patch"),
            (Method::POST, None, "create"),
            (Method::DELETE, None, "delete"),
        ] {
            assert_eq!(verb(&method, query), expected);
        }
    }
}

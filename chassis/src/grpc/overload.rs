//! The process takes on only so many calls at once; one more is refused at once instead of waiting.
//!
//! A queue would make every call slow and none faster. What is refused costs next to nothing, so what is accepted keeps
//! its latency; the client is told when to come back.
//!
//! Streams count until they are open, health checks not at all: an orchestrator that gets no answer would restart a
//! process for being busy.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::sync::Semaphore;
use tower::{Layer, Service};

use super::refusal::Refusal;
use super::respond::Respond;

/// Calls below this path are always taken.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Bounds the calls in work, over all connections.
#[derive(Clone, Debug)]
pub(super) struct OverloadLayer {
    service: &'static str,
    permits: Arc<Semaphore>,
}

impl OverloadLayer {
    /// At most so many calls at once, in the name of this service.
    pub(super) fn new(service: &'static str, limit: usize) -> Self {
        Self {
            service,
            permits: Arc::new(Semaphore::new(limit)),
        }
    }
}

impl<S> Layer<S> for OverloadLayer {
    type Service = Overload<S>;

    fn layer(&self, inner: S) -> Overload<S> {
        let layer = self.clone();
        Overload { inner, layer }
    }
}

/// See [`OverloadLayer`].
#[derive(Clone, Debug)]
pub(super) struct Overload<S> {
    inner: S,
    layer: OverloadLayer,
}

impl<S, Sent, Answer> Service<Request<Sent>> for Overload<S>
where
    S: Service<Request<Sent>, Response = Response<Answer>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    Answer: Respond + Send + 'static,
{
    type Response = Response<Answer>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Sent>) -> Self::Future {
        if request.uri().path().starts_with(HEALTH) {
            return Box::pin(self.inner.call(request));
        }
        let Ok(permit) = Arc::clone(&self.layer.permits).try_acquire_owned() else {
            let refused = Answer::respond(Refusal::Overloaded.status(self.layer.service));
            return Box::pin(std::future::ready(Ok(refused)));
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            drop(permit);
            answer
        })
    }
}

//! The process takes on only so many calls at once; one more is refused at once instead of waiting.
//!
//! A queue would make every call slow and none faster. What is refused costs next to nothing, so what is accepted keeps
//! its latency; the client is told when to come back.
//!
//! A unary call has a place until it is answered. A stream has one until it is open, and another kind of place for as long
//! as it stays open: streams rest most of the time and must not use up what works. A health check needs no place: an
//! orchestrator that gets no answer would restart a process for being busy.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

use super::held_body::HeldBody;
use super::methods::{MethodKind, Methods};
use super::refusal::Refusal;
use super::respond::Respond;
use super::shed::{ShedCalls, ShedReason};

/// Always answered.
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";

/// Streams that may be open, of all kinds and over all connections. An open stream costs some kilobytes, whatever it is
/// for: this many are tens of megabytes. Services may allow fewer of theirs.
const OPEN_STREAMS: usize = 16_384;

/// Bounds the calls in work and the open streams, over all connections.
#[derive(Clone, Debug)]
pub(super) struct OverloadLayer {
    service: &'static str,
    methods: Methods,
    in_work: Arc<Semaphore>,
    open_streams: Arc<Semaphore>,
    shed: ShedCalls,
}

impl OverloadLayer {
    /// At most so many calls at once, in the name of this service, which has these methods.
    pub(super) fn new(service: &'static str, limit: usize, methods: Methods) -> Self {
        Self {
            service,
            methods,
            in_work: Arc::new(Semaphore::new(limit)),
            open_streams: Arc::new(Semaphore::new(OPEN_STREAMS)),
            shed: ShedCalls::default(),
        }
    }

    fn place(&self, path: &str) -> Option<Place> {
        if path == HEALTH_CHECK {
            return Some(Place::default());
        }
        let take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let stream = match self.methods.kind(path) {
            Some(MethodKind::Streaming) => Some(take(&self.open_streams)?),
            _ => None,
        };
        let call = Some(take(&self.in_work)?);
        Some(Place { call, stream })
    }
}

/// What a call holds.
#[derive(Debug, Default)]
struct Place {
    /// Until it begins its answer.
    call: Option<OwnedSemaphorePermit>,
    /// Until its answer ends.
    stream: Option<OwnedSemaphorePermit>,
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
    type Response = Response<HeldBody<Answer, Option<OwnedSemaphorePermit>>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Sent>) -> Self::Future {
        let Some(place) = self.layer.place(request.uri().path()) else {
            self.layer.shed.count(ShedReason::Concurrency);
            let refused = HeldBody::respond(Refusal::Overloaded.status(self.layer.service));
            return Box::pin(std::future::ready(Ok(refused)));
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let Place { call, stream } = place;
            let answer = answer.await;
            drop(call);
            Ok(answer?.map(|body| HeldBody::new(body, stream)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(limit: usize) -> OverloadLayer {
        let methods = Methods::of(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap();
        OverloadLayer::new("some-service", limit, methods)
    }

    #[test]
    fn a_call_has_a_place_until_it_gives_it_back_and_the_next_one_has_none() {
        let layer = layer(1);

        let first = layer.place("/some.Service/Method").unwrap();
        assert!(layer.place("/some.Service/Method").is_none());
        assert!(layer.place(HEALTH_CHECK).is_some());
        drop(first);

        assert!(layer.place("/some.Service/Method").is_some());
    }

    #[test]
    fn an_open_stream_takes_no_place_from_the_calls_and_streams_are_bounded_too() {
        let layer = layer(1);
        let open = |layer: &OverloadLayer| {
            let place = layer.place("/grpc.health.v1.Health/Watch")?;
            drop(place.call);
            place.stream
        };

        let streams: Vec<_> = (0..OPEN_STREAMS).map(|_| open(&layer).unwrap()).collect();

        assert!(open(&layer).is_none());
        assert!(layer.place("/some.Service/Method").is_some());
        drop(streams);
        assert!(open(&layer).is_some());
    }
}

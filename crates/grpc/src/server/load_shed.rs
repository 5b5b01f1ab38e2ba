//! Load shedding: a process-wide concurrency limit that rejects instead of queueing.
//!
//! A queue would make every call slow and none faster. A rejected call costs almost nothing, so accepted calls keep
//! their latency; the client gets a retry delay.
//!
//! A unary call holds a permit until it is answered. A stream holds one until it is open, and a stream permit as long
//! as it stays open: streams are mostly idle and must not use up the call permits. A health check needs no permit:
//! without an answer an orchestrator would restart a busy process. Health streams have permits of their own: they need no
//! token, so a stranger could use up those of the API.
//!
//! Own code: tonic's limit is per connection, and tower's `GlobalConcurrencyLimit` releases its permit when the
//! response begins, so it cannot bound open streams.

use std::sync::Arc;

use http::{Request, Response};
use telemetry::instruments::Counter;
use telemetry::names::{attributes, metrics};
use telemetry::vocabulary::Labels;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;

use super::methods::{MethodKind, Methods};
use super::response::holding;
use crate::middleware::{Inner, Middleware, Next};
use crate::status::CallRejection;

/// Exempt from the limit.
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Open streams of all kinds over all connections. An open stream costs a few KiB: tens of MiB in all. Services may set
/// lower limits for their own streams.
pub const OPEN_STREAMS: usize = 16_384;

/// Open health streams: a client that checks its connections has one on each.
const HEALTH_STREAMS: usize = 4_096;

#[derive(Clone, Debug)]
pub(super) struct LoadShedLayer {
    service: &'static str,
    methods: Methods,
    in_flight: Arc<Semaphore>,
    open_streams: Arc<Semaphore>,
    health_streams: Arc<Semaphore>,
    shed: ShedCalls,
}

impl LoadShedLayer {
    pub(super) fn new(service: &'static str, limit: usize, methods: Methods) -> Self {
        Self {
            service,
            methods,
            in_flight: Arc::new(Semaphore::new(limit)),
            open_streams: Arc::new(Semaphore::new(OPEN_STREAMS)),
            health_streams: Arc::new(Semaphore::new(HEALTH_STREAMS)),
            shed: ShedCalls::default(),
        }
    }

    fn try_acquire(&self, path: &str) -> Option<CallPermits> {
        let take = |permits: &Arc<Semaphore>| Arc::clone(permits).try_acquire_owned().ok();
        match path {
            HEALTH_CHECK => return Some(CallPermits::default()),
            HEALTH_WATCH => {
                let stream = Some(take(&self.health_streams)?);
                return Some(CallPermits { call: None, stream });
            }
            _ => {}
        }
        let stream = match self.methods.kind(path) {
            Some(MethodKind::Streaming) => Some(take(&self.open_streams)?),
            _ => None,
        };
        let call = Some(take(&self.in_flight)?);
        Some(CallPermits { call, stream })
    }
}

/// Permits of a call.
#[derive(Debug, Default)]
struct CallPermits {
    /// Until the response begins.
    call: Option<OwnedSemaphorePermit>,
    /// Until the response ends.
    stream: Option<OwnedSemaphorePermit>,
}

impl Middleware for LoadShedLayer {
    async fn handle<S: Inner>(self, request: Request<Body>, next: Next<S>) -> Response<Body> {
        let Some(permits) = self.try_acquire(request.uri().path()) else {
            self.shed.count(ShedReason::Concurrency);
            return CallRejection::Overloaded.status(self.service).into_http();
        };
        let response = next.run(request).await;
        drop(permits.call);
        response.map(|body| holding(body, permits.stream))
    }
}

/// Reason of a rejection for load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShedReason {
    /// Concurrent calls or open streams at their limit.
    Concurrency,
    /// The backlog of accepted work is too large.
    Backlog,
    /// Too many commands wait for their commit.
    Queue,
    /// The rate limit of the customer is exceeded.
    CustomerRateLimit,
}

impl ShedReason {
    fn name(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::Backlog => "backlog",
            Self::Queue => "queue",
            Self::CustomerRateLimit => "customer_rate_limit",
        }
    }
}

/// Counter of rejected calls. Several instances add up in one metric.
#[derive(Clone, Debug)]
pub struct ShedCalls(Counter);

impl Default for ShedCalls {
    fn default() -> Self {
        Self(metrics::GRPC_SERVER_CALLS_SHED.counter())
    }
}

impl ShedCalls {
    pub fn count(&self, reason: ShedReason) {
        let reason = attributes::SHED_REASON.label(reason.name());
        self.0.add(1, &Labels::of([reason]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(limit: usize) -> LoadShedLayer {
        let sets = [
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        ];
        let methods = Methods::of(&sets).unwrap();
        LoadShedLayer::new("some-service", limit, methods)
    }

    #[test]
    fn a_call_holds_its_permit_until_it_is_dropped() {
        let layer = layer(1);

        let first = layer.try_acquire("/some.Service/Method").unwrap();
        assert!(layer.try_acquire("/some.Service/Method").is_none());
        assert!(layer.try_acquire(HEALTH_CHECK).is_some());
        drop(first);

        assert!(layer.try_acquire("/some.Service/Method").is_some());
    }

    const STREAM: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

    #[test]
    fn open_streams_take_no_call_permits_and_are_bounded() {
        let layer = layer(1);
        let open = |layer: &LoadShedLayer| {
            let permits = layer.try_acquire(STREAM)?;
            drop(permits.call);
            permits.stream
        };

        let streams: Vec<_> = (0..OPEN_STREAMS).map(|_| open(&layer).unwrap()).collect();

        assert!(open(&layer).is_none());
        assert!(layer.try_acquire("/some.Service/Method").is_some());
        drop(streams);
        assert!(open(&layer).is_some());
    }

    #[test]
    fn health_streams_are_bounded_and_take_no_permit_of_other_calls() {
        let layer = layer(1);
        let mut health = Vec::new();
        while let Some(permits) = layer.try_acquire(HEALTH_WATCH) {
            health.push(permits);
        }

        assert_eq!(health.len(), HEALTH_STREAMS);
        assert!(layer.try_acquire(STREAM).is_some());
        assert!(layer.try_acquire("/some.Service/Method").is_some());
    }
}

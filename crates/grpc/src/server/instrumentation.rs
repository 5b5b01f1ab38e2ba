//! Span and duration of each call, from the request to the last byte of the response.
//!
//! The outermost layer, so that rejected calls are measured too. The status is read from the headers of a response
//! without a body, otherwise from the trailers; if the client goes away first the status is CANCELLED.
//!
//! Names and rules of "Semantic conventions for gRPC": an unknown method is `_OTHER`, so that a client cannot create
//! time series, and only a status that is the server's fault is an error.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use prost::bytes::Bytes;
use tonic::body::Body;
use tonic::{Code, Status};

use super::connection::ConnectionInfo;
use super::methods::Methods;
use crate::call_record::CallRecord;
use crate::middleware::{Inner, Middleware, Next};
use crate::status::is_server_error;
use telemetry::instruments::Histogram;
use telemetry::names::{attributes, metrics, spans};
use telemetry::propagation;
use telemetry::span::Span;
use telemetry::vocabulary::Labels;

/// Span name of an unknown method.
const UNKNOWN_METHOD: &str = "grpc";

/// `rpc.method` of an unknown method.
const OTHER: &str = "_OTHER";

/// Length that a span keeps of an unknown method.
const MAX_INVENTION: usize = 128;

#[derive(Clone, Debug)]
pub(super) struct CallTelemetryLayer {
    methods: Methods,
    durations: Histogram,
    active: Arc<AtomicU64>,
}

impl CallTelemetryLayer {
    pub(super) fn new(methods: Methods) -> Self {
        let active = Arc::<AtomicU64>::default();
        let observed = Arc::clone(&active);
        metrics::GRPC_SERVER_CALLS_ACTIVE
            .observe(move || [(observed.load(Ordering::Relaxed), Labels::default())]);
        Self {
            methods,
            durations: metrics::RPC_SERVER_CALL_DURATION.histogram(),
            active,
        }
    }

    fn begin<B>(&self, request: &Request<B>) -> ActiveCall {
        let path = request.uri().path();
        let method = self.methods.name(path);
        let parent = propagation::of_call(request.headers());
        let name = method.map_or_else(|| UNKNOWN_METHOD.to_owned(), |name| name.to_string());
        let span = spans::RPC_SERVER.continuing(name, &parent, Vec::new());
        describe(&span, request, method.is_none());
        self.active.fetch_add(1, Ordering::Relaxed);
        let record = CallRecord {
            span,
            method: method.map_or_else(|| Arc::from(OTHER), Arc::clone),
            labels: Vec::new(),
            durations: self.durations.clone(),
            began: Instant::now(),
            code: Code::Cancelled,
            is_failure: is_server_error,
        };
        let active = Arc::clone(&self.active);
        ActiveCall { record, active }
    }
}

/// Attributes that are known before the call is answered.
fn describe<B>(span: &Span, request: &Request<B>, is_invented: bool) {
    if !span.is_recording() {
        return;
    }
    if is_invented {
        let invention = request.uri().path().trim_start_matches('/').chars();
        let invention: String = invention.take(MAX_INVENTION).collect();
        span.set(&attributes::RPC_METHOD_ORIGINAL, invention);
    }
    let connection = request.extensions().get::<ConnectionInfo>();
    if let Some(peer) = connection.and_then(ConnectionInfo::remote_address) {
        span.set(&attributes::NETWORK_PEER_ADDRESS, peer.ip().to_string());
        span.set(&attributes::NETWORK_PEER_PORT, i64::from(peer.port()));
    }
}

#[derive(Debug)]
struct ActiveCall {
    record: CallRecord,
    active: Arc<AtomicU64>,
}

impl ActiveCall {
    /// Reads the status of these headers or trailers, if they have one.
    fn read_status(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get(Status::GRPC_STATUS) {
            self.record.code = Code::from_bytes(code.as_bytes());
        }
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        // A call that is dropped before its status is known was cancelled, or its handler panics.
        if std::thread::panicking() && self.record.code == Code::Cancelled {
            self.record.code = Code::Internal;
        }
        self.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Middleware for CallTelemetryLayer {
    async fn handle<S: Inner>(self, request: Request<Body>, next: Next<S>) -> Response<Body> {
        let mut call = self.begin(&request);
        let response = call.record.span.carry(next.run(request)).await;
        call.read_status(response.headers());
        response.map(|inner| Body::new(ObservedBody { inner, call }))
    }
}

/// A response body with its call.
#[derive(Debug)]
struct ObservedBody {
    inner: Body,
    call: ActiveCall,
}

impl http_body::Body for ObservedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // A stream does work while its body is polled: the span must be current.
        let _current = self.call.record.span.context().clone().attach();
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.call.read_status(trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

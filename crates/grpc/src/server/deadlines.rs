//! Deadline layer: the client's `grpc-timeout` or the server's own limit, whichever ends first.
//!
//! ```text
//! grpc-timeout ─▶ Deadline ─┬─▶ request extension: read by the method, its outgoing calls and its database
//! own limit ────▶           └─▶ at the deadline call and response body end with DEADLINE_EXCEEDED
//! ```
//!
//! tonic's own timeout answers CANCELLED and does not cover bodies. This layer lies inside it and ends slightly
//! earlier.
//!
//! An expired call is dropped at its await point. Work that was handed to the service's writer continues, unless the
//! writer has not begun it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;
use tower::{Layer, Service};

use super::methods::{MethodKind, Methods};
use super::response::{Respond, trailers};
use crate::grpc_timeout::{GRPC_TIMEOUT, MalformedTimeout, parse_timeout};
use crate::status::CallRejection;
use service::deadline::Deadline;

/// Subtracted from the client's deadline for the way back of the response. It also keeps ahead of tonic's timer, which
/// would answer CANCELLED; timers are exact to a millisecond.
const RESPONSE_RESERVE: Duration = Duration::from_millis(2);

/// Gives every call a deadline.
#[derive(Clone, Debug)]
pub(super) struct DeadlineLayer {
    /// Domain of the errors.
    pub(super) service: &'static str,
    /// Limit of a unary call, whatever its client allows.
    pub(super) unary_limit: Duration,
    /// Streams are not limited by `unary_limit`: only the client's deadline applies.
    pub(super) methods: Methods,
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadlines<S>;

    fn layer(&self, inner: S) -> Deadlines<S> {
        let layer = self.clone();
        Deadlines { inner, layer }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Deadlines<S> {
    inner: S,
    layer: DeadlineLayer,
}

impl DeadlineLayer {
    fn deadline(&self, path: &str, headers: &HeaderMap) -> Result<Deadline, MalformedTimeout> {
        let client = match headers.get(GRPC_TIMEOUT) {
            Some(timeout) => Deadline::within(parse_timeout(timeout)?).less(RESPONSE_RESERVE),
            None => Deadline::NEVER,
        };
        if self.methods.kind(path) == Some(MethodKind::Streaming) {
            return Ok(client);
        }
        Ok(client.earlier(Deadline::within(self.unary_limit)))
    }
}

impl<S, Sent, Answer> Service<Request<Sent>> for Deadlines<S>
where
    S: Service<Request<Sent>, Response = Response<Answer>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    Answer: Body + Respond + Send + 'static,
{
    type Response = Response<BoundedBody<Answer>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Sent>) -> Self::Future {
        let service = self.layer.service;
        let deadline = self.layer.deadline(request.uri().path(), request.headers());
        let rejection = match deadline {
            Err(MalformedTimeout) => Some(CallRejection::MalformedTimeout),
            Ok(deadline) if deadline.has_passed() => Some(CallRejection::DeadlineExceeded),
            Ok(_) => None,
        };
        let deadline = deadline.unwrap_or(Deadline::NEVER);
        if let Some(rejection) = rejection {
            let rejected = BoundedBody::respond(rejection.status(service));
            return Box::pin(std::future::ready(Ok(rejected)));
        }
        request.extensions_mut().insert(deadline);
        let answer = self.inner.call(request);
        Box::pin(async move {
            match deadline.bound(answer).await {
                Ok(answer) => Ok(answer?.map(|body| BoundedBody::new(body, deadline, service))),
                Err(_) => Ok(BoundedBody::respond(exceeded(service))),
            }
        })
    }
}

fn exceeded(service: &'static str) -> Status {
    CallRejection::DeadlineExceeded.status(service)
}

/// A response body that ends with DEADLINE_EXCEEDED if the deadline passes first.
#[derive(Debug)]
pub(super) struct BoundedBody<B> {
    /// `None` after its end.
    inner: Option<B>,
    deadline: Deadline,
    service: &'static str,
    /// Created when the body is first pending, which the body of a unary call never is.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> BoundedBody<B> {
    fn new(inner: B, deadline: Deadline, service: &'static str) -> Self {
        Self {
            inner: Some(inner),
            deadline,
            service,
            timer: None,
        }
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(remaining) = self.deadline.remaining() else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(remaining)));
        timer.as_mut().poll(context)
    }
}

impl<B: Respond> Respond for BoundedBody<B> {
    fn respond(status: Status) -> Response<Self> {
        B::respond(status).map(|body| Self::new(body, Deadline::NEVER, ""))
    }
}

impl<B: Body + Unpin> Body for BoundedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(context) {
            return Poll::Ready(frame);
        }
        if self.poll_deadline(context).is_pending() {
            return Poll::Pending;
        }
        self.inner = None;
        let exceeded = trailers(&exceeded(self.service));
        Poll::Ready(Some(Ok(Frame::trailers(exceeded))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}

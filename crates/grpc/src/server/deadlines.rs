//! Deadline layer: the client's `grpc-timeout` or the server's own limit, whichever ends first.
//!
//! ```text
//! grpc-timeout ─▶ Deadline ─┬─▶ request extension: the method passes it on to its outgoing calls and its database
//! own limit ────▶           └─▶ at the deadline call and response body end with DEADLINE_EXCEEDED
//! ```
//!
//! The own limit bounds the wait for the response's head, of a stream too: its request may never be complete. An open stream
//! has the client's deadline only.
//!
//! tonic's own timeout answers CANCELLED and does not cover bodies. This layer lies inside it and ends slightly
//! earlier: both count from the moment at which the call was received.
//!
//! An expired call is dropped at its await point. Work that was handed to the service's writer continues, unless the
//! writer has not begun it.

use std::time::Duration;

use futures::stream;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, timeout};
use tonic::body::Body;

use super::methods::{MethodKind, Methods};
use super::response::trailers;
use crate::grpc_timeout::{GRPC_TIMEOUT, MalformedTimeout, parse_timeout};
use crate::middleware::{Inner, Middleware, Next, ReceivedAt};
use crate::status::CallRejection;
use service::deadline::Deadline;

/// Subtracted from the client's deadline for the way back of the response. It also keeps ahead of tonic's timer, which
/// would answer CANCELLED: timers are exact to a millisecond, and a call that is polled late reads the clock itself.
const RESPONSE_RESERVE: Duration = Duration::from_millis(2);

/// Gives every call a deadline.
#[derive(Clone, Debug)]
pub(super) struct DeadlineLayer {
    /// Domain of the errors.
    pub(super) service: &'static str,
    /// Limit of a unary call, and of the opening of a stream, whatever the client allows.
    pub(super) limit: Duration,
    pub(super) methods: Methods,
}

/// The deadlines of one call.
#[derive(Clone, Copy, Debug)]
struct CallDeadlines {
    /// Until its response begins.
    head: Deadline,
    /// Until its response ends.
    end: Deadline,
}

impl DeadlineLayer {
    fn deadlines(&self, request: &Request<Body>) -> Result<CallDeadlines, MalformedTimeout> {
        let received_at = request.extensions().get::<ReceivedAt>();
        let received_at = received_at.map_or_else(Instant::now, |received| received.0);
        let after = |limit| Deadline::after(received_at, limit);
        let client = match request.headers().get(GRPC_TIMEOUT) {
            Some(timeout) => after(parse_timeout(timeout)?).less(RESPONSE_RESERVE),
            None => Deadline::NEVER,
        };
        let head = client.earlier(after(self.limit));
        let end = match self.methods.kind(request.uri().path()) {
            Some(MethodKind::Streaming) => client,
            _ => head,
        };
        Ok(CallDeadlines { head, end })
    }
}

impl Middleware for DeadlineLayer {
    async fn handle<S: Inner>(self, mut request: Request<Body>, next: Next<S>) -> Response<Body> {
        let deadlines = match self.deadlines(&request) {
            Ok(deadlines) => deadlines,
            Err(MalformedTimeout) => {
                return CallRejection::MalformedTimeout
                    .status(self.service)
                    .into_http();
            }
        };
        request.extensions_mut().insert(deadlines.end);
        match deadlines.head.bound(next.run(request)).await {
            Ok(response) => response.map(|body| bounded(body, deadlines.end, self.service)),
            Err(_) => CallRejection::DeadlineExceeded
                .status(self.service)
                .into_http(),
        }
    }
}

/// The body, or DEADLINE_EXCEEDED as its end if the deadline passes first.
fn bounded(body: Body, deadline: Deadline, service: &'static str) -> Body {
    if deadline == Deadline::NEVER || body.is_end_stream() {
        return body;
    }
    let frames = stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        // Polls the body first: a frame that is ready at the deadline is sent.
        match timeout(deadline.remaining()?, body.frame()).await {
            Ok(frame) => Some((frame?, Some(body))),
            Err(_) => {
                let exceeded = CallRejection::DeadlineExceeded.status(service);
                Some((Ok(Frame::trailers(trailers(&exceeded))), None))
            }
        }
    });
    Body::new(StreamBody::new(frames))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::{Layer, Service, service_fn};

    use super::*;
    use crate::middleware::MiddlewareLayer;

    const LIMIT: Duration = Duration::from_secs(15);

    fn layer() -> MiddlewareLayer<DeadlineLayer> {
        MiddlewareLayer(DeadlineLayer {
            service: "test",
            limit: LIMIT,
            methods: Methods::of(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap(),
        })
    }

    async fn hang(_: Request<Body>) -> Result<Response<Body>, Infallible> {
        std::future::pending().await
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_counts_from_when_the_call_was_received_not_from_when_it_was_polled() {
        let request = Request::builder().header(GRPC_TIMEOUT, "100m");
        let received_at = Instant::now();

        let call = layer()
            .layer(service_fn(hang))
            .call(request.body(Body::empty()).unwrap());
        tokio::time::advance(Duration::from_millis(50)).await;
        let response = call.await.unwrap();

        assert_eq!(
            received_at.elapsed(),
            Duration::from_millis(100) - RESPONSE_RESERVE
        );
        assert_eq!(response.headers()["grpc-status"], "4");
    }

    #[tokio::test(start_paused = true)]
    async fn the_opening_of_a_stream_ends_at_the_limit_of_a_call() {
        let request = Request::builder().uri("/grpc.health.v1.Health/Watch");
        let received_at = Instant::now();

        let call = layer()
            .layer(service_fn(hang))
            .call(request.body(Body::empty()).unwrap());
        let response = tokio::time::timeout(LIMIT * 2, call).await;

        assert_eq!(received_at.elapsed(), LIMIT);
        assert_eq!(response.unwrap().unwrap().headers()["grpc-status"], "4");
    }
}

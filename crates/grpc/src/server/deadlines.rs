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

use std::time::Duration;

use futures::stream;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::time::timeout;
use tonic::body::Body;

use super::methods::{MethodKind, Methods};
use super::response::trailers;
use crate::grpc_timeout::{GRPC_TIMEOUT, MalformedTimeout, parse_timeout};
use crate::middleware::{Inner, Middleware, Next};
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

impl Middleware for DeadlineLayer {
    async fn handle<S: Inner>(self, mut request: Request<Body>, next: Next<S>) -> Response<Body> {
        let deadline = match self.deadline(request.uri().path(), request.headers()) {
            Ok(deadline) => deadline,
            Err(MalformedTimeout) => {
                return CallRejection::MalformedTimeout
                    .status(self.service)
                    .into_http();
            }
        };
        request.extensions_mut().insert(deadline);
        match deadline.bound(next.run(request)).await {
            Ok(response) => response.map(|body| bounded(body, deadline, self.service)),
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

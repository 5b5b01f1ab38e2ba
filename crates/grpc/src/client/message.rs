//! The message of a unary call, held in memory for retries, and its response, held until it is complete.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Collected, Full, LengthLimitError, Limited};
use prost::bytes::Bytes;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::{Code, Status};

/// Maximum bytes of a request and of a response: gRPC's default message limit.
const MAX_BYTES: usize = 4 * 1024 * 1024;

async fn collect(body: Body) -> Result<Collected<Bytes>, Status> {
    let collected = Limited::new(body, MAX_BYTES).collect().await;
    collected.map_err(|error| match error.downcast::<LengthLimitError>() {
        Ok(_) => Status::resource_exhausted("the message is larger than 4 MiB"),
        Err(error) => connection_status(error),
    })
}

pub(super) async fn whole_request(body: Body) -> Result<Bytes, Status> {
    Ok(collect(body).await?.to_bytes())
}

/// Reads the response and its status, from the trailers, or from the headers if there is no message.
pub(super) async fn whole_answer(
    response: Response<Body>,
) -> Result<(Response<Body>, Code), Status> {
    let (head, body) = response.into_parts();
    let collected = collect(body).await?;
    let trailers = collected.trailers().cloned();
    let status = Status::from_header_map(&head.headers)
        .or_else(|| Status::from_header_map(trailers.as_ref()?));
    let code = status.map_or(code_of_http(head.status), |status| status.code());
    let body = Full::new(collected.to_bytes());
    let body = match trailers {
        Some(trailers) => Body::new(with_trailers(body, trailers)),
        None => Body::new(body),
    };
    Ok((Response::from_parts(head, body), code))
}

fn with_trailers(
    body: Full<Bytes>,
    trailers: HeaderMap,
) -> impl http_body::Body<Data = Bytes, Error = Infallible> + Send {
    body.with_trailers(std::future::ready(Some(Ok(trailers))))
}

/// The status of an HTTP response without one: made by a proxy, not by the service (gRPC, "HTTP to gRPC Status Code
/// Mapping").
pub(super) fn code_of_http(status: http::StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The status of a failed connection. Errors unknown to tonic are UNAVAILABLE, as in other clients. The message names
/// addresses and causes, and stays in this process.
pub(super) fn connection_status(error: StdError) -> Status {
    let is_late = causes(&*error).any(|cause| cause.is::<tonic::TimeoutExpired>());
    if is_late {
        return Status::deadline_exceeded("no answer in time");
    }
    let status = Status::from_error(error);
    match status.code() {
        Code::Unknown | Code::Cancelled => Status::unavailable(status.message()),
        _ => status,
    }
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// A body that sends the request again and records whether it was sent.
///
/// The connection takes the message when it sends it. Until then no method can have begun.
#[derive(Debug)]
pub(super) struct ReplayBody {
    message: Option<Bytes>,
    was_taken: Arc<AtomicBool>,
}

/// Whether the message was taken.
#[derive(Debug)]
pub(super) struct SentFlag(Arc<AtomicBool>);

impl ReplayBody {
    pub(super) fn new(message: Bytes) -> (Self, SentFlag) {
        // An empty message is never taken: assume that it was sent.
        let was_taken = Arc::new(AtomicBool::new(message.is_empty()));
        let sent_flag = SentFlag(Arc::clone(&was_taken));
        let message = Some(message);
        (Self { message, was_taken }, sent_flag)
    }
}

impl SentFlag {
    pub(super) fn was_sent(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl http_body::Body for ReplayBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.was_taken.store(true, Ordering::Release);
        Poll::Ready(self.message.take().map(|message| Ok(Frame::data(message))))
    }

    fn is_end_stream(&self) -> bool {
        self.message.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(
            self.message
                .as_ref()
                .map_or(0, |message| message.len() as u64),
        )
    }
}

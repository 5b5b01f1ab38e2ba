//! The message of a unary call, held in memory for retries, and its response, held until it is complete.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Response;
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
    let trailers = std::future::ready(trailers.map(Ok));
    let body = Full::new(collected.to_bytes()).with_trailers(trailers);
    Ok((Response::from_parts(head, Body::new(body)), code))
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
    if causes(&*error).any(|cause| cause.is::<tonic::TimeoutExpired>()) {
        return Status::deadline_exceeded("no answer in time");
    }
    let is_unprocessed = is_unprocessed(&*error);
    let status = Status::from_error(error);
    match status.code() {
        Code::Unknown | Code::Cancelled => Status::unavailable(status.message()),
        _ if is_unprocessed => Status::unavailable(status.message()),
        _ => status,
    }
}

/// Whether the server says that no method has begun: it refused the stream, or its GOAWAY is not for errors and names an
/// earlier stream as the last (RFC 9113, section 8.7).
pub(super) fn is_unprocessed(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<h2::Error>())
        .filter(|error| error.is_remote())
        .any(|error| match error.reason() {
            Some(h2::Reason::REFUSED_STREAM) => error.is_reset(),
            Some(h2::Reason::NO_ERROR) => error.is_go_away(),
            _ => false,
        })
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// A body that sends the request, and the flag of whether the connection has taken it. Until then no method can have begun.
pub(super) fn replay_body(message: Bytes) -> (Body, Arc<AtomicBool>) {
    // An empty message is never taken: assume that it was sent.
    let was_sent = Arc::new(AtomicBool::new(message.is_empty()));
    let flag = Arc::clone(&was_sent);
    let body = Full::new(message).inspect_frame(move |_| flag.store(true, Ordering::Release));
    (Body::new(body), was_sent)
}

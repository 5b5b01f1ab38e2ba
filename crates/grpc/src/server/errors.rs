//! Every error leaves with an ErrorInfo, and without internal text.
//!
//! Methods and the layers of this server set their own details. tonic also answers on its own before a method is
//! reached: unknown method, message too large, message not decodable. Such a status has no details and a message about
//! the library; both are replaced here. The codes stay, as gRPC defines them ("Status codes and their use in gRPC").

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tower::{Layer, Service};

use super::response::trailers;

/// ErrorInfo for the statuses that tonic makes: code, reason, message.
pub const EXPLAINED: [(Code, &str, &str); 4] = [
    (
        Code::Unimplemented,
        "UNIMPLEMENTED",
        "there is no such method, or not with this compression",
    ),
    (
        Code::OutOfRange,
        "MESSAGE_TOO_LARGE",
        "the message is larger than the service accepts",
    ),
    (
        Code::Internal,
        "MALFORMED_MESSAGE",
        "the message cannot be decoded",
    ),
    (Code::NotFound, "NOT_FOUND", "not found"),
];

/// For every other status without details.
pub const UNEXPLAINED: (&str, &str) = ("UNEXPLAINED", "the call failed");

#[derive(Clone, Copy, Debug)]
pub(super) struct ErrorLayer {
    pub(super) service: &'static str,
}

impl<S> Layer<S> for ErrorLayer {
    type Service = Errors<S>;

    fn layer(&self, inner: S) -> Errors<S> {
        let service = self.service;
        Errors { inner, service }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Errors<S> {
    inner: S,
    service: &'static str,
}

impl<S, Sent, Answer> Service<Request<Sent>> for Errors<S>
where
    S: Service<Request<Sent>, Response = Response<Answer>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    Answer: Body + Send + 'static,
{
    type Response = Response<ExplainedBody<Answer>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Sent>) -> Self::Future {
        let service = self.service;
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            explain(answer.headers_mut(), service);
            Ok(answer.map(|inner| ExplainedBody { inner, service }))
        })
    }
}

/// Adds details to an error that has none.
fn explain(headers: &mut HeaderMap, service: &'static str) {
    let code = headers.get(Status::GRPC_STATUS);
    let code = code.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
    if code == Code::Ok || headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return;
    }
    let explained = EXPLAINED.iter().find(|(known, ..)| *known == code);
    let (reason, message) = explained.map_or(UNEXPLAINED, |(_, reason, text)| (reason, text));
    let details = ErrorDetails::with_error_info(reason, service, HashMap::new());
    headers.extend(trailers(&Status::with_error_details(
        code, message, details,
    )));
}

/// A response body that adds details to its trailers.
#[derive(Debug)]
pub(super) struct ExplainedBody<B> {
    inner: B,
    service: &'static str,
}

impl<B: Body + Unpin> Body for ExplainedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let service = self.service;
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        frame.map_ok(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                explain(trailers, service);
            }
            frame
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(status: &Status) -> Status {
        let mut headers = trailers(status);
        explain(&mut headers, "some-service");
        Status::from_header_map(&headers).unwrap()
    }

    #[test]
    fn an_error_without_details_gets_a_reason_and_loses_the_librarys_text() {
        let status = explained(&Status::internal("failed to decode Protobuf message: …"));

        assert_eq!(status.code(), Code::Internal);
        assert_eq!(status.message(), "the message cannot be decoded");
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(
            (&*info.reason, &*info.domain),
            ("MALFORMED_MESSAGE", "some-service")
        );
    }

    #[test]
    fn every_code_gets_an_error_info() {
        for code in 1..=16 {
            let status = explained(&Status::new(Code::from(code), "text of a library"));

            assert_eq!(status.code(), Code::from(code));
            assert_ne!(status.message(), "text of a library");
            assert!(status.get_error_details().error_info().is_some());
        }
    }

    #[test]
    fn an_error_with_details_is_unchanged_and_so_is_success() {
        let details = ErrorDetails::with_error_info("MINE", "me", HashMap::new());
        let own = Status::with_error_details(Code::NotFound, "no such thing", details);

        assert_eq!(explained(&own).message(), "no such thing");
        let mut headers = trailers(&Status::ok(""));
        explain(&mut headers, "some-service");
        assert!(!headers.contains_key(Status::GRPC_STATUS_DETAILS));
    }
}

//! Every error leaves with an ErrorInfo, and without internal text.
//!
//! Methods and the layers of this server set their own details. tonic also answers on its own before a method is
//! reached: unknown method, message too large, message not decodable. Such a status has no details and a message about
//! the library; both are replaced here. The codes stay, as gRPC defines them ("Status codes and their use in gRPC").

use std::collections::HashMap;

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::response::trailers;
use crate::middleware::{Inner, Middleware, Next};

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

impl Middleware for ErrorLayer {
    async fn handle<S: Inner>(self, request: Request<Body>, next: Next<S>) -> Response<Body> {
        let mut response = next.run(request).await;
        explain(response.headers_mut(), self.service);
        response.map(|body| {
            Body::new(body.map_frame(move |mut frame| {
                if let Some(trailers) = frame.trailers_mut() {
                    explain(trailers, self.service);
                }
                frame
            }))
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

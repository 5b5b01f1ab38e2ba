//! Errors as text or JSON, and the exit code that tells scripts their kind.

use std::process::ExitCode;

use anyhow::Error;
use serde_json::json;

use crate::client::failure::{CallFailure, code_name};
use crate::client::watch::WatchError;

/// order-service refused: the same request will be refused again.
const REFUSED: u8 = 1;

/// No final answer: a retry may succeed.
const NO_ANSWER: u8 = 3;

/// Any other error, such as an invalid address.
const OTHER: u8 = 4;

/// The exit code of an error; 2 is taken by wrong usage.
pub fn exit_code(error: &Error) -> ExitCode {
    ExitCode::from(code(error))
}

fn code(error: &Error) -> u8 {
    match (error.downcast_ref::<CallFailure>(), error.downcast_ref()) {
        (Some(failure), _) if failure.is_transient() => NO_ANSWER,
        (Some(_), _) => REFUSED,
        (None, Some(WatchError::NotFinal { .. })) => NO_ANSWER,
        (None, _) => OTHER,
    }
}

/// An error as printed on standard error. The address is included if there was no answer.
pub fn text(error: &Error, address: &str, as_json: bool) -> String {
    let failure = error.downcast_ref::<CallFailure>();
    match (failure, as_json) {
        (Some(failure), true) => json(failure),
        (Some(failure), false) => words(failure, address),
        (None, true) => json!({ "error": { "message": format!("{error:#}") } }).to_string(),
        (None, false) => format!("orderctl: {error:#}"),
    }
}

fn words(failure: &CallFailure, address: &str) -> String {
    let mut text = format!("orderctl: {}: {}", code_name(failure.code), failure.message);
    match &failure.reason {
        Some(reason) => text.push_str(&format!("\n  reason {reason}")),
        None => text.push_str(&format!("\n  at {address}")),
    }
    for (name, value) in &failure.metadata {
        text.push_str(&format!("\n  {name} {value}"));
    }
    for violation in &failure.violations {
        text.push_str(&format!(
            "\n  {}: {}",
            violation.field, violation.description
        ));
    }
    if let Some(delay) = failure.retry_delay {
        text.push_str(&format!("\n  try again in {delay:?}"));
    }
    text
}

fn json(failure: &CallFailure) -> String {
    let error = json!({
        "code": code_name(failure.code),
        "message": failure.message,
        "reason": failure.reason,
        "metadata": failure.metadata,
        "violations": failure.violations,
        "retry_delay_ms": failure.retry_delay.map(|delay| delay.as_millis() as u64),
    });
    json!({ "error": error }).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    fn invalid() -> Error {
        let mut details = ErrorDetails::with_error_info("INVALID_REQUEST", "order-service", []);
        details.add_bad_request_violation("lines[0].quantity", "must be 1 to 100000");
        let message = "the request has 1 invalid field(s)";
        let status = Status::with_error_details(Code::InvalidArgument, message, details);
        CallFailure::from(status).into()
    }

    #[test]
    fn an_error_of_the_service_is_printed_with_its_details() {
        assert_eq!(
            text(&invalid(), "http://h:1", false),
            "orderctl: INVALID_ARGUMENT: the request has 1 invalid field(s)\n  \
             reason INVALID_REQUEST\n  \
             lines[0].quantity: must be 1 to 100000"
        );
    }

    #[test]
    fn an_error_of_the_service_is_printed_as_json() {
        let parsed: serde_json::Value =
            serde_json::from_str(&text(&invalid(), "http://h:1", true)).unwrap();

        let error = &parsed["error"];
        assert_eq!(error["code"], "INVALID_ARGUMENT");
        assert_eq!(error["reason"], "INVALID_REQUEST");
        assert_eq!(error["violations"][0]["field"], "lines[0].quantity");
    }

    #[test]
    fn a_connection_error_names_the_address() {
        let failure = CallFailure::from(Status::unavailable("tcp connect error"));

        assert_eq!(
            text(&failure.into(), "http://h:1", false),
            "orderctl: UNAVAILABLE: tcp connect error\n  at http://h:1"
        );
    }

    #[test]
    fn the_exit_code_tells_whether_a_retry_may_help() {
        let unavailable = CallFailure::from(Status::unavailable("no connection"));
        let late = CallFailure::timed_out(Duration::from_secs(1));

        assert_eq!(code(&invalid()), REFUSED);
        assert_eq!(code(&unavailable.into()), NO_ANSWER);
        assert_eq!(code(&late.into()), NO_ANSWER);
        assert_eq!(code(&anyhow::anyhow!("no address")), OTHER);
    }
}

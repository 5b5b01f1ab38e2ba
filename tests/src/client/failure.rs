//! The google.rpc details of an error status as one value.
//!
//! order-service puts an ErrorInfo into every error. An error without one comes from the transport or a local timeout.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// An unsuccessful call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFailure {
    pub code: Code,
    /// Human-readable message.
    pub message: String,
    /// The reason of the ErrorInfo; `None` when the error is not from the service.
    pub reason: Option<String>,
    /// The metadata of the ErrorInfo.
    pub metadata: BTreeMap<String, String>,
    /// The invalid fields of a malformed request, and the lines that are not available.
    pub violations: Vec<FieldViolation>,
    /// The retry delay, if the service sent one.
    pub retry_delay: Option<Duration>,
}

/// A field that is invalid or a line that is not available.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldViolation {
    /// The field's path in the request.
    pub field: String,
    /// The violated rule or the missing quantity.
    pub description: String,
}

impl CallFailure {
    /// A local timeout.
    pub fn timed_out(after: Duration) -> Self {
        Self::from(Status::deadline_exceeded(format!(
            "no answer within {after:?}"
        )))
    }

    /// Whether a retry of the same request may succeed. An error that the service declares permanent stays permanent.
    pub fn is_transient(&self) -> bool {
        match self.code {
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => true,
            // tonic reports a connection that broke during a call with these codes.
            Code::Unknown | Code::Internal | Code::Cancelled => self.reason.is_none(),
            _ => false,
        }
    }
}

impl From<Status> for CallFailure {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason: info.map(|info| info.reason.clone()),
            metadata: info
                .map(|info| info.metadata.clone().into_iter().collect())
                .unwrap_or_default(),
            violations: violations(&details),
            retry_delay: details.retry_info().and_then(|retry| retry.retry_delay),
        }
    }
}

fn violations(details: &ErrorDetails) -> Vec<FieldViolation> {
    let malformed = details
        .bad_request()
        .map(|request| &request.field_violations);
    let malformed = malformed
        .into_iter()
        .flatten()
        .map(|violation| FieldViolation {
            field: violation.field.clone(),
            description: violation.description.clone(),
        });
    let unmet = details
        .precondition_failure()
        .map(|failure| &failure.violations);
    let unmet = unmet.into_iter().flatten().map(|violation| FieldViolation {
        field: violation.subject.clone(),
        description: violation.description.clone(),
    });
    malformed.chain(unmet).collect()
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", code_name(self.code))?;
        if let Some(reason) = &self.reason {
            write!(f, " ({reason})")?;
        }
        write!(f, ": {}", self.message)?;
        for violation in &self.violations {
            write!(f, "; {}: {}", violation.field, violation.description)?;
        }
        Ok(())
    }
}

impl std::error::Error for CallFailure {}

/// The name of a code in the gRPC specification.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(code: Code, reason: &str) -> CallFailure {
        let details = ErrorDetails::with_error_info(reason, "order-service", []);
        CallFailure::from(Status::with_error_details(code, "it is so", details))
    }

    #[test]
    fn reason_and_violations_are_read_from_the_details() {
        let mut details = ErrorDetails::with_error_info("INVALID_REQUEST", "order-service", []);
        details.add_bad_request_violation("lines[0].quantity", "must be 1 to 100000");
        let status = Status::with_error_details(Code::InvalidArgument, "1 invalid field", details);

        let failure = CallFailure::from(status);

        assert_eq!(
            failure.to_string(),
            "INVALID_ARGUMENT (INVALID_REQUEST): 1 invalid field; \
             lines[0].quantity: must be 1 to 100000"
        );
    }

    #[test]
    fn unavailable_lines_are_read_from_the_details() {
        let mut details = ErrorDetails::with_error_info("ITEMS_UNAVAILABLE", "order-service", []);
        details.add_precondition_failure_violation(
            "UNKNOWN_SKU",
            "lines[2].sku",
            "is not in the catalogue",
        );
        let status = Status::with_error_details(Code::FailedPrecondition, "1 line(s)", details);

        let failure = CallFailure::from(status);

        assert_eq!(failure.violations[0].field, "lines[2].sku");
        assert_eq!(failure.violations[0].description, "is not in the catalogue");
        assert!(!failure.is_transient());
    }

    #[test]
    fn an_outage_is_transient() {
        assert!(spoken(Code::Unavailable, "STORE_UNAVAILABLE").is_transient());
        assert!(spoken(Code::ResourceExhausted, "OVERLOADED").is_transient());
        assert!(CallFailure::timed_out(Duration::from_secs(1)).is_transient());
    }

    #[test]
    fn a_broken_connection_is_distinguished_from_an_error_of_the_service() {
        for code in [Code::Unknown, Code::Internal, Code::Cancelled] {
            assert!(CallFailure::from(Status::new(code, "connection reset")).is_transient());
            assert!(!spoken(code, "INTERNAL").is_transient());
        }
    }

    #[test]
    fn a_refusal_is_permanent() {
        for code in [
            Code::InvalidArgument,
            Code::NotFound,
            Code::AlreadyExists,
            Code::Unimplemented,
        ] {
            assert!(!CallFailure::from(Status::new(code, "no")).is_transient());
        }
    }
}

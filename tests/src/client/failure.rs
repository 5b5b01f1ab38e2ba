//! What an error says: the google.rpc details of a status, in one value.
//!
//! order-service puts an ErrorInfo into every error. An error without one was not spoken by it: it was born on the
//! way, in a broken connection or a local timeout.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// An unsuccessful call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The gRPC code.
    pub code: Code,
    /// The message for people.
    pub message: String,
    /// The reason of the ErrorInfo; `None` when the service did not speak.
    pub reason: Option<String>,
    /// The metadata of the ErrorInfo.
    pub metadata: BTreeMap<String, String>,
    /// Every field that a malformed request got wrong, and every line that asks for what cannot be had.
    pub violations: Vec<FieldViolation>,
    /// The retry delay, if the service sent one.
    pub retry_delay: Option<Duration>,
}

/// One field of a request that broke a rule, or cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldViolation {
    /// The field's path in the request.
    pub field: String,
    /// The violated rule or the missing field.
    pub description: String,
}

impl Failure {
    /// No answer came in time.
    pub fn timed_out(after: Duration) -> Self {
        Self::from(Status::deadline_exceeded(format!(
            "no answer within {after:?}"
        )))
    }

    /// Whether the same request may succeed later. What the service itself calls wrong stays wrong.
    pub fn is_transient(&self) -> bool {
        match self.code {
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => true,
            // How tonic reports a connection that broke under a call.
            Code::Unknown | Code::Internal | Code::Cancelled => self.reason.is_none(),
            _ => false,
        }
    }
}

impl From<Status> for Failure {
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

impl fmt::Display for Failure {
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

impl std::error::Error for Failure {}

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

    fn spoken(code: Code, reason: &str) -> Failure {
        let details = ErrorDetails::with_error_info(reason, "order-service", []);
        Failure::from(Status::with_error_details(code, "it is so", details))
    }

    #[test]
    fn reason_and_violations_are_read_from_the_details() {
        let mut details = ErrorDetails::with_error_info("INVALID_REQUEST", "order-service", []);
        details.add_bad_request_violation("lines[0].quantity", "must be 1 to 100000");
        let status = Status::with_error_details(Code::InvalidArgument, "1 invalid field", details);

        let failure = Failure::from(status);

        assert_eq!(
            failure.to_string(),
            "INVALID_ARGUMENT (INVALID_REQUEST): 1 invalid field; \
             lines[0].quantity: must be 1 to 100000"
        );
    }

    #[test]
    fn lines_that_cannot_be_had_are_read_as_well() {
        let mut details = ErrorDetails::with_error_info("ITEMS_UNAVAILABLE", "order-service", []);
        details.add_precondition_failure_violation(
            "UNKNOWN_SKU",
            "lines[2].sku",
            "is not in the catalogue",
        );
        let status = Status::with_error_details(Code::FailedPrecondition, "1 line(s)", details);

        let failure = Failure::from(status);

        assert_eq!(failure.violations[0].field, "lines[2].sku");
        assert_eq!(failure.violations[0].description, "is not in the catalogue");
        assert!(!failure.is_transient());
    }

    #[test]
    fn an_outage_passes_by_itself() {
        assert!(spoken(Code::Unavailable, "STORE_UNAVAILABLE").is_transient());
        assert!(spoken(Code::ResourceExhausted, "OVERLOADED").is_transient());
        assert!(Failure::timed_out(Duration::from_secs(1)).is_transient());
    }

    #[test]
    fn a_broken_connection_is_told_from_an_error_of_the_service() {
        for code in [Code::Unknown, Code::Internal, Code::Cancelled] {
            assert!(Failure::from(Status::new(code, "connection reset")).is_transient());
            assert!(!spoken(code, "INTERNAL").is_transient());
        }
    }

    #[test]
    fn a_refusal_stays_a_refusal() {
        for code in [
            Code::InvalidArgument,
            Code::NotFound,
            Code::AlreadyExists,
            Code::Unimplemented,
        ] {
            assert!(!Failure::from(Status::new(code, "no")).is_transient());
        }
    }
}

//! Statuses that this crate makes itself: why a call is rejected before a method runs, or ended while it runs.
//!
//! Every rejection is a gRPC status with a google.rpc ErrorInfo, whose `reason` programs can branch on, and with
//! RetryInfo where the same call may succeed later (AIP-193). No internal text gets out.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Why a call is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallRejection {
    /// The deadline of the call, the client's or the server's own.
    DeadlineExceeded,
    /// Header `grpc-timeout`.
    MalformedTimeout,
    /// The concurrency limit is reached.
    Overloaded,
    /// The rate limit of the caller is exceeded; the next call is allowed after this time.
    RateLimited(Duration),
    /// No token, or an invalid one.
    Unauthenticated,
    /// The caller is authenticated and not permitted to do this.
    PermissionDenied,
    /// A required dependency does not answer, or its circuit breaker is open.
    DependencyUnavailable,
    /// The server stops; another replica can take the call.
    ShuttingDown,
}

/// Retry delay after a rejection for load: too short to be noticed as a pause, long enough for the load to pass.
pub const RETRY_DELAY: Duration = Duration::from_millis(500);

impl CallRejection {
    /// One of each, for the pages and tests that list them.
    pub const ALL: [Self; 8] = [
        Self::DeadlineExceeded,
        Self::MalformedTimeout,
        Self::Overloaded,
        Self::RateLimited(RETRY_DELAY),
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::DependencyUnavailable,
        Self::ShuttingDown,
    ];

    pub fn code(self) -> Code {
        match self {
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::MalformedTimeout => Code::InvalidArgument,
            Self::Overloaded | Self::RateLimited(_) => Code::ResourceExhausted,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::PermissionDenied => Code::PermissionDenied,
            Self::DependencyUnavailable | Self::ShuttingDown => Code::Unavailable,
        }
    }

    pub fn reason(self) -> &'static str {
        match self {
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::MalformedTimeout => "MALFORMED_TIMEOUT",
            Self::Overloaded => "OVERLOADED",
            Self::RateLimited(_) => "RATE_LIMITED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::DependencyUnavailable => "DEPENDENCY_UNAVAILABLE",
            Self::ShuttingDown => "SHUTTING_DOWN",
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Self::DeadlineExceeded => "the deadline of the call has passed",
            Self::MalformedTimeout => "the header grpc-timeout is malformed",
            Self::Overloaded => "the service is overloaded",
            Self::RateLimited(_) => "too many calls of this customer",
            Self::Unauthenticated => "a valid bearer token is needed",
            Self::PermissionDenied => "the caller may not do this",
            Self::DependencyUnavailable => "a service that is needed does not answer",
            Self::ShuttingDown => "the service is shutting down",
        }
    }

    /// When the same call may succeed; `None` if a retry does not help.
    pub fn retry_delay(self) -> Option<Duration> {
        match self {
            Self::Overloaded | Self::DependencyUnavailable | Self::ShuttingDown => {
                Some(RETRY_DELAY)
            }
            Self::RateLimited(delay) => Some(delay),
            _ => None,
        }
    }

    /// The status; `service` is the domain of its ErrorInfo.
    pub fn status(self, service: &'static str) -> Status {
        let mut details = ErrorDetails::with_error_info(self.reason(), service, HashMap::new());
        if let Some(delay) = self.retry_delay() {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(self.code(), self.message(), details)
    }
}

/// Name of a code as gRPC spells it ("Status codes and their use in gRPC").
pub(crate) fn code_name(code: Code) -> &'static str {
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

/// Whether the code means a failure of the server, not of its caller ("Semantic conventions for gRPC spans").
pub(crate) fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rejection_has_a_reason_and_a_retry_delay_where_a_retry_helps() {
        for rejection in CallRejection::ALL {
            let status = rejection.status("some-service");

            assert_eq!(status.code(), rejection.code());
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!(info.domain, "some-service");
            assert_eq!(info.reason, rejection.reason());
            let delay = details.retry_info().and_then(|info| info.retry_delay);
            assert_eq!(delay, rejection.retry_delay());
        }
    }
}

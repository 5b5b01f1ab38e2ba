//! What the chassis itself answers instead of the service: why a call is refused before, or cut off while, a method works
//! on it.
//!
//! Every refusal is a gRPC status with a google.rpc ErrorInfo whose `reason` a program can branch on, and with RetryInfo
//! where the same call may succeed later (AIP-193). No internal text gets out.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The deadline of the call has passed, the client's or the server's own.
    DeadlineExceeded,
    /// The header `grpc-timeout` is malformed.
    MalformedTimeout,
    /// As many calls are in work as the process takes on.
    Overloaded,
    /// This caller makes more calls than is its share; it may come again after this time.
    RateLimited(Duration),
    /// No token, or one that is not valid.
    Unauthenticated,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// The dependency that must answer first does not, or its breaker is open.
    DependencyUnavailable,
}

/// When to try again after a refusal for load: short enough not to be noticed as a pause, long enough for the load to pass.
pub const RETRY_DELAY: Duration = Duration::from_millis(500);

impl Refusal {
    /// One of each, for the pages and tests that list them.
    pub const ALL: [Self; 7] = [
        Self::DeadlineExceeded,
        Self::MalformedTimeout,
        Self::Overloaded,
        Self::RateLimited(RETRY_DELAY),
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::DependencyUnavailable,
    ];

    /// The code of the status.
    pub fn code(self) -> Code {
        match self {
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::MalformedTimeout => Code::InvalidArgument,
            Self::Overloaded | Self::RateLimited(_) => Code::ResourceExhausted,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::PermissionDenied => Code::PermissionDenied,
            Self::DependencyUnavailable => Code::Unavailable,
        }
    }

    /// The `reason` of the ErrorInfo.
    pub fn reason(self) -> &'static str {
        match self {
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::MalformedTimeout => "MALFORMED_TIMEOUT",
            Self::Overloaded => "OVERLOADED",
            Self::RateLimited(_) => "RATE_LIMITED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::DependencyUnavailable => "DEPENDENCY_UNAVAILABLE",
        }
    }

    /// What it means, for a person.
    pub fn message(self) -> &'static str {
        match self {
            Self::DeadlineExceeded => "the deadline of the call has passed",
            Self::MalformedTimeout => "the header grpc-timeout is malformed",
            Self::Overloaded => "the service is overloaded",
            Self::RateLimited(_) => "too many calls of this customer",
            Self::Unauthenticated => "a valid bearer token is needed",
            Self::PermissionDenied => "the caller may not do this",
            Self::DependencyUnavailable => "a service that is needed does not answer",
        }
    }

    /// When the same call may succeed; `None` if repeating it does not help.
    pub fn retry_delay(self) -> Option<Duration> {
        match self {
            Self::Overloaded | Self::DependencyUnavailable => Some(RETRY_DELAY),
            Self::RateLimited(delay) => Some(delay),
            _ => None,
        }
    }

    /// The status, in the name of the service that refuses.
    pub fn status(self, service: &'static str) -> Status {
        let mut details = ErrorDetails::with_error_info(self.reason(), service, HashMap::new());
        if let Some(delay) = self.retry_delay() {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(self.code(), self.message(), details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_carries_its_reason_and_says_when_to_come_back_if_that_helps() {
        for refusal in Refusal::ALL {
            let status = refusal.status("some-service");

            assert_eq!(status.code(), refusal.code());
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!(info.domain, "some-service");
            assert_eq!(info.reason, refusal.reason());
            let delay = details.retry_info().and_then(|info| info.retry_delay);
            assert_eq!(delay, refusal.retry_delay());
        }
    }
}

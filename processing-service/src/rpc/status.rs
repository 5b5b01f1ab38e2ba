//! The one place where an error becomes a gRPC status.
//!
//! Every status carries an ErrorInfo whose `reason` a program can branch on; BadRequest lists the faults of a request;
//! RetryInfo says when to come back. No internal text gets out: what went wrong inside stands in the log, under the same
//! trace.

use std::collections::HashMap;
use std::time::Duration;

use grpc::status::RETRY_DELAY;
use grpc::server::violations::Violations;
use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// `domain` of every ErrorInfo: who defines the reasons.
const DOMAIN: &str = "processing-service";

/// Why a call fails, as far as a caller may know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RpcError {
    /// The request breaks rules.
    #[error("the request has {} invalid field(s)", .0.total())]
    InvalidRequest(Violations),
    /// The stock is not loaded yet.
    #[error("the service is starting")]
    Starting,
    /// More looks wait than can be answered in time.
    #[error("the service is overloaded")]
    Overloaded,
    /// The service is on its way out; another instance takes the call.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// The store does not answer.
    #[error("the stock cannot be read")]
    StoreUnavailable,
    /// A defect; the log has the facts.
    #[error("internal error")]
    Internal,
}

impl RpcError {
    /// The reasons of this service, with the code of each and when the same call may succeed, for the page that lists
    /// them.
    pub const REASONS: [(&str, Code, Option<Duration>); 6] = [
        ("INVALID_REQUEST", Code::InvalidArgument, None),
        ("STARTING", Code::Unavailable, Some(RETRY_DELAY)),
        ("OVERLOADED", Code::ResourceExhausted, Some(RETRY_DELAY)),
        ("SHUTTING_DOWN", Code::Unavailable, Some(RETRY_DELAY)),
        ("STORE_UNAVAILABLE", Code::Unavailable, Some(RETRY_DELAY)),
        ("INTERNAL", Code::Internal, None),
    ];

    fn code(&self) -> Code {
        match self {
            Self::InvalidRequest(_) => Code::InvalidArgument,
            Self::Overloaded => Code::ResourceExhausted,
            Self::Starting | Self::ShuttingDown | Self::StoreUnavailable => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "INVALID_REQUEST",
            Self::Starting => "STARTING",
            Self::Overloaded => "OVERLOADED",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    /// Every fact of the message, so that no client has to parse it.
    fn metadata(&self) -> HashMap<String, String> {
        match self {
            Self::InvalidRequest(faults) => {
                HashMap::from([("violations".to_owned(), faults.total().to_string())])
            }
            _ => HashMap::new(),
        }
    }

    fn details(&self) -> ErrorDetails {
        let mut details = ErrorDetails::with_error_info(self.reason(), DOMAIN, self.metadata());
        match self {
            Self::InvalidRequest(faults) => {
                details.set_bad_request(faults.field_violations());
            }
            Self::Starting | Self::Overloaded | Self::ShuttingDown | Self::StoreUnavailable => {
                details.set_retry_info(Some(RETRY_DELAY));
            }
            Self::Internal => {}
        }
        details
    }
}

impl From<RpcError> for Status {
    fn from(error: RpcError) -> Self {
        Status::with_error_details(error.code(), error.to_string(), error.details())
    }
}

impl From<Violations> for RpcError {
    fn from(faults: Violations) -> Self {
        Self::InvalidRequest(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a kind stands in the list. A new one does not compile before it has a place.
    fn place(error: &RpcError) -> usize {
        match error {
            RpcError::InvalidRequest(_) => 0,
            RpcError::Starting => 1,
            RpcError::Overloaded => 2,
            RpcError::ShuttingDown => 3,
            RpcError::StoreUnavailable => 4,
            RpcError::Internal => 5,
        }
    }

    #[test]
    fn every_status_carries_a_reason_of_this_domain_which_is_listed() {
        let errors = [
            RpcError::InvalidRequest(Violations::default()),
            RpcError::Starting,
            RpcError::Overloaded,
            RpcError::ShuttingDown,
            RpcError::StoreUnavailable,
            RpcError::Internal,
        ];
        let places: Vec<_> = errors.iter().map(place).collect();
        assert_eq!(places, Vec::from_iter(0..RpcError::REASONS.len()));

        for (error, listed) in errors.into_iter().zip(RpcError::REASONS) {
            let status = Status::from(error);
            let details = status.get_error_details();
            let info = details.error_info().unwrap();
            let delay = details.retry_info().and_then(|info| info.retry_delay);
            assert_eq!(info.domain, "processing-service");
            assert_eq!((&*info.reason, status.code(), delay), listed);
        }
    }

    #[test]
    fn the_faults_of_a_request_are_listed_and_counted() {
        let mut faults = Violations::default();
        faults.add("items[3].quantity", "expected 1 to 100000 pieces");

        let status = Status::from(RpcError::from(faults));

        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["violations"], "1");
        let listed = &details.bad_request().unwrap().field_violations;
        assert_eq!(listed[0].field, "items[3].quantity");
    }

    #[test]
    fn the_largest_answer_fits_the_header_limit_of_clients() {
        let mut faults = Violations::default();
        for item in 0..500 {
            faults.add(
                format_args!("items[{item}].sku"),
                "expected 1 to 64 printable ASCII characters",
            );
        }

        let status = Status::from(RpcError::from(faults));

        let on_the_wire = status.details().len() * 4 / 3;
        assert!(on_the_wire < 7 * 1024 + 512, "{on_the_wire}");
    }
}

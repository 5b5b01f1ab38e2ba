//! The one place where an error becomes a gRPC status.
//!
//! Every status carries an ErrorInfo whose `reason` a program can branch on; BadRequest lists the invalid fields;
//! RetryInfo gives the retry delay. No internal text reaches a client: details are logged, under the same trace id.

use std::collections::HashMap;
use std::time::Duration;

use grpc::server::violations::Violations;
use grpc::status::{CallRejection, RETRY_DELAY};
use service::error_chain::ErrorChain;
use sql::group_commit::SubmitError;
use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::domain::OrderId;
use crate::steps::StepError;
use crate::store::StoreError;

/// `domain` of every ErrorInfo: the service that defines the reasons.
const DOMAIN: &str = "processing-service";

/// The `reason` of an ErrorInfo, the status code, and the RetryInfo delay if the same call may succeed later.
type Reason = (&'static str, Code, Option<Duration>);

const INVALID_REQUEST: Reason = ("INVALID_REQUEST", Code::InvalidArgument, None);
const ORDER_TOO_OLD: Reason = ("ORDER_TOO_OLD", Code::FailedPrecondition, None);
const STARTING: Reason = unavailable("STARTING");
const OVERLOADED: Reason = ("OVERLOADED", Code::ResourceExhausted, Some(RETRY_DELAY));
const SHUTTING_DOWN: Reason = unavailable("SHUTTING_DOWN");
const STORE_UNAVAILABLE: Reason = unavailable("STORE_UNAVAILABLE");
const PAYMENT_UNDECIDED: Reason = unavailable("PAYMENT_UNDECIDED");
const INTERNAL: Reason = ("INTERNAL", Code::Internal, None);

const fn unavailable(reason: &'static str) -> Reason {
    (reason, Code::Unavailable, Some(RETRY_DELAY))
}

/// The failures of a call that a client can distinguish.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RpcError {
    /// Fields are missing, malformed or out of bounds.
    #[error("the request has {} invalid field(s)", .0.total())]
    InvalidRequest(Violations),
    /// The outcome of the order may have been deleted.
    #[error("order {0} is too old to be processed")]
    OrderTooOld(OrderId),
    /// The stock is not seeded yet.
    #[error("the service is starting")]
    Starting,
    /// The queue of stock reads is full.
    #[error("the service is overloaded")]
    Overloaded,
    /// Another instance can take the call.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// The database does not answer.
    #[error("the database does not answer")]
    StoreUnavailable,
    /// The payment provider did not confirm a refund.
    #[error("the payment provider does not answer")]
    PaymentUndecided,
    /// Refused for a reason that is common to all services.
    #[error("{}", .0.message())]
    Refused(CallRejection),
    /// A defect; the details are in the log.
    #[error("internal error")]
    Internal,
}

impl RpcError {
    /// The reasons of this service, for docs/errors.md. The reasons of [`CallRejection`] are common to all services.
    pub const REASONS: [Reason; 8] = [
        INVALID_REQUEST,
        ORDER_TOO_OLD,
        STARTING,
        OVERLOADED,
        SHUTTING_DOWN,
        STORE_UNAVAILABLE,
        PAYMENT_UNDECIDED,
        INTERNAL,
    ];

    fn reason(&self) -> Reason {
        match self {
            Self::InvalidRequest(_) => INVALID_REQUEST,
            Self::OrderTooOld(_) => ORDER_TOO_OLD,
            Self::Starting => STARTING,
            Self::Overloaded => OVERLOADED,
            Self::ShuttingDown => SHUTTING_DOWN,
            Self::StoreUnavailable => STORE_UNAVAILABLE,
            Self::PaymentUndecided => PAYMENT_UNDECIDED,
            Self::Refused(refusal) => (refusal.reason(), refusal.code(), refusal.retry_delay()),
            Self::Internal => INTERNAL,
        }
    }

    /// The values in the message, so that no client has to parse it.
    fn metadata(&self) -> HashMap<String, String> {
        let fact = match self {
            Self::InvalidRequest(violations) => ("violations", violations.total().to_string()),
            Self::OrderTooOld(order_id) => ("order_id", order_id.to_string()),
            _ => return HashMap::new(),
        };
        HashMap::from([(fact.0.to_owned(), fact.1)])
    }
}

impl From<RpcError> for Status {
    fn from(error: RpcError) -> Self {
        let (reason, code, retry_delay) = error.reason();
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, error.metadata());
        if let RpcError::InvalidRequest(violations) = &error {
            details.set_bad_request(violations.field_violations());
        }
        if retry_delay.is_some() {
            details.set_retry_info(retry_delay);
        }
        Status::with_error_details(code, error.to_string(), details)
    }
}

impl From<Violations> for RpcError {
    fn from(violations: Violations) -> Self {
        Self::InvalidRequest(violations)
    }
}

/// The client gets the reason code only; the details are logged.
impl From<SubmitError<StoreError>> for RpcError {
    fn from(error: SubmitError<StoreError>) -> Self {
        match error {
            SubmitError::QueueFull => Self::Overloaded,
            SubmitError::Stopped => Self::ShuttingDown,
            // Another caller of the same batch logs the error.
            SubmitError::BatchFailed => Self::StoreUnavailable,
            SubmitError::Failed(error) if error.is_transient() => {
                tracing::warn!(error = %ErrorChain(&error), "stock read failed");
                Self::StoreUnavailable
            }
            SubmitError::Failed(error) => {
                tracing::error!(error = %ErrorChain(&error), "stock read failed");
                Self::Internal
            }
        }
    }
}

/// As above, for a step of an order.
impl From<StepError> for RpcError {
    fn from(error: StepError) -> Self {
        let reply = match &error {
            StepError::Forgotten(forgotten) => return Self::OrderTooOld(forgotten.0),
            StepError::Refund(_) => Self::PaymentUndecided,
            StepError::Interrupted(_) => Self::StoreUnavailable,
            StepError::Store(cause) if cause.is_transient() => Self::StoreUnavailable,
            StepError::Store(_) => Self::Internal,
        };
        match reply {
            Self::Internal => tracing::error!(error = %ErrorChain(&error), "order step failed"),
            _ => tracing::warn!(error = %ErrorChain(&error), "order step failed"),
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// Index in [`RpcError::REASONS`]. A new variant does not compile until it has one.
    fn place(error: &RpcError) -> usize {
        match error {
            RpcError::InvalidRequest(_) => 0,
            RpcError::OrderTooOld(_) => 1,
            RpcError::Starting => 2,
            RpcError::Overloaded => 3,
            RpcError::ShuttingDown => 4,
            RpcError::StoreUnavailable => 5,
            RpcError::PaymentUndecided => 6,
            RpcError::Internal => 7,
            RpcError::Refused(_) => panic!("a reason of every service"),
        }
    }

    #[test]
    fn every_status_carries_a_reason_of_this_domain_which_is_listed() {
        let errors = [
            RpcError::InvalidRequest(Violations::default()),
            RpcError::OrderTooOld(OrderId::new(Uuid::from_u128(7))),
            RpcError::Starting,
            RpcError::Overloaded,
            RpcError::ShuttingDown,
            RpcError::StoreUnavailable,
            RpcError::PaymentUndecided,
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
    fn the_violations_of_a_request_are_listed_and_counted() {
        let mut violations = Violations::default();
        violations.add("items[3].quantity", "expected 1 to 100000 pieces");

        let status = Status::from(RpcError::from(violations));

        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["violations"], "1");
        let listed = &details.bad_request().unwrap().field_violations;
        assert_eq!(listed[0].field, "items[3].quantity");
    }

    #[test]
    fn the_largest_answer_fits_the_header_limit_of_clients() {
        let mut violations = Violations::default();
        for item in 0..500 {
            violations.add(
                format_args!("items[{item}].sku"),
                "expected 1 to 64 printable ASCII characters",
            );
        }

        let status = Status::from(RpcError::from(violations));

        let on_the_wire = status.details().len() * 4 / 3;
        assert!(on_the_wire < 7 * 1024 + 512, "{on_the_wire}");
    }
}

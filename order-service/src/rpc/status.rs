//! Maps errors to gRPC status; no other file does.
//!
//! Every status carries an ErrorInfo: clients branch on its `reason`, and its metadata repeats the values of the message.
//! BadRequest lists the violations of a request, PreconditionFailure the unavailable lines, RetryInfo the delay before a
//! retry. Internal error text is logged under the same trace and never sent to a client.

use std::collections::HashMap;
use std::time::Duration;

use grpc::server::load_shed::ShedReason;
use grpc::server::violations::{DetailsBudget, Violations};
use grpc::status::CallRejection;
use service::crash_points::Injected;
use service::deadline::Deadline;
use service::error_chain::ErrorChain;
use sql::group_commit::SubmitError;
use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt};

use crate::domain::{OrderId, OrderStatus, RequestId, Shortage, UnavailableLine};
use crate::inventory::NotAvailable;
use crate::store::StoreError;

/// `domain` of every ErrorInfo: the service that defines the reasons.
const DOMAIN: &str = "order-service";

/// RetryInfo delay for overload and outages: long enough to empty a full queue of the writer (4,096 orders at some
/// 10,000/s), short enough that a user does not notice the pause.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// RetryInfo delay for a backlog: one that grew for minutes takes at least seconds to drain.
const BACKLOG_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The `reason` of an ErrorInfo, the status code, and the RetryInfo delay if the same call may succeed later.
type Reason = (&'static str, Code, Option<Duration>);

const INVALID_REQUEST: Reason = ("INVALID_REQUEST", Code::InvalidArgument, None);
const ORDER_NOT_FOUND: Reason = ("ORDER_NOT_FOUND", Code::NotFound, None);
const REQUEST_ID_REUSED: Reason = ("REQUEST_ID_REUSED", Code::AlreadyExists, None);
const ITEMS_UNAVAILABLE: Reason = ("ITEMS_UNAVAILABLE", Code::FailedPrecondition, None);
const ORDER_IS_FINAL: Reason = ("ORDER_IS_FINAL", Code::FailedPrecondition, None);
const TOO_MANY_STREAMS: Reason = exhausted("TOO_MANY_STREAMS", RETRY_DELAY);
const OVERLOADED: Reason = exhausted("OVERLOADED", RETRY_DELAY);
const BACKLOGGED: Reason = exhausted("BACKLOGGED", BACKLOG_RETRY_DELAY);
const AVAILABILITY_UNKNOWN: Reason = unavailable("AVAILABILITY_UNKNOWN");
const SHUTTING_DOWN: Reason = unavailable("SHUTTING_DOWN");
const STORE_UNAVAILABLE: Reason = unavailable("STORE_UNAVAILABLE");
const INTERNAL: Reason = ("INTERNAL", Code::Internal, None);

const fn exhausted(reason: &'static str, retry_delay: Duration) -> Reason {
    (reason, Code::ResourceExhausted, Some(retry_delay))
}

const fn unavailable(reason: &'static str) -> Reason {
    (reason, Code::Unavailable, Some(RETRY_DELAY))
}

/// Why a call fails: everything that a client may learn about it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RpcError {
    #[error("the request has {} invalid field(s)", .0.total())]
    InvalidRequest(Violations),
    #[error("there is no order {0}")]
    OrderNotFound(OrderId),
    #[error("request_id {0} was used before with another body")]
    RequestIdReused(RequestId),
    /// Some lines are out of stock or have an unknown SKU.
    #[error("{} line(s) are not available", .0.len())]
    ItemsUnavailable(Vec<UnavailableLine>),
    #[error("order {order_id} is already {}", status.name())]
    OrderIsFinal {
        order_id: OrderId,
        status: OrderStatus,
    },
    #[error("too many streams are open")]
    TooManyStreams,
    /// The queue of the writer is full.
    #[error("the service is overloaded")]
    Overloaded,
    /// Too many events wait for Kafka, see [`crate::admission`].
    #[error("too many orders are waiting to be processed")]
    Backlogged,
    /// The availability check got no usable response, and the policy requires one.
    #[error("the availability of the items is unknown")]
    AvailabilityUnknown,
    /// Another replica can take the call.
    #[error("the service is shutting down")]
    ShuttingDown,
    #[error("the order store is unavailable")]
    StoreUnavailable,
    /// Refused for a reason that is common to all services.
    #[error("{}", .0.message())]
    Refused(CallRejection),
    /// A defect; the cause is logged.
    #[error("internal error")]
    Internal,
}

impl RpcError {
    /// The reasons of this service, for docs/errors.md. The reasons of [`CallRejection`] are common to all services.
    pub const REASONS: [Reason; 12] = [
        INVALID_REQUEST,
        ORDER_NOT_FOUND,
        REQUEST_ID_REUSED,
        ITEMS_UNAVAILABLE,
        ORDER_IS_FINAL,
        TOO_MANY_STREAMS,
        OVERLOADED,
        BACKLOGGED,
        AVAILABILITY_UNKNOWN,
        SHUTTING_DOWN,
        STORE_UNAVAILABLE,
        INTERNAL,
    ];

    /// Maps the failure of a read that has this deadline. The database ends a read at the deadline of its call: that is
    /// DEADLINE_EXCEEDED and no outage.
    pub(super) fn of_read(deadline: Deadline) -> impl Fn(StoreError) -> Self {
        move |error| match error {
            StoreError::Unavailable { .. } if deadline.has_passed() => {
                Self::Refused(CallRejection::DeadlineExceeded)
            }
            error => error.into(),
        }
    }

    /// Set if the call was shed: refused for load, with nothing stored.
    pub fn shed_reason(&self) -> Option<ShedReason> {
        match self {
            Self::TooManyStreams => Some(ShedReason::Concurrency),
            Self::Backlogged => Some(ShedReason::Backlog),
            Self::Overloaded => Some(ShedReason::Queue),
            Self::Refused(CallRejection::RateLimited(_)) => Some(ShedReason::CustomerRateLimit),
            _ => None,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::InvalidRequest(_) => INVALID_REQUEST,
            Self::OrderNotFound(_) => ORDER_NOT_FOUND,
            Self::RequestIdReused(_) => REQUEST_ID_REUSED,
            Self::ItemsUnavailable(_) => ITEMS_UNAVAILABLE,
            Self::OrderIsFinal { .. } => ORDER_IS_FINAL,
            Self::TooManyStreams => TOO_MANY_STREAMS,
            Self::Overloaded => OVERLOADED,
            Self::Backlogged => BACKLOGGED,
            Self::AvailabilityUnknown => AVAILABILITY_UNKNOWN,
            Self::ShuttingDown => SHUTTING_DOWN,
            Self::StoreUnavailable => STORE_UNAVAILABLE,
            Self::Refused(refusal) => (refusal.reason(), refusal.code(), refusal.retry_delay()),
            Self::Internal => INTERNAL,
        }
    }

    /// Every value in the message, so that clients do not parse the text.
    fn metadata(&self) -> HashMap<String, String> {
        let facts = match self {
            Self::InvalidRequest(violations) => {
                vec![("violations", violations.total().to_string())]
            }
            Self::OrderNotFound(order_id) => vec![("order_id", order_id.to_string())],
            Self::RequestIdReused(request_id) => vec![("request_id", request_id.to_string())],
            Self::ItemsUnavailable(lines) => vec![("violations", lines.len().to_string())],
            Self::OrderIsFinal { order_id, status } => vec![
                ("order_id", order_id.to_string()),
                ("status", status.name().to_owned()),
            ],
            _ => Vec::new(),
        };
        let owned = facts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        owned.collect()
    }
}

impl From<RpcError> for Status {
    fn from(error: RpcError) -> Self {
        let (reason, code, retry_delay) = error.reason();
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, error.metadata());
        match &error {
            RpcError::InvalidRequest(violations) => {
                details.set_bad_request(violations.field_violations());
            }
            RpcError::ItemsUnavailable(lines) => {
                details.set_precondition_failure(precondition_violations(lines));
            }
            _ => {}
        }
        if retry_delay.is_some() {
            details.set_retry_info(retry_delay);
        }
        Status::with_error_details(code, error.to_string(), details)
    }
}

impl From<CallRejection> for RpcError {
    fn from(refusal: CallRejection) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Violations> for RpcError {
    fn from(violations: Violations) -> Self {
        Self::InvalidRequest(violations)
    }
}

impl From<NotAvailable> for RpcError {
    fn from(not_available: NotAvailable) -> Self {
        match not_available {
            NotAvailable::Lines(lines) => Self::ItemsUnavailable(lines),
            NotAvailable::Unknown => Self::AvailabilityUnknown,
        }
    }
}

/// The step before the crash point may be durable: the client is told to retry.
impl From<Injected> for RpcError {
    fn from(_: Injected) -> Self {
        Self::StoreUnavailable
    }
}

/// The cause is logged and not shown to the client.
impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { operation, source } => {
                tracing::warn!(operation, error = %ErrorChain(source.as_ref()), "store unavailable");
                Self::StoreUnavailable
            }
            StoreError::Damaged { operation, source } => {
                tracing::error!(operation, error = %ErrorChain(source.as_ref()), "stored data is damaged");
                Self::Internal
            }
        }
    }
}

impl From<SubmitError<StoreError>> for RpcError {
    fn from(error: SubmitError<StoreError>) -> Self {
        match error {
            SubmitError::QueueFull => Self::Overloaded,
            SubmitError::Stopped => Self::ShuttingDown,
            // One caller of the batch has logged the cause.
            SubmitError::BatchFailed => Self::StoreUnavailable,
            SubmitError::Failed(error) => error.into(),
        }
    }
}

/// The first unavailable lines, up to the size limit of the response headers.
fn precondition_violations(lines: &[UnavailableLine]) -> Vec<PreconditionViolation> {
    let mut room = DetailsBudget::default();
    let entries = lines.iter().map(|line| {
        let (kind, description) = describe(line.shortage);
        PreconditionViolation::new(kind, format!("lines[{}].sku", line.line), description)
    });
    entries
        .take_while(|entry| room.take(&[&entry.r#type, &entry.subject, &entry.description]))
        .collect()
}

/// Type and description of a violation. The SKU is left out: the subject points to its line.
fn describe(shortage: Shortage) -> (&'static str, String) {
    match shortage {
        Shortage::UnknownSku => ("UNKNOWN_SKU", "is not in the catalogue".to_owned()),
        Shortage::OutOfStock { available, asked } => (
            "OUT_OF_STOCK",
            format!("{available} piece(s) are available, the order asks for {asked}"),
        ),
    }
}

#[cfg(test)]
mod tests;

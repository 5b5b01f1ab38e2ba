//! The one place where an error becomes a gRPC status.
//!
//! Every status carries an ErrorInfo whose `reason` a program can branch on and whose metadata has the facts of the
//! message; BadRequest lists the faults of a request, PreconditionFailure the lines that cannot be had; RetryInfo says when
//! to come back. No internal text gets out: what went wrong inside stands in the log, under the same trace.

use std::collections::HashMap;
use std::time::Duration;

use grpc::server::load_shed::ShedReason;
use grpc::server::violations::{DetailsBudget, Violations};
use grpc::status::CallRejection;
use service::crash_points::Injected;
use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt};

use crate::domain::{OrderId, OrderStatus, RequestId, Shortage, UnavailableLine};

/// `domain` of every ErrorInfo: who defines the reasons.
const DOMAIN: &str = "order-service";

/// When to try again after a refusal for load or an outage: long enough to empty a full queue of the writer (4,096
/// orders at some 10,000/s), short enough not to be noticed as a pause.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// When to try again after a refusal for the backlog: what has piled up for minutes is not gone in less than seconds.
const BACKLOG_RETRY_DELAY: Duration = Duration::from_secs(5);

/// Why a call fails, as far as a client may know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RpcError {
    /// The request breaks rules.
    #[error("the request has {} invalid field(s)", .0.total())]
    InvalidRequest(Violations),
    /// There is no such order.
    #[error("there is no order {0}")]
    OrderNotFound(OrderId),
    /// The request id stands for another body already.
    #[error("request_id {0} was used before with another body")]
    RequestIdReused(RequestId),
    /// The order asks for what is out of stock or unknown.
    #[error("{} line(s) ask for what is not available", .0.len())]
    ItemsUnavailable(Vec<UnavailableLine>),
    /// The order ended before it could be cancelled.
    #[error("order {order_id} is {} already", status.name())]
    OrderIsFinal {
        /// The order.
        order_id: OrderId,
        /// How it ended.
        status: OrderStatus,
    },
    /// As many streams are open as are allowed.
    #[error("too many streams are open")]
    TooManyStreams,
    /// More work waits than can be done in time.
    #[error("the service is overloaded")]
    Overloaded,
    /// Too much of what was accepted before waits to be published.
    #[error("too many orders wait to be processed")]
    Backlogged,
    /// Nobody can say now whether the order can be had.
    #[error("it is not known whether the items are available")]
    AvailabilityUnknown,
    /// The service is on its way out; another instance takes the call.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// The store does not answer.
    #[error("the order store is unavailable")]
    StoreUnavailable,
    /// The call is refused for a reason that any service may have.
    #[error("{}", .0.message())]
    Refused(CallRejection),
    /// A defect; the log has the facts.
    #[error("internal error")]
    Internal,
}

/// What a step did may be durable: the client is told to repeat its call.
impl From<Injected> for RpcError {
    fn from(_: Injected) -> Self {
        Self::StoreUnavailable
    }
}

impl RpcError {
    /// The reasons of this service, with the code of each and when the same call may succeed, for the page that lists
    /// them. Those of [`CallRejection`] are any service's.
    pub const REASONS: [(&str, Code, Option<Duration>); 12] = [
        ("INVALID_REQUEST", Code::InvalidArgument, None),
        ("ORDER_NOT_FOUND", Code::NotFound, None),
        ("REQUEST_ID_REUSED", Code::AlreadyExists, None),
        ("ITEMS_UNAVAILABLE", Code::FailedPrecondition, None),
        ("ORDER_IS_FINAL", Code::FailedPrecondition, None),
        (
            "TOO_MANY_STREAMS",
            Code::ResourceExhausted,
            Some(RETRY_DELAY),
        ),
        ("OVERLOADED", Code::ResourceExhausted, Some(RETRY_DELAY)),
        (
            "BACKLOGGED",
            Code::ResourceExhausted,
            Some(BACKLOG_RETRY_DELAY),
        ),
        ("AVAILABILITY_UNKNOWN", Code::Unavailable, Some(RETRY_DELAY)),
        ("SHUTTING_DOWN", Code::Unavailable, Some(RETRY_DELAY)),
        ("STORE_UNAVAILABLE", Code::Unavailable, Some(RETRY_DELAY)),
        ("INTERNAL", Code::Internal, None),
    ];

    /// Why the call was refused before it was worked on, if it was.
    pub fn shed_reason(&self) -> Option<ShedReason> {
        match self {
            Self::TooManyStreams => Some(ShedReason::Concurrency),
            Self::Backlogged => Some(ShedReason::Backlog),
            Self::Overloaded => Some(ShedReason::Queue),
            Self::Refused(CallRejection::RateLimited(_)) => Some(ShedReason::CustomerRateLimit),
            _ => None,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::InvalidRequest(_) => Code::InvalidArgument,
            Self::OrderNotFound(_) => Code::NotFound,
            Self::RequestIdReused(_) => Code::AlreadyExists,
            Self::ItemsUnavailable(_) | Self::OrderIsFinal { .. } => Code::FailedPrecondition,
            Self::TooManyStreams | Self::Overloaded | Self::Backlogged => Code::ResourceExhausted,
            Self::AvailabilityUnknown | Self::ShuttingDown | Self::StoreUnavailable => {
                Code::Unavailable
            }
            Self::Refused(refusal) => refusal.code(),
            Self::Internal => Code::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "INVALID_REQUEST",
            Self::OrderNotFound(_) => "ORDER_NOT_FOUND",
            Self::RequestIdReused(_) => "REQUEST_ID_REUSED",
            Self::ItemsUnavailable(_) => "ITEMS_UNAVAILABLE",
            Self::OrderIsFinal { .. } => "ORDER_IS_FINAL",
            Self::TooManyStreams => "TOO_MANY_STREAMS",
            Self::Overloaded => "OVERLOADED",
            Self::Backlogged => "BACKLOGGED",
            Self::AvailabilityUnknown => "AVAILABILITY_UNKNOWN",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::Refused(refusal) => refusal.reason(),
            Self::Internal => "INTERNAL",
        }
    }

    /// Every fact of the message, so that no client has to parse it.
    fn metadata(&self) -> HashMap<String, String> {
        let facts = match self {
            Self::InvalidRequest(faults) => vec![("violations", faults.total().to_string())],
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

    fn details(&self) -> ErrorDetails {
        let mut details = ErrorDetails::with_error_info(self.reason(), DOMAIN, self.metadata());
        match self {
            Self::InvalidRequest(faults) => {
                details.set_bad_request(faults.field_violations());
            }
            Self::ItemsUnavailable(lines) => {
                details.set_precondition_failure(precondition_violations(lines));
            }
            Self::TooManyStreams
            | Self::Overloaded
            | Self::AvailabilityUnknown
            | Self::ShuttingDown
            | Self::StoreUnavailable => {
                details.set_retry_info(Some(RETRY_DELAY));
            }
            Self::Backlogged => {
                details.set_retry_info(Some(BACKLOG_RETRY_DELAY));
            }
            Self::Refused(refusal) => {
                if let Some(delay) = refusal.retry_delay() {
                    details.set_retry_info(Some(delay));
                }
            }
            _ => {}
        }
        details
    }
}

impl From<RpcError> for Status {
    fn from(error: RpcError) -> Self {
        Status::with_error_details(error.code(), error.to_string(), error.details())
    }
}

impl From<CallRejection> for RpcError {
    fn from(refusal: CallRejection) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Violations> for RpcError {
    fn from(faults: Violations) -> Self {
        Self::InvalidRequest(faults)
    }
}

/// The first lines that cannot be had, as many as have room in an answer.
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

/// Type and description of a violation. The SKU is not repeated: the client has it in the line that is named.
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

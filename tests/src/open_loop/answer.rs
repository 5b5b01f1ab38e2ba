//! Classification of answers: accepted, refused, or failed.
//!
//! **Refused** is an answer of the service: it has an ErrorInfo, and a code that states that the call had no effect.
//! Every other answer without an order is **failed**: a broken connection, a deadline exceeded, an internal error. The
//! outcome of such an order is unknown.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use proto::orders::v1::Order;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::client::failure::code_name;

/// Stock availability of an accepted order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderAvailability {
    /// Confirmed by processing-service.
    Confirmed,
    /// Accepted without an answer of processing-service.
    Unverified,
    /// No availability query was made.
    NotChecked,
}

/// The stock availability of an order.
pub fn availability(order: &Order) -> OrderAvailability {
    match order.availability() {
        proto::orders::v1::Availability::Confirmed => OrderAvailability::Confirmed,
        proto::orders::v1::Availability::Unverified => OrderAvailability::Unverified,
        _ => OrderAvailability::NotChecked,
    }
}

/// Why there is no order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrorCause {
    pub code: &'static str,
    /// The reason of the ErrorInfo; `None` when the error is not from the service.
    pub reason: Option<String>,
}

/// The classification of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    Accepted(OrderAvailability),
    /// Refused by the service without effect.
    Refused(ErrorCause),
    /// The outcome is unknown.
    Failed(ErrorCause),
}

impl CallOutcome {
    /// Classifies an answer.
    pub fn of(answer: &Result<OrderAvailability, Status>) -> Self {
        match answer {
            Ok(availability) => Self::Accepted(*availability),
            Err(status) => {
                let cause = ErrorCause::of(status);
                match cause.reason.is_some() && says_nothing_was_done(status.code()) {
                    true => Self::Refused(cause),
                    false => Self::Failed(cause),
                }
            }
        }
    }
}

impl ErrorCause {
    /// Whether the request itself is at fault, such as an order of goods that are sold out: the service works.
    pub fn is_about_the_request(&self) -> bool {
        matches!(self.code, "INVALID_ARGUMENT" | "FAILED_PRECONDITION")
    }

    fn of(status: &Status) -> Self {
        // Only this detail: at full load a refusal has to be cheap for the client as well.
        let info = status.get_details_error_info();
        Self {
            code: code_name(status.code()),
            reason: info.map(|info| info.reason),
        }
    }
}

fn says_nothing_was_done(code: Code) -> bool {
    !matches!(
        code,
        Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Internal
            | Code::DataLoss
    )
}

/// Runs a call with a deadline that covers connecting, waiting for a free stream, and the answer.
///
/// # Errors
/// The status of the call, or DEADLINE_EXCEEDED.
pub async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let begun = Instant::now();
    match timeout(deadline, call).await {
        // tonic reports an expired client-side `grpc-timeout` with this code.
        Ok(Err(status)) if status.code() == Code::Cancelled && begun.elapsed() >= deadline => {
            Err(too_late())
        }
        Ok(answer) => answer,
        Err(_) => Err(too_late()),
    }
}

fn too_late() -> Status {
    Status::deadline_exceeded("no answer before the deadline")
}

impl fmt::Display for OrderAvailability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Confirmed => "CONFIRMED",
            Self::Unverified => "UNVERIFIED",
            Self::NotChecked => "not checked",
        })
    }
}

impl fmt::Display for ErrorCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, reason } = self;
        match reason {
            Some(reason) => formatter.pad(&format!("{code} ({reason})")),
            None => formatter.pad(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn spoken(code: Code, reason: &str) -> CallOutcome {
        let details = ErrorDetails::with_error_info(reason, "order-service", []);
        CallOutcome::of(&Err(Status::with_error_details(code, "no", details)))
    }

    fn unspoken(code: Code) -> CallOutcome {
        CallOutcome::of(&Err(Status::new(code, "it broke")))
    }

    #[test]
    fn an_error_of_the_service_is_refused_with_code_and_reason() {
        let refused = spoken(Code::ResourceExhausted, "OVERLOADED");

        let CallOutcome::Refused(cause) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(cause.to_string(), "RESOURCE_EXHAUSTED (OVERLOADED)");
    }

    #[test]
    fn an_error_without_error_info_has_failed_whatever_its_code() {
        for code in [Code::ResourceExhausted, Code::Unavailable, Code::Cancelled] {
            let failed = unspoken(code);

            assert!(matches!(failed, CallOutcome::Failed(_)), "{failed:?}");
        }
    }

    #[test]
    fn an_unknown_outcome_has_failed_even_with_error_info() {
        for (code, reason) in [
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            (Code::Internal, "INTERNAL"),
        ] {
            let failed = spoken(code, reason);

            assert!(matches!(failed, CallOutcome::Failed(_)), "{failed:?}");
        }
    }

    #[test]
    fn an_order_is_accepted_with_its_availability() {
        let outcome = CallOutcome::of(&Ok(availability(&Order::default())));

        assert_eq!(
            outcome,
            CallOutcome::Accepted(OrderAvailability::NotChecked)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn every_timeout_is_reported_as_deadline_exceeded() {
        let deadline = Duration::from_secs(2);
        let tonic_gives_up = async {
            tokio::time::sleep(deadline).await;
            Err(Status::cancelled("Timeout expired"))
        };

        let silent = within::<()>(deadline, std::future::pending()).await;
        let given_up = within::<()>(deadline, tonic_gives_up).await;
        let cancelled = within::<()>(deadline, async { Err(Status::cancelled("no")) }).await;

        let codes = [silent, given_up, cancelled].map(|answer| answer.unwrap_err().code());
        let late = Code::DeadlineExceeded;
        assert_eq!(codes, [late, late, Code::Cancelled]);
    }
}

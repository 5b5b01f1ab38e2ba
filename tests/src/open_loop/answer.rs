//! What an answer counts as: accepted, refused, or failed.
//!
//! **Refused** is what the service itself said no to: with an ErrorInfo, and with a code that says that nothing was done.
//! Everything else without an order is **failed**: a broken connection, a deadline that passed, an internal error. Nobody
//! knows what became of such an order.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use proto::orders::v1::Order;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::client::failure::code_name;

/// What an accepted order says of its goods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Availability {
    /// processing-service has said that they can be had.
    Confirmed,
    /// Accepted without that answer.
    Unverified,
    /// No availability query was made.
    NotChecked,
}

/// What an accepted order says of its goods.
pub fn availability(order: &Order) -> Availability {
    match order.availability() {
        proto::orders::v1::Availability::Confirmed => Availability::Confirmed,
        proto::orders::v1::Availability::Unverified => Availability::Unverified,
        _ => Availability::NotChecked,
    }
}

/// Why there is no order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// The name of the gRPC code.
    pub code: &'static str,
    /// The reason of the ErrorInfo; `None` when the service did not speak.
    pub reason: Option<String>,
}

/// What an answer counts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is an order.
    Accepted(Availability),
    /// Refused by the service without effect.
    Refused(Cause),
    /// There is no telling.
    Failed(Cause),
}

impl Outcome {
    /// What an answer counts as.
    pub fn of(answer: &Result<Availability, Status>) -> Self {
        match answer {
            Ok(availability) => Self::Accepted(*availability),
            Err(status) => {
                let cause = Cause::of(status);
                match cause.reason.is_some() && says_nothing_was_done(status.code()) {
                    true => Self::Refused(cause),
                    false => Self::Failed(cause),
                }
            }
        }
    }
}

impl Cause {
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

/// A call that ends at its deadline, wherever it waits: for a connection, for a free stream, for the answer.
///
/// # Errors
/// The status of the call, or DEADLINE_EXCEEDED.
pub async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let begun = Instant::now();
    match timeout(deadline, call).await {
        // What tonic calls a `grpc-timeout` that passed at the client.
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

impl fmt::Display for Availability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Confirmed => "CONFIRMED",
            Self::Unverified => "UNVERIFIED",
            Self::NotChecked => "not checked",
        })
    }
}

impl fmt::Display for Cause {
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

    fn spoken(code: Code, reason: &str) -> Outcome {
        let details = ErrorDetails::with_error_info(reason, "order-service", []);
        Outcome::of(&Err(Status::with_error_details(code, "no", details)))
    }

    fn unspoken(code: Code) -> Outcome {
        Outcome::of(&Err(Status::new(code, "it broke")))
    }

    #[test]
    fn what_the_service_says_no_to_is_refused_with_code_and_reason() {
        let refused = spoken(Code::ResourceExhausted, "OVERLOADED");

        let Outcome::Refused(cause) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(cause.to_string(), "RESOURCE_EXHAUSTED (OVERLOADED)");
    }

    #[test]
    fn what_nobody_said_has_failed_whatever_its_code() {
        for code in [Code::ResourceExhausted, Code::Unavailable, Code::Cancelled] {
            let failed = unspoken(code);

            assert!(matches!(failed, Outcome::Failed(_)), "{failed:?}");
        }
    }

    #[test]
    fn an_order_of_which_nothing_is_known_has_failed_also_when_the_service_says_it() {
        for (code, reason) in [
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            (Code::Internal, "INTERNAL"),
        ] {
            let failed = spoken(code, reason);

            assert!(matches!(failed, Outcome::Failed(_)), "{failed:?}");
        }
    }

    #[test]
    fn an_order_is_accepted_with_its_availability() {
        let outcome = Outcome::of(&Ok(availability(&Order::default())));

        assert_eq!(outcome, Outcome::Accepted(Availability::NotChecked));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_at_its_deadline_by_one_name() {
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

//! The state machine of an order in one table: (state, event) gives the next state or a typed refusal.
//!
//! ```text
//!  ACCEPTED ──StockReserved, PaymentCaptured──▶ PROCESSING ──OrderFulfilled──▶ FULFILLED
//!     │ │                                         │   │
//!     │ └──────────── CancellationRequested ──────┤   └──────OrderRejected───▶ REJECTED
//!     │                                           ▼
//!     └─ (any outcome may come first)      CANCEL_REQUESTED ──OrderCancelled──▶ CANCELLED
//! ```
//!
//! processing-service decides the race between a cancellation and processing: from CANCEL_REQUESTED all three final states
//! are reachable. No event leaves a final state.

use thiserror::Error;

use super::event::OrderEvent;
use super::status::OrderStatus;

/// Why an event does not change the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TransitionRefused {
    #[error("the order is final: {}", .0.name())]
    OrderIsFinal(OrderStatus),
    /// No-op: the customer has already requested the cancellation.
    #[error("the cancellation was already requested")]
    AlreadyRequested,
    /// Processing cancelled an order without a request to cancel.
    #[error("no cancellation was requested")]
    NotRequested,
}

/// The state after an event.
///
/// # Errors
/// [`TransitionRefused`] if the state does not allow the event.
pub fn transition(
    status: OrderStatus,
    event: OrderEvent,
) -> Result<OrderStatus, TransitionRefused> {
    use OrderEvent as E;
    use OrderStatus as S;

    match (status, event) {
        (S::Accepted | S::Processing, E::CancellationRequested) => Ok(S::CancelRequested),
        (S::CancelRequested | S::Cancelled, E::CancellationRequested) => {
            Err(TransitionRefused::AlreadyRequested)
        }

        (S::Accepted | S::Processing, E::StockReserved | E::PaymentCaptured) => Ok(S::Processing),
        (S::CancelRequested, E::StockReserved | E::PaymentCaptured) => Ok(S::CancelRequested),

        (S::Accepted | S::Processing | S::CancelRequested, E::OrderFulfilled) => Ok(S::Fulfilled),
        (S::Accepted | S::Processing | S::CancelRequested, E::OrderRejected(reason)) => {
            Ok(S::Rejected(reason))
        }

        (S::CancelRequested, E::OrderCancelled) => Ok(S::Cancelled),
        (S::Accepted | S::Processing, E::OrderCancelled) => Err(TransitionRefused::NotRequested),

        (S::Fulfilled | S::Rejected(_) | S::Cancelled, _) => {
            Err(TransitionRefused::OrderIsFinal(status))
        }
    }
}

#[cfg(test)]
mod tests;

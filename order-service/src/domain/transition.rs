//! The life of an order as one table: a state and an event give the next state or a typed refusal.
//!
//! ```text
//!  ACCEPTED ──StockReserved, PaymentCaptured──▶ PROCESSING ──OrderFulfilled──▶ FULFILLED
//!     │ │                                         │   │
//!     │ └──────────── CancellationRequested ──────┤   └──────OrderRejected───▶ REJECTED
//!     │                                           ▼
//!     └─ (any outcome may come first)      CANCEL_REQUESTED ──OrderCancelled──▶ CANCELLED
//! ```
//!
//! Who wins the race between a cancellation and processing is decided by processing: from CANCEL_REQUESTED all
//! three final states are reachable. Nothing leaves a final state.

use thiserror::Error;

use super::order::EventType;
use super::status::{OrderStatus, RejectionReason};

/// What may happen to an order after it was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderEvent {
    /// The customer asks to cancel.
    CancellationRequested,
    /// Processing has set the stock aside.
    StockReserved,
    /// Processing has captured the payment.
    PaymentCaptured,
    /// Processing has shipped.
    OrderFulfilled,
    /// Processing had to give up.
    OrderRejected(RejectionReason),
    /// Processing has found the cancellation in time.
    OrderCancelled,
}

impl OrderEvent {
    /// Whether processing decided it; what is not is a customer's doing.
    pub fn is_outcome(self) -> bool {
        self != Self::CancellationRequested
    }

    /// The name that the history keeps.
    pub fn event_type(self) -> EventType {
        match self {
            Self::CancellationRequested => EventType::CancellationRequested,
            Self::StockReserved => EventType::StockReserved,
            Self::PaymentCaptured => EventType::PaymentCaptured,
            Self::OrderFulfilled => EventType::OrderFulfilled,
            Self::OrderRejected(_) => EventType::OrderRejected,
            Self::OrderCancelled => EventType::OrderCancelled,
        }
    }
}

/// Why an event changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The order has ended another way.
    #[error("the order is final: {}", .0.name())]
    OrderIsFinal(OrderStatus),
    /// The customer asked before; asking again is no mistake.
    #[error("the cancellation was requested before")]
    AlreadyRequested,
    /// Processing cancelled what nobody asked to cancel.
    #[error("no cancellation was requested")]
    NotRequested,
}

/// The state after an event.
///
/// # Errors
/// [`Refusal`] when the event must change nothing.
pub fn transition(status: OrderStatus, event: OrderEvent) -> Result<OrderStatus, Refusal> {
    use OrderEvent as E;
    use OrderStatus as S;

    match (status, event) {
        (S::Accepted | S::Processing, E::CancellationRequested) => Ok(S::CancelRequested),
        (S::CancelRequested | S::Cancelled, E::CancellationRequested) => {
            Err(Refusal::AlreadyRequested)
        }

        (S::Accepted | S::Processing, E::StockReserved | E::PaymentCaptured) => Ok(S::Processing),
        (S::CancelRequested, E::StockReserved | E::PaymentCaptured) => Ok(S::CancelRequested),

        (S::Accepted | S::Processing | S::CancelRequested, E::OrderFulfilled) => Ok(S::Fulfilled),
        (S::Accepted | S::Processing | S::CancelRequested, E::OrderRejected(reason)) => {
            Ok(S::Rejected(reason))
        }

        (S::CancelRequested, E::OrderCancelled) => Ok(S::Cancelled),
        (S::Accepted | S::Processing, E::OrderCancelled) => Err(Refusal::NotRequested),

        (S::Fulfilled | S::Rejected(_) | S::Cancelled, _) => Err(Refusal::OrderIsFinal(status)),
    }
}

#[cfg(test)]
mod tests;

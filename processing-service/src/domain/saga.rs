//! The saga of one order: its states, the transition table and the effects of each transition.
//!
//! ```text
//! Placed ──reserve──▶ Reserved ──capture──▶ Captured ──ship──▶ Fulfilled
//!  │  │                │    │                  │
//!  │  │ no stock       │    │ declined         │ cancelled
//!  │  └───▶ Rejected ◀─│────┘                  ▼
//!  │                   └─no answer, cancelled─▶ Compensating ──▶ Rejected or Cancelled
//!  └──cancelled──▶ Cancelled
//! ```
//!
//! `Compensating` exists because a refund is a call to an external provider. The intent is stored before the call.
//! Otherwise, after a crash between refund and commit, a redelivery that no longer sees the cancellation would
//! continue and ship an order whose payment was refunded.
//!
//! All functions are pure. A refused event is a normal result, not a failure: a redelivered step finds in this way
//! that it was applied before.

use super::order::ShipmentId;
use super::payment::{CaptureId, Money};
use super::stock::{Rejection, RejectionReason, StockMove};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SagaState {
    /// No step has been taken.
    Placed,
    /// The stock is reserved. Only the payment provider knows whether a capture was made.
    Reserved,
    /// The payment is captured.
    Captured,
    /// Compensation is in progress; the final state is decided.
    Compensating(Abandonment),
    /// Final: shipped.
    Fulfilled,
    /// Final: out of stock, unknown SKU, or no payment.
    Rejected(RejectionReason),
    /// Final: cancelled before it was shipped.
    Cancelled,
}

/// The final state after a compensation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abandonment {
    Rejected(RejectionReason),
    Cancelled,
}

/// An input of the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SagaEvent {
    /// All items can be reserved.
    StockReserved,
    /// At least one item cannot be reserved.
    StockRefused(Rejection),
    PaymentCaptured(CaptureId, Money),
    /// Permanent refusal by the provider: nothing is charged.
    PaymentDeclined,
    /// The capture attempts are exhausted. The provider may have captured nevertheless.
    PaymentUnavailable,
    Shipped(ShipmentId),
    CancellationRequested,
    /// The provider confirmed that nothing remains charged.
    PaymentUndone,
}

impl SagaEvent {
    /// Whether the event moves stock in any state. The store locks stock rows before it knows the saga's state.
    pub fn may_move_stock(&self) -> bool {
        match self {
            Self::StockReserved
            | Self::PaymentDeclined
            | Self::Shipped(_)
            | Self::PaymentUndone => true,
            Self::StockRefused(_)
            | Self::PaymentCaptured(..)
            | Self::PaymentUnavailable
            | Self::CancellationRequested => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Reserve,
    Capture,
    Ship,
    /// Refund the payment, release the stock.
    Compensate,
}

/// An event that is published to order-service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    StockReserved,
    PaymentCaptured(CaptureId, Money),
    OrderFulfilled(ShipmentId),
    OrderRejected(Rejection),
    OrderCancelled,
}

/// A row of the payments or shipments table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerEntry {
    Payment(CaptureId, Money),
    /// Marks the payment as refunded; no-op if none was recorded.
    Refund,
    Shipment(ShipmentId),
}

/// All effects of one step; they are committed together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub state: SagaState,
    pub stock: Option<StockMove>,
    pub ledger: Option<LedgerEntry>,
    pub announcement: Option<Announcement>,
}

/// The state has no transition for the event: it was applied before, or another outcome was decided first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no transition for this event in this state of the saga")]
pub struct TransitionRefused;

impl SagaState {
    /// The next step; `None` in a final state.
    pub fn next_step(self) -> Option<Step> {
        match self {
            Self::Placed => Some(Step::Reserve),
            Self::Reserved => Some(Step::Capture),
            Self::Captured => Some(Step::Ship),
            Self::Compensating(_) => Some(Step::Compensate),
            Self::Fulfilled | Self::Rejected(_) | Self::Cancelled => None,
        }
    }

    pub fn is_final(self) -> bool {
        self.next_step().is_none()
    }

    pub fn can_be_cancelled(self) -> bool {
        matches!(self, Self::Placed | Self::Reserved | Self::Captured)
    }

    /// The transition table.
    pub fn on(self, event: SagaEvent) -> Result<Transition, TransitionRefused> {
        use SagaEvent as Event;
        match (self, event) {
            (Self::Placed, Event::StockReserved) => Ok(Transition::to(Self::Reserved)
                .moving(StockMove::Reserve)
                .announcing(Announcement::StockReserved)),
            (Self::Placed, Event::StockRefused(rejection)) => Ok(rejected(rejection)),
            (Self::Placed, Event::CancellationRequested) => Ok(cancelled()),

            (Self::Reserved, Event::PaymentCaptured(id, amount)) => Ok(captured(id, amount)),
            (Self::Reserved, Event::PaymentDeclined) => {
                Ok(rejected(payment(RejectionReason::PaymentDeclined)).moving(StockMove::Release))
            }
            (Self::Reserved, Event::PaymentUnavailable) => {
                let end = Abandonment::Rejected(RejectionReason::PaymentUnavailable);
                Ok(Transition::to(Self::Compensating(end)))
            }
            (Self::Reserved | Self::Captured, Event::CancellationRequested) => {
                Ok(Transition::to(Self::Compensating(Abandonment::Cancelled)))
            }

            (Self::Captured, Event::Shipped(shipment)) => Ok(fulfilled(shipment)),
            (Self::Compensating(end), Event::PaymentUndone) => Ok(undone(end)),
            _ => Err(TransitionRefused),
        }
    }
}

impl Transition {
    fn to(state: SagaState) -> Self {
        Self {
            state,
            stock: None,
            ledger: None,
            announcement: None,
        }
    }

    fn moving(self, stock: StockMove) -> Self {
        Self {
            stock: Some(stock),
            ..self
        }
    }

    fn recording(self, entry: LedgerEntry) -> Self {
        Self {
            ledger: Some(entry),
            ..self
        }
    }

    fn announcing(self, announcement: Announcement) -> Self {
        Self {
            announcement: Some(announcement),
            ..self
        }
    }
}

fn captured(id: CaptureId, amount: Money) -> Transition {
    Transition::to(SagaState::Captured)
        .recording(LedgerEntry::Payment(id.clone(), amount))
        .announcing(Announcement::PaymentCaptured(id, amount))
}

fn fulfilled(shipment: ShipmentId) -> Transition {
    Transition::to(SagaState::Fulfilled)
        .moving(StockMove::Ship)
        .recording(LedgerEntry::Shipment(shipment))
        .announcing(Announcement::OrderFulfilled(shipment))
}

fn undone(end: Abandonment) -> Transition {
    let transition = match end {
        Abandonment::Rejected(reason) => rejected(payment(reason)),
        Abandonment::Cancelled => cancelled(),
    };
    transition
        .moving(StockMove::Release)
        .recording(LedgerEntry::Refund)
}

fn rejected(rejection: Rejection) -> Transition {
    Transition::to(SagaState::Rejected(rejection.reason))
        .announcing(Announcement::OrderRejected(rejection))
}

fn cancelled() -> Transition {
    Transition::to(SagaState::Cancelled).announcing(Announcement::OrderCancelled)
}

/// A rejection that names no SKU.
fn payment(reason: RejectionReason) -> Rejection {
    Rejection { reason, sku: None }
}

#[cfg(test)]
mod tests;

//! The saga of one order: which steps it goes through, and what each step changes.
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
//! `Compensating` exists because undoing a payment is a call to somebody else. The intent is stored before the call:
//! were it not, a crash after the refund and before the commit would let a redelivery, which may not see the
//! cancellation any more, go on and ship an order whose money went back.
//!
//! Everything here is a pure function of its arguments. Refusing an event is an answer, not an error: it is how
//! a redelivered step learns that it was done before.

use super::order::ShipmentId;
use super::payment::{CaptureId, Money};
use super::stock::{Rejection, RejectionReason, StockMove};

/// How far the saga of an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SagaState {
    /// Nothing has been done for the order.
    Placed,
    /// Its pieces are set aside. Whether money has moved is known by the payment provider only.
    Reserved,
    /// Its payment is captured.
    Captured,
    /// What was done for it is being undone, and how it will end is decided.
    Compensating(Abandonment),
    /// Final: shipped.
    Fulfilled,
    /// Final: could not be processed.
    Rejected(RejectionReason),
    /// Final: cancelled in time.
    Cancelled,
}

/// How an order ends that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abandonment {
    /// It could not be processed.
    Rejected(RejectionReason),
    /// Its customer cancelled.
    Cancelled,
}

/// What happens to a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SagaEvent {
    /// Every piece could be set aside.
    StockReserved,
    /// Some piece could not be set aside.
    StockRefused(Rejection),
    /// The provider captured this amount.
    PaymentCaptured(CaptureId, Money),
    /// The provider refused for good: nothing is charged.
    PaymentDeclined,
    /// The attempts are spent. The provider may have captured without our knowing.
    PaymentUnavailable,
    /// The pieces are handed over.
    Shipped(ShipmentId),
    /// The customer asked to cancel.
    CancellationRequested,
    /// The provider has confirmed that nothing stays charged.
    PaymentUndone,
}

impl SagaEvent {
    /// Whether there is a state in which the event moves pieces: known before the state is, for those who lock first.
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

/// The step that a saga needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Set the pieces aside.
    Reserve,
    /// Capture the payment.
    Capture,
    /// Hand the pieces over.
    Ship,
    /// Undo the payment, give the pieces back.
    Compensate,
}

/// An event that the pair's other half is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// The pieces are set aside.
    StockReserved,
    /// The payment is captured.
    PaymentCaptured(CaptureId, Money),
    /// Final: shipped.
    OrderFulfilled(ShipmentId),
    /// Final: could not be processed.
    OrderRejected(Rejection),
    /// Final: cancelled in time.
    OrderCancelled,
}

/// A record that is kept beside the saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The payment was captured.
    Payment(CaptureId, Money),
    /// The payment, if one was recorded, went back.
    Refund,
    /// The order was shipped.
    Shipment(ShipmentId),
}

/// All that one step changes; it is stored as a whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state afterwards.
    pub state: SagaState,
    /// What is done with the pieces.
    pub stock: Option<StockMove>,
    /// What is kept.
    pub record: Option<Record>,
    /// What is published.
    pub announcement: Option<Announcement>,
}

/// The event has no place in this state: it was handled before, or another outcome was decided first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event has no place in this state of the saga")]
pub struct Refused;

impl SagaState {
    /// The step that follows; `None` when the saga has ended.
    pub fn next_step(self) -> Option<Step> {
        match self {
            Self::Placed => Some(Step::Reserve),
            Self::Reserved => Some(Step::Capture),
            Self::Captured => Some(Step::Ship),
            Self::Compensating(_) => Some(Step::Compensate),
            Self::Fulfilled | Self::Rejected(_) | Self::Cancelled => None,
        }
    }

    /// Whether the saga has ended.
    pub fn is_final(self) -> bool {
        self.next_step().is_none()
    }

    /// Whether a cancellation still comes in time.
    pub fn can_be_cancelled(self) -> bool {
        matches!(self, Self::Placed | Self::Reserved | Self::Captured)
    }

    /// What an event changes.
    pub fn on(self, event: SagaEvent) -> Result<Transition, Refused> {
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
            _ => Err(Refused),
        }
    }
}

impl Transition {
    fn to(state: SagaState) -> Self {
        Self {
            state,
            stock: None,
            record: None,
            announcement: None,
        }
    }

    fn moving(self, stock: StockMove) -> Self {
        Self {
            stock: Some(stock),
            ..self
        }
    }

    fn recording(self, record: Record) -> Self {
        Self {
            record: Some(record),
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
        .recording(Record::Payment(id.clone(), amount))
        .announcing(Announcement::PaymentCaptured(id, amount))
}

fn fulfilled(shipment: ShipmentId) -> Transition {
    Transition::to(SagaState::Fulfilled)
        .moving(StockMove::Ship)
        .recording(Record::Shipment(shipment))
        .announcing(Announcement::OrderFulfilled(shipment))
}

fn undone(end: Abandonment) -> Transition {
    let transition = match end {
        Abandonment::Rejected(reason) => rejected(payment(reason)),
        Abandonment::Cancelled => cancelled(),
    };
    transition
        .moving(StockMove::Release)
        .recording(Record::Refund)
}

fn rejected(rejection: Rejection) -> Transition {
    Transition::to(SagaState::Rejected(rejection.reason))
        .announcing(Announcement::OrderRejected(rejection))
}

fn cancelled() -> Transition {
    Transition::to(SagaState::Cancelled).announcing(Announcement::OrderCancelled)
}

/// A rejection that is not about a SKU.
fn payment(reason: RejectionReason) -> Rejection {
    Rejection { reason, sku: None }
}

#[cfg(test)]
mod tests;

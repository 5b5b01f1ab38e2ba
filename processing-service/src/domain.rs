//! What happens to an order here, as values and pure functions: no database, no broker, no clock.
//!
//! A value of one of these types has passed its checks: whoever holds a [`Sku`] or a [`Money`] need not look again.

pub mod order;
pub mod payment;
pub mod stock;

pub mod saga;

pub use order::{Order, OrderId, ShipmentId};
pub use payment::{CaptureId, Currency, Money, PaymentToken};
pub use saga::{Abandonment, Announcement, Record, SagaEvent, SagaState, Step, Transition};
pub use stock::{Demand, Quantity, Rejection, RejectionReason, Sku, StockLevel, StockMove, Supply};

use std::fmt;

/// A value that cannot be one of ours: what it should have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct Malformed {
    expected: &'static str,
}

impl Malformed {
    pub(crate) const fn expected(expected: &'static str) -> Self {
        Self { expected }
    }
}

/// Whether a text is of printable ASCII characters, at least one and at most `limit`.
fn is_printable(text: &str, limit: usize) -> bool {
    (1..=limit).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Writes a secret as a fixed word, so that no log line and no error message can hold it.
fn redacted(name: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(formatter, "{name}(redacted)")
}

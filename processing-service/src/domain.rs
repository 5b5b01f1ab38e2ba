//! The business rules, as values and pure functions: no database, no broker, no clock.
//!
//! A value is checked when it is created: code that has a [`Sku`] or a [`Money`] need not check it again.

pub mod order;
pub mod payment;
pub mod stock;

pub mod saga;

pub mod announced;

mod text;

pub use announced::announced;
pub use order::{Order, OrderId, ShipmentId};
pub use payment::{CaptureId, Currency, Money, PaymentToken};
pub use saga::{Abandonment, Announcement, LedgerEntry, SagaEvent, SagaState, Step, Transition};
pub use stock::{Demand, Quantity, Rejection, RejectionReason, Sku, StockLevel, StockMove, Supply};
pub use text::Malformed;

//! What an order is and what may become of it: values that cannot be wrong, and the rules between them.
//!
//! Everything here is pure: no I/O, no async, no clock, no protobuf and no SQL. A value that exists has
//! passed its bounds, so nothing behind the edge checks them again.

mod identity;
mod money;

mod line;
mod lines;
mod payment_token;

mod new_order;

mod fingerprint;

mod timestamp;

mod status;

mod availability;

mod transition;

mod order;

mod sequence;

pub use availability::{Availability, Shortage, UnavailableLine};
pub use fingerprint::Fingerprint;
pub use identity::{CustomerId, InvalidCustomerId, InvalidUuid, OrderId, RequestId};
pub use line::{
    InvalidQuantity, InvalidSku, InvalidUnitPrice, OrderLine, Quantity, Sku, UnitPrice,
};
pub use lines::{InvalidLines, MAX_LINES, OrderLines};
pub use money::{Currency, Money, UnknownCurrency};
pub use new_order::NewOrder;
pub use order::{EventType, HistoryEntry, Order};
pub use payment_token::{InvalidPaymentToken, PaymentToken};
pub use sequence::{Admission, admit};
pub use status::{OrderStatus, RejectionReason};
pub use timestamp::Timestamp;
pub use transition::{OrderEvent, Refusal, transition};

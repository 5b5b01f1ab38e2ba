//! The order and its state machine: validated values and the rules between them.
//!
//! Pure: no I/O, no async, no clock, no protobuf and no SQL. A value is validated by its constructor, so other modules do
//! not check its bounds again.

mod text;

mod identity;
mod money;

mod line;
mod lines;
mod payment_token;

mod fingerprint;

mod timestamp;

mod status;

mod availability;

mod event;
mod transition;

mod order;

mod sequence;

pub use availability::{Availability, Shortage, UnavailableLine};
pub use event::{EventType, OrderEvent};
pub use fingerprint::Fingerprint;
pub use identity::{CustomerId, OrderId, RequestId};
pub use line::{OrderLine, Quantity, Sku, UnitPrice};
pub use lines::{InvalidLines, MAX_LINES, OrderLines};
pub use money::{Currency, Money};
pub use order::{HistoryEntry, NewOrder, Order};
pub use payment_token::PaymentToken;
pub use sequence::{SequenceCheck, check_sequence};
pub use status::{OrderStatus, RejectionReason};
pub use text::Malformed;
pub use timestamp::Timestamp;
pub use transition::{TransitionRefused, transition};

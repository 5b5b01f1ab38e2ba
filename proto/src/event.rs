//! The events of the pair as two closed families, one per topic.
//!
//! A family defines the CloudEvents `type` of each event, its message and its sender. [`crate::record`] turns them into Kafka records and back.

use prost::{DecodeError, Message};

use crate::orders::v1::{CancellationRequested, OrderPlaced};
use crate::processing::v1::{
    OrderCancelled, OrderFulfilled, OrderRejected, PaymentCaptured, StockReserved,
};

/// A family of events that share a topic and a sender.
pub trait Event: Sized {
    /// CloudEvents `source`: the service that publishes the family.
    const SOURCE: &'static str;

    /// Package of the protobuf messages, for `dataschema`.
    const PACKAGE: &'static str;

    fn identity(&self) -> EventIdentity<'_>;

    /// The protobuf bytes of the message.
    fn encode_payload(&self) -> Vec<u8>;

    /// Decodes an event of this `type`; `None` for a type that this version of the contract does not know.
    fn decode_payload(event_type: &str, payload: &[u8]) -> Option<Result<Self, DecodeError>>;

    /// The event's name in the domain: the name of its message.
    fn name(&self) -> &'static str {
        self.identity().name
    }

    /// Whether a reader that does not know the type must wait for a release that does, instead of skipping the event
    /// ([`crate::record::MUST_UNDERSTAND`]). False for every event of the first release: each reader knows them all. A type
    /// that is added later is true if the reader would otherwise hold a wrong state, for example a new final event.
    fn must_understand(&self) -> bool {
        false
    }
}

/// The facts about an event that its record names beside the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventIdentity<'a> {
    /// CloudEvents `type`: reverse DNS, kebab case, major version.
    pub event_type: &'static str,
    /// Name of the message, without its package.
    pub name: &'static str,
    /// The order id in the message.
    pub order_id: &'a str,
}

const fn identity<'a>(
    event_type: &'static str,
    name: &'static str,
    order_id: &'a str,
) -> EventIdentity<'a> {
    EventIdentity {
        event_type,
        name,
        order_id,
    }
}

/// The events of order-service, on [`crate::topics::ORDER_EVENTS`].
#[derive(Clone, Debug, PartialEq)]
pub enum OrderEvent {
    /// An order was accepted and confirmed.
    OrderPlaced(OrderPlaced),
    /// A customer requested cancellation.
    CancellationRequested(CancellationRequested),
}

const ORDER_PLACED: &str = "com.example.orders.order-placed.v1";
const CANCELLATION_REQUESTED: &str = "com.example.orders.cancellation-requested.v1";

impl Event for OrderEvent {
    const SOURCE: &'static str = "/order-service";
    const PACKAGE: &'static str = "orders.v1";

    fn identity(&self) -> EventIdentity<'_> {
        match self {
            Self::OrderPlaced(it) => identity(ORDER_PLACED, "OrderPlaced", &it.order_id),
            Self::CancellationRequested(event) => identity(
                CANCELLATION_REQUESTED,
                "CancellationRequested",
                &event.order_id,
            ),
        }
    }

    fn encode_payload(&self) -> Vec<u8> {
        match self {
            Self::OrderPlaced(event) => event.encode_to_vec(),
            Self::CancellationRequested(event) => event.encode_to_vec(),
        }
    }

    fn decode_payload(event_type: &str, payload: &[u8]) -> Option<Result<Self, DecodeError>> {
        let event = match event_type {
            ORDER_PLACED => OrderPlaced::decode(payload).map(Self::OrderPlaced),
            CANCELLATION_REQUESTED => {
                CancellationRequested::decode(payload).map(Self::CancellationRequested)
            }
            _ => return None,
        };
        Some(event)
    }
}

/// The events of processing-service, on [`crate::topics::PROCESSING_EVENTS`].
#[derive(Clone, Debug, PartialEq)]
pub enum ProcessingEvent {
    /// Stock for every line is reserved.
    StockReserved(StockReserved),
    /// The payment is captured.
    PaymentCaptured(PaymentCaptured),
    /// Final: paid and shipped.
    OrderFulfilled(OrderFulfilled),
    /// Final: could not be processed.
    OrderRejected(OrderRejected),
    /// Final: cancelled in time.
    OrderCancelled(OrderCancelled),
}

const STOCK_RESERVED: &str = "com.example.processing.stock-reserved.v1";
const PAYMENT_CAPTURED: &str = "com.example.processing.payment-captured.v1";
const ORDER_FULFILLED: &str = "com.example.processing.order-fulfilled.v1";
const ORDER_REJECTED: &str = "com.example.processing.order-rejected.v1";
const ORDER_CANCELLED: &str = "com.example.processing.order-cancelled.v1";

impl Event for ProcessingEvent {
    const SOURCE: &'static str = "/processing-service";
    const PACKAGE: &'static str = "processing.v1";

    fn identity(&self) -> EventIdentity<'_> {
        match self {
            Self::StockReserved(it) => identity(STOCK_RESERVED, "StockReserved", &it.order_id),
            Self::PaymentCaptured(it) => {
                identity(PAYMENT_CAPTURED, "PaymentCaptured", &it.order_id)
            }
            Self::OrderFulfilled(it) => identity(ORDER_FULFILLED, "OrderFulfilled", &it.order_id),
            Self::OrderRejected(it) => identity(ORDER_REJECTED, "OrderRejected", &it.order_id),
            Self::OrderCancelled(it) => identity(ORDER_CANCELLED, "OrderCancelled", &it.order_id),
        }
    }

    fn encode_payload(&self) -> Vec<u8> {
        match self {
            Self::StockReserved(event) => event.encode_to_vec(),
            Self::PaymentCaptured(event) => event.encode_to_vec(),
            Self::OrderFulfilled(event) => event.encode_to_vec(),
            Self::OrderRejected(event) => event.encode_to_vec(),
            Self::OrderCancelled(event) => event.encode_to_vec(),
        }
    }

    fn decode_payload(event_type: &str, payload: &[u8]) -> Option<Result<Self, DecodeError>> {
        let event = match event_type {
            STOCK_RESERVED => StockReserved::decode(payload).map(Self::StockReserved),
            PAYMENT_CAPTURED => PaymentCaptured::decode(payload).map(Self::PaymentCaptured),
            ORDER_FULFILLED => OrderFulfilled::decode(payload).map(Self::OrderFulfilled),
            ORDER_REJECTED => OrderRejected::decode(payload).map(Self::OrderRejected),
            ORDER_CANCELLED => OrderCancelled::decode(payload).map(Self::OrderCancelled),
            _ => return None,
        };
        Some(event)
    }
}

//! Schema evolution: a reader of the first contract reads an event of today, and today's reader an event of the first one.
//!
//! The messages below are the first contract as it was committed (a6419346), when quantities were unsigned. It is frozen: a
//! change of today's contract that this reader cannot follow makes these tests fail, and needs a new topic.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::SystemTime;

use prost::Message as _;
use proto::event::{Event as _, OrderEvent};
use proto::orders::v1::{Money, OrderLine, OrderPlaced};
use proto::record::{self, EventMeta};
use uuid::Uuid;

/// `orders.v1` of the first contract.
mod first {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct OrderPlaced {
        #[prost(string, tag = "1")]
        pub(crate) order_id: String,
        #[prost(string, tag = "2")]
        pub(crate) customer_id: String,
        #[prost(message, repeated, tag = "3")]
        pub(crate) lines: Vec<OrderLine>,
        #[prost(message, optional, tag = "4")]
        pub(crate) total: Option<Money>,
        #[prost(string, tag = "5")]
        pub(crate) payment_token: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct OrderLine {
        #[prost(string, tag = "1")]
        pub(crate) sku: String,
        /// Signed today.
        #[prost(uint32, tag = "2")]
        pub(crate) quantity: u32,
        #[prost(message, optional, tag = "3")]
        pub(crate) unit_price: Option<Money>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(crate) struct Money {
        #[prost(string, tag = "1")]
        pub(crate) currency_code: String,
        #[prost(int64, tag = "2")]
        pub(crate) minor_units: i64,
    }
}

const ORDER: Uuid = Uuid::from_u128(42);

fn as_of_today() -> OrderPlaced {
    let money = |minor_units| Money {
        currency_code: "GBP".to_owned(),
        minor_units,
    };
    OrderPlaced {
        order_id: ORDER.to_string(),
        customer_id: "17850".to_owned(),
        lines: vec![OrderLine {
            sku: "85123A".to_owned(),
            quantity: 100_000,
            unit_price: Some(money(255)),
        }],
        total: Some(money(25_500_000)),
        payment_token: "tok_approved".to_owned(),
    }
}

fn as_of_the_first() -> first::OrderPlaced {
    let money = |minor_units| first::Money {
        currency_code: "GBP".to_owned(),
        minor_units,
    };
    first::OrderPlaced {
        order_id: ORDER.to_string(),
        customer_id: "17850".to_owned(),
        lines: vec![first::OrderLine {
            sku: "85123A".to_owned(),
            quantity: 100_000,
            unit_price: Some(money(255)),
        }],
        total: Some(money(25_500_000)),
        payment_token: "tok_approved".to_owned(),
    }
}

#[test]
fn a_reader_of_the_first_contract_reads_an_event_of_today() {
    let today = OrderEvent::OrderPlaced(as_of_today());

    let read = first::OrderPlaced::decode(&*today.encode_payload());

    assert_eq!(read.unwrap(), as_of_the_first());
}

#[test]
fn a_reader_of_today_reads_an_event_of_the_first_contract() {
    let meta = EventMeta {
        id: Uuid::from_u128(7),
        order_id: ORDER,
        sequence: 1,
        time: SystemTime::UNIX_EPOCH,
    };
    let headers = record::encode(&meta, &OrderEvent::OrderPlaced(as_of_today()), &[]).headers;
    let payload = as_of_the_first().encode_to_vec();

    let read = record::decode::<OrderEvent>(&headers, Some(&payload));

    let read = read.unwrap().unwrap();
    assert_eq!(read.event, OrderEvent::OrderPlaced(as_of_today()));
}

/// A field that a later release adds. Number 15 is free in every message.
#[derive(Clone, PartialEq, prost::Message)]
struct GiftWrap {
    #[prost(string, tag = "15")]
    text: String,
}

#[test]
fn a_reader_skips_a_field_that_a_later_release_has_added() {
    let gift = GiftWrap {
        text: "for you".to_owned(),
    };
    // Fields of protobuf may stand in any order, so the bytes of two messages are one message with the fields of both.
    let later = [as_of_today().encode_to_vec(), gift.encode_to_vec()].concat();

    assert_eq!(OrderPlaced::decode(&*later).unwrap(), as_of_today());
    assert_eq!(
        first::OrderPlaced::decode(&*later).unwrap(),
        as_of_the_first()
    );
}

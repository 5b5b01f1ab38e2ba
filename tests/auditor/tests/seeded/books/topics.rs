//! The topics: each order on a partition of its own, all records consumed.

use std::collections::BTreeMap;
use std::time::SystemTime;

use auditor::topics::{Bytes, DumpedPartition, DumpedRecord, GROUPS};
use proto::event::{Event, OrderEvent, ProcessingEvent};
use proto::orders::v1::{CancellationRequested, OrderPlaced, RejectionReason};
use proto::processing::v1::{
    OrderCancelled, OrderFulfilled, OrderRejected, PaymentCaptured, StockReserved,
};
use proto::record::{self, EventMeta};
use proto::topics;
use uuid::Uuid;

use super::databases::{lines, pounds};
use super::history::{STORIES, id, order_id};

pub(crate) const ORDERS: &str = topics::ORDER_EVENTS;
pub(crate) const OUTCOMES: &str = topics::PROCESSING_EVENTS;

pub(super) fn records() -> Vec<(&'static str, Vec<DumpedRecord>)> {
    let mut orders = Vec::new();
    let mut outcomes = Vec::new();
    for story in &STORIES {
        let mut offsets = [0, 0];
        for entry in story.entries {
            let topic = usize::from(entry.is_outcome());
            let mut record = event(entry.kind, story.digit, entry.event, offsets[topic] + 1);
            record.offset = i64::try_from(offsets[topic]).unwrap();
            offsets[topic] += 1;
            [&mut orders, &mut outcomes][topic].push(record);
        }
    }
    let empty = || Vec::new();
    vec![
        (ORDERS, orders),
        (OUTCOMES, outcomes),
        (topics::ORDER_EVENTS_DEAD_LETTERS, empty()),
        (topics::PROCESSING_EVENTS_DEAD_LETTERS, empty()),
    ]
}

/// Three partitions per topic with their offsets.
pub(super) fn partitions(topics: &[(&'static str, Vec<DumpedRecord>)]) -> Vec<DumpedPartition> {
    let mut partitions = Vec::new();
    for (topic, records) in topics {
        for partition in 0..3 {
            let records = records.iter().filter(|it| it.partition == partition);
            let end = i64::try_from(records.count()).unwrap();
            let group = GROUPS.iter().find(|(consumed, _)| consumed == topic);
            let committed = group.map(|(_, group)| ((*group).to_owned(), end));
            partitions.push(DumpedPartition {
                topic: (*topic).to_owned(),
                partition,
                low: 0,
                end,
                committed: committed.into_iter().collect::<BTreeMap<_, _>>(),
                deleted_unread: Vec::new(),
            });
        }
    }
    partitions
}

/// An event record of an order, on the order's partition. Its id has `kind` and the order's digit.
pub(crate) fn event(kind: char, digit: char, name: &str, sequence: u64) -> DumpedRecord {
    let order_id = order_id(digit);
    let meta = EventMeta {
        id: Uuid::try_parse(&id(kind, digit)).unwrap(),
        order_id: Uuid::try_parse(&order_id).unwrap(),
        sequence,
        time: SystemTime::UNIX_EPOCH,
    };
    match name {
        "OrderPlaced" => record(&meta, &placed(order_id)),
        "CancellationRequested" => {
            let event = CancellationRequested { order_id };
            record(&meta, &OrderEvent::CancellationRequested(event))
        }
        name => record(&meta, &outcome(name, order_id)),
    }
}

fn placed(order_id: String) -> OrderEvent {
    OrderEvent::OrderPlaced(OrderPlaced {
        order_id,
        customer_id: "17850".into(),
        lines: lines(),
        total: Some(pounds(765)),
        payment_token: "tok_approved".into(),
    })
}

fn outcome(name: &str, order_id: String) -> ProcessingEvent {
    match name {
        "StockReserved" => ProcessingEvent::StockReserved(StockReserved { order_id }),
        "PaymentCaptured" => ProcessingEvent::PaymentCaptured(PaymentCaptured {
            order_id,
            capture_id: "capture".into(),
            amount: Some(pounds(765)),
        }),
        "OrderFulfilled" => ProcessingEvent::OrderFulfilled(OrderFulfilled {
            order_id,
            shipment_id: "shipment".into(),
        }),
        "OrderRejected" => ProcessingEvent::OrderRejected(OrderRejected {
            order_id,
            reason: RejectionReason::PaymentDeclined.into(),
            sku: String::new(),
        }),
        "OrderCancelled" => ProcessingEvent::OrderCancelled(OrderCancelled { order_id }),
        name => panic!("no event is called {name}"),
    }
}

fn record<E: Event>(meta: &EventMeta, event: &E) -> DumpedRecord {
    let record = record::encode(meta, event, &[]);
    let headers = record.headers.into_iter();
    let digit = meta.order_id.to_string().chars().last().unwrap();
    DumpedRecord {
        // Orders 1 to 3 have a partition each; any other is on the first.
        partition: match digit {
            '2' => 1,
            '3' => 2,
            _ => 0,
        },
        offset: 0,
        timestamp: Some(0),
        key: Some(Bytes(record.key)),
        headers: headers
            .map(|(name, value)| (String::from_utf8(name).unwrap(), Bytes(value.unwrap())))
            .collect(),
        payload: Some(Bytes(record.payload)),
    }
}

/// The event id of a record.
pub(super) fn id_of(record: &DumpedRecord) -> String {
    let header = record.headers.iter().find(|(name, _)| name == "ce_id");
    String::from_utf8(header.unwrap().1.0.clone()).unwrap()
}

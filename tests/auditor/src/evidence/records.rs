//! The dumped topics as tables. Records that are no events of the contract are included, with the reason.

use std::path::Path;

use anyhow::Result;
use proto::event::{Event, OrderEvent, ProcessingEvent};
use proto::orders::v1::RejectionReason;
use proto::record::{self, EventMeta, Headers};
use proto::topics;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::batch::{RowBatch, SqlValue};
use super::bodies;
use crate::topics::{DumpedPartition, DumpedRecord, PARTITIONS, file_of, read};

/// Headers of a dead letter with the position of its original record.
const ORIGIN: [&str; 3] = [
    "x-dlq-original-topic",
    "x-dlq-original-partition",
    "x-dlq-original-offset",
];

/// Reads the files of all topics. Dead letters name their original topic with `prefix`.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    directory: &Path,
    prefix: &str,
) -> Result<()> {
    load_partitions(connection, &directory.join(PARTITIONS)).await?;
    let mut records = RowBatch::new("records", 18);
    for topic in topics::ALL {
        for record in read::<DumpedRecord>(&file_of(directory, topic))? {
            let row = row(topic, record?, prefix)?;
            records.push(connection, row).await?;
        }
    }
    records.write(connection).await
}

async fn load_partitions(connection: &mut SqliteConnection, file: &Path) -> Result<()> {
    let mut partitions = RowBatch::new("partitions", 4);
    let mut committed = RowBatch::new("committed", 4);
    let mut deleted_unread = RowBatch::new("deleted_unread", 4);
    for partition in read::<DumpedPartition>(file)? {
        let partition = partition?;
        let place = || -> [SqlValue; 2] {
            let number = i64::from(partition.partition);
            [partition.topic.clone().into(), number.into()]
        };
        let mut row = Vec::from(place());
        row.extend([partition.low.into(), partition.end.into()]);
        partitions.push(connection, row).await?;
        for (consumer, offset) in &partition.committed {
            let mut row = vec![consumer.clone().into()];
            row.extend(place());
            row.push((*offset).into());
            committed.push(connection, row).await?;
        }
        for deleted in &partition.deleted_unread {
            let mut row = Vec::from(place());
            row.extend([deleted.start.into(), deleted.end.into()]);
            deleted_unread.push(connection, row).await?;
        }
    }
    partitions.write(connection).await?;
    committed.write(connection).await?;
    deleted_unread.write(connection).await
}

/// The event fields of a record, as far as it can be decoded.
#[derive(Default)]
struct KnownFields {
    fault: Option<String>,
    meta: Option<EventMeta>,
    event_type: Option<&'static str>,
    lines: Option<String>,
    money: Option<(String, i64)>,
    reason: Option<&'static str>,
}

fn row(topic: &str, record: DumpedRecord, prefix: &str) -> Result<Vec<SqlValue>> {
    let headers: Headers = record
        .headers
        .into_iter()
        .map(|(name, value)| (name.into_bytes(), Some(value.0)))
        .collect();
    let key = record.key.map(|key| key.0);
    let payload = record.payload.map(|payload| payload.0);
    let known = known(topic, &headers, payload.as_deref())?;
    let place = format!("{topic}/{}@{}", record.partition, record.offset);
    let (currency, amount) = known.money.unzip();
    let order_id = known.meta.as_ref().map(|meta| meta.order_id);
    let sequence = known.meta.as_ref().map(|meta| meta.sequence);
    let origin = |part: usize| record::header(&headers, ORIGIN[part]);
    let number = |part| origin(part).and_then(|text| text.parse::<i64>().ok());
    Ok(vec![
        topic.into(),
        i64::from(record.partition).into(),
        record.offset.into(),
        place.into(),
        key.clone().into(),
        payload.into(),
        known.fault.into(),
        known.meta.map(|meta| meta.id).into(),
        order_id.or_else(|| order_of(key.as_deref())).into(),
        sequence.map(i64::try_from).transpose()?.into(),
        known.event_type.into(),
        known.lines.into(),
        currency.into(),
        amount.into(),
        known.reason.into(),
        origin(0)
            .map(|topic| topic.strip_prefix(prefix).unwrap_or(topic))
            .into(),
        number(1).into(),
        number(2).into(),
    ])
}

/// An undecodable record belongs to the order of its key, if that is an order id.
fn order_of(key: Option<&[u8]>) -> Option<Uuid> {
    Uuid::try_parse_ascii(key?).ok()
}

fn known(topic: &str, headers: &Headers, payload: Option<&[u8]>) -> Result<KnownFields> {
    match topic {
        topics::ORDER_EVENTS | topics::ORDER_EVENTS_DEAD_LETTERS => {
            event(headers, payload, order_event)
        }
        topics::PROCESSING_EVENTS | topics::PROCESSING_EVENTS_DEAD_LETTERS => {
            event(headers, payload, processing_event)
        }
        other => anyhow::bail!("the auditor knows no events of the topic {other}"),
    }
}

fn event<E: Event>(
    headers: &Headers,
    payload: Option<&[u8]>,
    describe: fn(&E) -> Result<KnownFields>,
) -> Result<KnownFields> {
    match record::decode::<E>(headers, payload) {
        Ok(Some(received)) => Ok(KnownFields {
            meta: Some(received.meta),
            ..describe(&received.event)?
        }),
        // From a newer producer: may be ignored.
        Ok(None) => Ok(KnownFields::default()),
        Err(error) => Ok(KnownFields {
            fault: Some(error.to_string()),
            ..KnownFields::default()
        }),
    }
}

fn order_event(event: &OrderEvent) -> Result<KnownFields> {
    let mut known = KnownFields {
        event_type: Some(event.name()),
        ..KnownFields::default()
    };
    if let OrderEvent::OrderPlaced(placed) = event {
        known.lines = Some(bodies::lines(&placed.lines)?);
        known.money = money(placed.total.as_ref());
    }
    Ok(known)
}

fn processing_event(event: &ProcessingEvent) -> Result<KnownFields> {
    let mut known = KnownFields {
        event_type: Some(event.name()),
        ..KnownFields::default()
    };
    match event {
        ProcessingEvent::PaymentCaptured(captured) => {
            known.money = money(captured.amount.as_ref());
        }
        ProcessingEvent::OrderRejected(rejected) => {
            let reason = RejectionReason::try_from(rejected.reason).ok();
            known.reason = reason.and_then(|it| it.as_str_name().strip_prefix("REJECTION_REASON_"));
        }
        _ => {}
    }
    Ok(known)
}

fn money(amount: Option<&proto::orders::v1::Money>) -> Option<(String, i64)> {
    let amount = amount?;
    Some((amount.currency_code.clone(), amount.minor_units))
}

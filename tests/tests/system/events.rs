//! The records on the topics, read by an independent Kafka client: well-formed CloudEvents with the client's trace.

use anyhow::{Context as _, Result};
use proto::topics;
use tests::system::{Draft, System, TopicRecord};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tonic::Request;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_a_well_formed_cloud_event() -> Result<()> {
    let system = System::start().await?;
    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&order.order_id).await?;

    let placed = system.topic(topics::ORDER_EVENTS).records().await?;
    let outcomes = system.topic(topics::PROCESSING_EVENTS).records().await?;

    assert_eq!(types(&placed), ["com.example.orders.order-placed.v1"]);
    assert_eq!(
        types(&outcomes),
        [
            "com.example.processing.stock-reserved.v1",
            "com.example.processing.payment-captured.v1",
            "com.example.processing.order-fulfilled.v1",
        ]
    );
    for (records, source) in [
        (&placed, "/order-service"),
        (&outcomes, "/processing-service"),
    ] {
        for (index, record) in records.iter().enumerate() {
            assert!(record.is_about(&order.order_id));
            is_well_formed(record, source, index + 1)?;
        }
    }
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_trace_is_propagated_to_the_event_and_the_outcome() -> Result<()> {
    const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let system = System::start().await?;
    let mut request = Request::new(Draft::of("MUG", 1).request());
    let traceparent = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");
    request
        .metadata_mut()
        .insert("traceparent", traceparent.parse()?);

    let response = system.client().place_order(request).await?.into_inner();

    let order = response.order.context("an order")?;
    system.watch_until_final(&order.order_id).await?;
    for (topic, count) in [(topics::ORDER_EVENTS, 1), (topics::PROCESSING_EVENTS, 3)] {
        let records = system.topic(topic).records_about(&order.order_id).await?;
        assert_eq!(records.len(), count);
        for record in records {
            let traceparent = record.header("traceparent").context("no traceparent")?;
            let parts: Vec<&str> = traceparent.split('-').collect();
            assert_eq!(parts.len(), 4, "{traceparent}");
            assert_eq!(parts[1], TRACE_ID);
        }
    }
    system.finish().await
}

fn types(records: &[TopicRecord]) -> Vec<&str> {
    records
        .iter()
        .filter_map(|record| record.header("ce_type"))
        .collect()
}

fn is_well_formed(record: &TopicRecord, source: &str, sequence: usize) -> Result<()> {
    let header = |name: &str| {
        record
            .header(name)
            .with_context(|| format!("no header {name}"))
    };
    let key = std::str::from_utf8(record.key.as_deref().context("no key")?)?;
    assert_eq!(header("ce_specversion")?, "1.0");
    assert_eq!(header("ce_source")?, source);
    assert_eq!(header("ce_subject")?, key);
    assert_eq!(header("ce_sequence")?.parse::<usize>()?, sequence);
    assert_eq!(header("content-type")?, "application/protobuf");
    assert!(header("ce_dataschema")?.starts_with("urn:protobuf:"));
    Uuid::try_parse(header("ce_id")?)?;
    OffsetDateTime::parse(header("ce_time")?, &Rfc3339)?;
    assert!(
        record
            .payload
            .as_deref()
            .is_some_and(|value| !value.is_empty())
    );
    Ok(())
}

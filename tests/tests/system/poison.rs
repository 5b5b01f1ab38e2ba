//! A record that cannot be decoded neither blocks its partition nor is lost.

use anyhow::Result;
use proto::orders::v1::OrderStatus;
use proto::topics;
use tests::system::{Draft, Service, System, Topic, TopicRecord, eventually};

/// The number of partitions that the stack creates.
const PARTITIONS: i32 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn processing_dead_letters_undecodable_records_and_continues() -> Result<()> {
    set_aside(
        topics::ORDER_EVENTS,
        topics::ORDER_EVENTS_DEAD_LETTERS,
        Service::Processing,
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn order_service_dead_letters_undecodable_records_and_continues() -> Result<()> {
    set_aside(
        topics::PROCESSING_EVENTS,
        topics::PROCESSING_EVENTS_DEAD_LETTERS,
        Service::Orders,
    )
    .await
}

/// Only on the production engines: the embedded broker cannot delete topics.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_dead_letter_topic_delays_only_undecodable_records() -> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    let letters = system.topic(topics::ORDER_EVENTS_DEAD_LETTERS);
    let events = system.topic(topics::ORDER_EVENTS);
    letters.delete().await?;
    events.publish(&poison(0)).await?;

    let mut orders = Vec::new();
    // Enough for some on the partition of the undecodable record.
    for _ in 0..20 {
        orders.push(system.place_order(&Draft::of("MUG", 1)).await?);
    }
    system.all_become_final(&orders).await?;
    let waits = !events.is_consumed_by(Service::Processing).await?;
    assert!(waits, "the record was skipped without a dead letter");
    eventually("the topic can be recreated", async || {
        Ok(letters.create(PARTITIONS).await.ok())
    })
    .await?;

    eventually(
        "the record is a dead letter, and its offset moves",
        async || {
            let there = letters.records().await;
            let there = there.is_ok_and(|letters| letters.len() == 1);
            let moved = events.is_consumed_by(Service::Processing).await?;
            Ok((there && moved).then_some(()))
        },
    )
    .await?;
    assert_eq!(system.stack().restarts(), 0);
    system.finish().await
}

async fn set_aside(topic: &'static str, dead_letters: &'static str, group: Service) -> Result<()> {
    let system = System::start().await?;
    let events = system.topic(topic);
    // One on every partition, so that every later record is behind one.
    for partition in 0..PARTITIONS {
        events.publish(&poison(partition)).await?;
    }

    let order = system.place_order(&Draft::of("MUG", 1)).await?;

    system.watch_until_final(&order.order_id).await?;
    assert_eq!(
        system.order(&order.order_id).await?.status(),
        OrderStatus::Fulfilled
    );
    let letters = eventually("every bad record is a dead letter", async || {
        let letters = system.topic(dead_letters).records().await?;
        Ok((letters.len() == PARTITIONS as usize).then_some(letters))
    })
    .await?;
    for letter in &letters {
        keeps_record_and_provenance(letter, &events, group);
    }
    assert!(
        system
            .log(group)?
            .contains("event goes to the dead-letter topic"),
        "the log says so"
    );
    system.finish().await
}

fn poison(partition: i32) -> TopicRecord {
    TopicRecord {
        partition,
        offset: 0,
        timestamp: None,
        // A key of its own: a key has one partition, and is blocked by its first bad record.
        key: Some(format!("no order {partition}").into_bytes()),
        headers: vec![(b"ce_type".to_vec(), Some(b"com.example.nonsense".to_vec()))],
        payload: Some(vec![0xff; 32]),
    }
}

fn keeps_record_and_provenance(letter: &TopicRecord, events: &Topic, service: Service) {
    let key = String::from_utf8_lossy(letter.key.as_deref().unwrap_or_default());
    assert!(key.starts_with("no order "), "{key}");
    assert_eq!(letter.payload.as_deref(), Some(&[0xff; 32][..]));
    assert_eq!(letter.header("ce_type"), Some("com.example.nonsense"));
    let topic = letter.header("x-dlq-original-topic");
    assert_eq!(topic, Some(events.name()));
    assert_eq!(letter.header("x-dlq-original-offset"), Some("0"));
    let group = letter.header("x-dlq-consumer-group");
    assert_eq!(group, Some(&*events.group(service)));
    assert_eq!(letter.header("x-dlq-service"), Some(service.name()));
    assert_eq!(letter.header("x-dlq-error-class"), Some("rejected"));
    assert_eq!(letter.header("x-dlq-attempts"), Some("1"));
    let partition = letter.header("x-dlq-original-partition");
    assert!(partition.is_some_and(|number| number.parse::<i32>().is_ok()));
    let reason = letter.header("x-dlq-reason");
    assert!(
        reason.is_some_and(|reason| reason.contains("ce_")),
        "{reason:?}"
    );
}

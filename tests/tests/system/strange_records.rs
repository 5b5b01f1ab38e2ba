//! Records from foreign producers: each is dead-lettered or ignored according to its kind, and the orders behind it are
//! processed.

use anyhow::{Context as _, Result};
use proto::topics;
use tests::system::{Draft, ForeignRecords, Service, System, TopicRecord, eventually};
use tokio::time::Instant;

/// What the consumer adds to the headers of a dead letter.
const ADDED: &[u8] = b"x-dlq-";

#[tokio::test(flavor = "multi_thread")]
async fn processing_handles_foreign_records_of_every_kind() -> Result<()> {
    takes_every_kind(
        topics::ORDER_EVENTS,
        topics::ORDER_EVENTS_DEAD_LETTERS,
        Service::Processing,
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn order_service_handles_foreign_records_of_every_kind() -> Result<()> {
    takes_every_kind(
        topics::PROCESSING_EVENTS,
        topics::PROCESSING_EVENTS_DEAD_LETTERS,
        Service::Orders,
    )
    .await
}

async fn takes_every_kind(
    topic: &'static str,
    dead_letters: &'static str,
    group: Service,
) -> Result<()> {
    let system = System::start().await?;
    let order = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&order.order_id).await?;
    let records = system.topic(topic).records_about(&order.order_id).await?;
    let partition = records.first().context("an event")?.partition;

    let ForeignRecords { faulty, unknown } = ForeignRecords::new(topic, partition, 0);
    system.topic(topic).publish_together(&faulty).await?;
    system.topic(topic).publish_together(&unknown).await?;
    let begun = Instant::now();
    let mut behind = Vec::new();
    // Enough for some on the partition of the foreign records.
    for _ in 0..20 {
        behind.push(system.place_order(&Draft::of("MUG", 1)).await?);
    }

    system.all_become_final(&behind).await?;
    println!("the orders behind are final after {:?}", begun.elapsed());
    let letters = eventually("every faulty record is a dead letter", async || {
        let letters = system.topic(dead_letters).records().await?;
        Ok((letters.len() >= faulty.len()).then_some(letters))
    })
    .await?;
    eventually("all is consumed", async || {
        let consumed = system.topic(topic).is_consumed_by(group).await?;
        Ok(consumed.then_some(()))
    })
    .await?;
    assert_eq!(
        letters.len(),
        faulty.len(),
        "no other record is a dead letter"
    );
    for record in &faulty {
        assert!(
            letters.iter().any(|letter| is_letter_of(record, letter)),
            "a dead letter is changed: {:?}",
            record.headers
        );
    }
    assert_eq!(system.stack().restarts(), 0);
    system.finish().await
}

fn is_letter_of(record: &TopicRecord, letter: &TopicRecord) -> bool {
    let own = letter.headers.iter();
    let own = own.filter(|(name, _)| !name.starts_with(ADDED));
    letter.key == record.key && letter.payload == record.payload && own.eq(record.headers.iter())
}

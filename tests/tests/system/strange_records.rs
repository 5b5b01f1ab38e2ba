//! Records from foreign producers: each is dead-lettered or ignored according to its kind, and the orders behind it are
//! processed.

use anyhow::{Context as _, Result};
use proto::record::Headers;
use proto::topics;
use tests::system::{Draft, Service, System, TopicRecord, eventually};
use tokio::time::Instant;

/// Just below the largest record that a topic takes by default, and above the default limit of librdkafka's producer.
const HUGE: usize = 1_040_000;

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
    let example = records.first().context("an event of the services")?;

    let faulty = faulty(example);
    system.topic(topic).publish_together(&faulty).await?;
    system
        .topic(topic)
        .publish_together(&ignored(example))
        .await?;
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

/// Undecodable records, all on the partition of the example. Each has a key of its own or none, so that none waits
/// behind another.
fn faulty(example: &TopicRecord) -> Vec<TopicRecord> {
    let headers = &example.headers;
    vec![
        strange(example, None, Vec::new(), None),
        strange(example, Some("no value"), headers.clone(), None),
        strange(example, None, headers.clone(), Some(vec![0; HUGE])),
        strange(
            example,
            Some("headers of any bytes"),
            vec![
                (b"x-\xff\xfe".to_vec(), Some(vec![0xff])),
                (b"twice".to_vec(), None),
                (b"twice".to_vec(), Some(Vec::new())),
                (Vec::new(), Some(b"no name".to_vec())),
            ],
            Some(vec![1]),
        ),
        strange(
            example,
            Some("an event with one more header"),
            [headers.clone(), vec![(vec![0xff], None)]].concat(),
            Some(vec![0xff]),
        ),
        strange(example, Some(""), headers.clone(), Some(Vec::new())),
        strange(
            example,
            Some(&"k".repeat(10_000)),
            Vec::new(),
            Some(vec![1]),
        ),
        with(example, "ce_specversion", b"2.0"),
        with(example, "ce_id", b"no uuid"),
        with(example, "ce_sequence", b"-1"),
        with(example, "ce_time", &[0xff, 0xfe]),
        with(
            example,
            "ce_subject",
            b"00000000-0000-0000-0000-000000000000",
        ),
        with(example, "content-type", b"application/json"),
    ]
}

/// Events of types that this release does not know: they are ignored.
fn ignored(example: &TopicRecord) -> Vec<TopicRecord> {
    vec![with(example, "ce_type", b"com.example.OrderGiftWrapped.v9")]
}

fn strange(
    example: &TopicRecord,
    key: Option<&str>,
    headers: Headers,
    payload: Option<Vec<u8>>,
) -> TopicRecord {
    TopicRecord {
        partition: example.partition,
        offset: 0,
        key: key.map(|key| key.as_bytes().to_vec()),
        headers,
        payload,
    }
}

/// The example with another value of one header, and a key of its own.
fn with(example: &TopicRecord, name: &str, value: &[u8]) -> TopicRecord {
    let mut record = example.clone();
    record.key = Some(format!("a record with another {name}").into_bytes());
    for (header, old) in &mut record.headers {
        if header == name.as_bytes() {
            *old = Some(value.to_vec());
        }
    }
    record
}

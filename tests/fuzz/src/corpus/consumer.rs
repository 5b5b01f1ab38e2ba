//! The whole way of a record, without a fuzzer: mutated events and headers go through a broker, librdkafka, its wrapper, the
//! consumer and the decoding of both services. Each is handled or is a dead letter with its bytes, and none stops the consumer.

use std::sync::Arc;

use async_trait::async_trait;
use consumer::{Delivery, Failure, Handler, RetryPolicy};
use kafka::headers::{self, Headers};
use kafka::record::Record;
use mock_kafka::retry_store::TestRetryStore;
use mock_kafka::{Broker, DEAD_LETTERS, LONG_RETRY, eventually};
use proto::event::{OrderEvent, ProcessingEvent};
use proto::record;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{damage, files};

/// Each costs a write of the retry store and a dead letter: a few seconds in total.
const RECORDS: usize = 1_000;

/// Decodes each record as an event of either service, and rejects what is none.
struct Decoder;

#[async_trait]
impl Handler for Decoder {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        let (headers, payload) = (&delivery.headers, delivery.payload.as_deref());
        if let Ok(Some(received)) = record::decode::<ProcessingEvent>(headers, payload) {
            order_service::conversion::outcome(&received.event);
            return Ok(());
        }
        match record::decode::<OrderEvent>(headers, payload) {
            Ok(Some(received)) => {
                if let OrderEvent::OrderPlaced(placed) = &received.event {
                    let _ = processing_service::conversion::order(placed);
                }
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => Err(Failure::reject(error)),
        }
    }
}

/// A mutated record of partition 0; its key is its own, since a rejected record blocks its key.
fn strange(event: &[u8], number: usize, random: &mut StdRng) -> Record {
    let (stored, payload) = crate::split(event).unwrap();
    let mut headers = headers::decode(stored).unwrap();
    let mut record = Record {
        key: random.random_bool(0.8).then(|| {
            let mut key = number.to_le_bytes().to_vec();
            key.resize(random.random_range(8..400), 0xff);
            key
        }),
        timestamp_ms: Some(random.random_range(1..=i64::MAX)),
        payload: random.random_bool(0.9).then(|| payload.to_vec()),
        ..Record::default()
    };
    for _ in 0..random.random_range(1..6) {
        mutate(&mut headers, random);
    }
    if let (true, Some(payload)) = (random.random_bool(0.5), &mut record.payload) {
        damage(payload, random);
    }
    for (name, _) in &mut headers {
        // librdkafka does not report more.
        let end = name.iter().position(|byte| *byte == 0);
        name.truncate(end.unwrap_or(name.len()));
    }
    record.headers = headers.into();
    record
}

fn mutate(headers: &mut Headers, random: &mut StdRng) {
    if headers.is_empty() {
        return headers.push((vec![random.random()], None));
    }
    let at = random.random_range(0..headers.len());
    let (name, value) = &mut headers[at];
    match (random.random_range(0..5), value) {
        (0, _) => damage(name, random),
        (1, Some(value)) => damage(value, random),
        (2, value) => *value = None,
        (3, value) => *value = Some(Vec::new()),
        _ => {
            let header = headers[at].clone();
            headers.push(header);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_stops_the_consumer_and_every_dead_letter_has_the_bytes_of_its_record() {
    let mut random = StdRng::seed_from_u64(1);
    let events = files("events");
    let policy = RetryPolicy {
        reject_limit: u32::MAX,
        ..LONG_RETRY
    };
    let broker = Broker::start_with(TestRetryStore::sqlite(), policy);
    let mut sent = Vec::new();
    for number in 0..RECORDS {
        let record = strange(&events[number % events.len()], number, &mut random);
        broker.publish_record(&record).await;
        sent.push((record.key, record.headers.to_vec(), record.payload));
    }

    let consumer = broker.start_consumer(Arc::new(Decoder));

    let end = i64::try_from(RECORDS).unwrap();
    eventually("every record is passed", async || {
        broker.committed(0).await == end
    })
    .await;
    let letters = broker.read(DEAD_LETTERS);
    assert_eq!(letters.len(), broker.retry_store.rows().await.len());
    assert!(letters.len() > RECORDS / 10, "{}", letters.len());
    for letter in letters {
        let added = |name: &[u8]| name.starts_with(b"x-dlq-");
        let mut headers = letter.headers;
        headers.retain(|(name, _)| !added(name));
        let content = (letter.raw_key, headers, letter.raw_payload);
        assert!(sent.contains(&content), "changed: {content:?}");
    }
    consumer.stop().await;
}

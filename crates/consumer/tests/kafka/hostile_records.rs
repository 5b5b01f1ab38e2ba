//! Records with any bytes that a broker accepts, dead letters that it refuses, and panics outside of handlers.

use std::sync::Arc;

use async_trait::async_trait;
use consumer::{ConsumerError, Delivery, Failure, Handler};
use kafka::headers::Headers;
use kafka::record::Record;
use mock_kafka::{
    Broker, DEAD_LETTERS, LONG_RETRY, Published, TOPIC, WAIT_LIMIT, eventually, member,
};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Handles records with the payload `good`, and rejects all others.
struct OnlyGood(Semaphore);

impl OnlyGood {
    fn new() -> Arc<Self> {
        Arc::new(Self(Semaphore::new(0)))
    }

    fn handled(&self) -> usize {
        self.0.available_permits()
    }
}

#[async_trait]
impl Handler for OnlyGood {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        if delivery.payload.as_deref() != Some(b"good") {
            return Err(Failure::reject("not good"));
        }
        self.0.add_permits(1);
        Ok(())
    }
}

/// A record of partition 0.
fn record(key: Option<&[u8]>, headers: Headers, payload: Option<&[u8]>) -> Record {
    Record {
        key: key.map(<[u8]>::to_vec),
        headers: headers.into(),
        payload: payload.map(<[u8]>::to_vec),
        ..Record::default()
    }
}

fn header(name: &[u8], value: Option<&[u8]>) -> Headers {
    vec![(name.to_vec(), value.map(<[u8]>::to_vec))]
}

/// The kinds of bytes and absences, each with a key of its own.
fn hostile_records() -> Vec<Record> {
    let twice = [
        header(b"x", Some(b"1")),
        header(b"x", None),
        header(b"x", Some(b"\xff")),
    ];
    vec![
        record(Some(b"1"), header(b"x-\xff\xfe", Some(b"v")), Some(b"1")),
        record(Some(b"2"), header(b"null", None), Some(b"2")),
        record(Some(b"3"), header(b"empty", Some(b"")), Some(b"3")),
        record(Some(b"4"), twice.concat(), Some(b"4")),
        record(Some(b"5"), header(b"", Some(b"no name")), Some(b"5")),
        record(Some(b"6"), header(b"x-dlq-\xff", Some(b"own")), Some(b"6")),
        record(
            Some(b"7"),
            header(&[0xff; 70_000], Some(&[0; 70_000])),
            Some(b"7"),
        ),
        record(Some(b"8"), header(b"traceparent", Some(b"\xff")), None),
        record(Some(b"\xff\0"), Headers::new(), Some(b"")),
        record(Some(b""), Headers::new(), Some(b"10")),
        record(None, Headers::new(), None),
        Record {
            timestamp_ms: Some(i64::MAX),
            ..record(Some(b"12"), Headers::new(), Some(b"12"))
        },
        Record {
            timestamp_ms: Some(1),
            ..record(Some(b"13"), Headers::new(), Some(b"13"))
        },
    ]
}

/// Key, headers and value, without the headers that the consumer adds.
fn content(letter: &Published) -> (Option<Vec<u8>>, Headers, Option<Vec<u8>>) {
    let own = letter.headers.iter();
    let own = own.filter(|(name, _)| !name.starts_with(b"x-dlq-"));
    (
        letter.raw_key.clone(),
        own.cloned().collect(),
        letter.raw_payload.clone(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_a_hostile_record_is_in_its_dead_letter_and_the_next_record_is_handled() {
    let broker = Broker::start();
    let hostile = hostile_records();
    for record in &hostile {
        broker.publish_record(record).await;
    }
    broker.publish_to(0, "behind", "good").await;

    let handler = OnlyGood::new();
    let consumer = broker.start_consumer(handler.clone());

    let stored = hostile.len();
    eventually("the rest is handled, the others stored", async || {
        handler.handled() == 1 && broker.retry_store.rows().await.len() == stored
    })
    .await;
    let letters = broker.read(DEAD_LETTERS);
    let mut letters: Vec<_> = letters.iter().map(content).collect();
    let mut sent: Vec<_> = hostile
        .into_iter()
        .map(|record| (record.key, record.headers.to_vec(), record.payload))
        .collect();
    // A header of an earlier dead letter is replaced.
    sent[5].1.clear();
    letters.sort();
    sent.sort();
    assert_eq!(letters, sent);
    let behind = i64::try_from(stored).unwrap() + 1;
    eventually("all is committed", async || {
        broker.committed(0).await == behind
    })
    .await;
    consumer.stop().await;
}

/// Publishes to partition 0 in batches that are smaller when compressed.
async fn publish_compressed(broker: &Broker, codec: &str, count: usize) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.config().brokers)
        .set("compression.type", codec)
        .set("linger.ms", "50")
        .create()
        .unwrap();
    let sent: Vec<_> = (0..count)
        .map(|number| {
            let key = format!("{codec} {number}");
            let record = FutureRecord::to(TOPIC)
                .partition(0)
                .payload("good")
                .key(&key);
            producer.send_result(record).unwrap()
        })
        .collect();
    for delivery in sent {
        delivery.await.unwrap().unwrap();
    }
}

/// The producer, or the topic by `compression.type`, chooses the codec. A consumer that lacks it would fetch the same batch
/// for ever.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_every_codec_of_kafka_are_read() {
    const EACH: usize = 100;
    const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
    let broker = Broker::start();
    for codec in CODECS {
        publish_compressed(&broker, codec, EACH).await;
    }

    let handler = OnlyGood::new();
    let consumer = broker.start_consumer(handler.clone());

    eventually("all are handled", async || {
        handler.handled() == EACH * CODECS.len()
    })
    .await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_the_broker_refuses_for_ever_is_kept_in_the_retry_store_and_passed() {
    let broker = Broker::start();
    broker.publish_to(0, "a", "too large").await;
    broker.publish_to(0, "b", "good").await;
    broker.refuse_produce(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 10_000]);

    let handler = OnlyGood::new();
    let consumer = broker.start_consumer(handler.clone());

    eventually("both offsets are committed", async || {
        broker.committed(0).await == 2
    })
    .await;
    assert_eq!(handler.handled(), 1);
    let rows = broker.retry_store.rows().await;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].payload(), &*rows[0].state),
        ("too large".to_owned(), "DEAD")
    );
    assert_eq!(rows[0].fault_class.as_deref(), Some("unpublished"));
    let message = rows[0].fault_message.as_deref().unwrap();
    assert!(message.contains("dead-letter topic"), "{message}");

    // A redrive ends in the same way.
    broker.retry_store.redrive().await;
    eventually("it is dead again", async || {
        let rows = broker.retry_store.rows().await;
        rows[0].state == "DEAD" && rows[0].attempts == 2
    })
    .await;
    consumer.stop().await;
    broker.accept_produce();
    assert!(broker.read(DEAD_LETTERS).is_empty());
}

/// Just above what librdkafka's producer sends by default.
const LARGE: usize = 1_040_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_record_as_large_as_a_topic_takes_has_a_dead_letter() {
    let broker = Broker::start();
    let large = record(Some(b"a"), Headers::new(), Some(&vec![0; LARGE]));
    broker.publish_record(&large).await;
    broker.publish_to(0, "b", "good").await;

    let consumer = broker.start_consumer(OnlyGood::new());

    eventually("both offsets are committed", async || {
        broker.committed(0).await == 2
    })
    .await;
    let letters = broker.read(DEAD_LETTERS);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].payload.len(), LARGE);
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_decompresses_to_more_than_a_dead_letter_can_have_is_kept_and_passed() {
    let broker = Broker::start();
    let zeros = vec![0; 20 * 1024 * 1024];
    assert!(zeros.len() > usize::try_from(kafka::MAX_RECORD_BYTES).unwrap());
    let bomb = record(Some(b"a"), Headers::new(), Some(&zeros));
    broker.publish_record(&bomb).await;
    broker.publish_to(0, "b", "good").await;

    let consumer = broker.start_consumer(OnlyGood::new());

    eventually("both offsets are committed", async || {
        broker.committed(0).await == 2
    })
    .await;
    let rows = broker.retry_store.rows().await;
    assert_eq!(rows[0].fault_class.as_deref(), Some("unpublished"));
    assert_eq!(rows[0].payload().len(), zeros.len());
    assert!(broker.read(DEAD_LETTERS).is_empty());
    consumer.stop().await;
}

/// Runs a consumer whose retry store panics in `call`; returns its error.
async fn error_of_a_panic_in(call: &'static str) -> ConsumerError {
    let broker = Broker::start();
    broker.retry_store.panic_in(call);
    broker.publish("a", "to be rejected").await;
    let retry_store = Arc::clone(&broker.retry_store);
    let consumer = member(&broker.config(), LONG_RETRY, OnlyGood::new(), retry_store);

    let running = consumer.run(CancellationToken::new());

    let ended = tokio::time::timeout(WAIT_LIMIT, running).await;
    ended.expect("the consumer ends").unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_task_that_panics_ends_the_consumer_with_an_error() {
    let error = error_of_a_panic_in("begin_session").await;

    assert!(
        matches!(error, ConsumerError::Panicked("partition")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_task_that_panics_ends_the_consumer_with_an_error() {
    let error = error_of_a_panic_in("store").await;

    assert!(matches!(error, ConsumerError::Panicked("event")), "{error}");
}

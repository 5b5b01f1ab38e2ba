//! A test harness: librdkafka's mock cluster (an in-process broker with injectable faults), a database, and the running
//! relay and consumer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]
#![allow(
    missing_debug_implementations,
    reason = "a test harness is not printed"
)]

pub mod postgres;
pub mod retry_store;

use std::sync::Arc;
use std::time::Duration;

use consumer::{Consumer, ConsumerConfig, Handler, RetryPolicy, TraceProcessing};
use kafka::KafkaConfig;
use kafka::headers::{self, Headers, read_native, write_native};
use kafka::record::Record;
use outbox::lease::SoleOwner;
use outbox::relay::Relay;
use outbox::sqlite::{SqliteOutbox, insert};
use outbox::{HandOver, Outbox, OutboxRecord};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::BorrowedMessage;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use service::config::FromSetting;
use sql::migrations::Migrations;
use sql::sqlite::Sqlite;
use sql::url::DatabaseUrl;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::retry_store::TestRetryStore;

/// All tables that the relay and the consumer need.
pub const MIGRATIONS: Migrations = &[outbox::database::MIGRATIONS, consumer::MIGRATIONS];

pub const TOPIC: &str = "events";
pub const GROUP: &str = "group";
pub const DEAD_LETTERS: &str = "events.dlq";
pub const PARTITIONS: i32 = 3;

/// Largest record that a test publishes, in bytes.
const MAX_RECORD: &str = "100000000";

/// Deadline of every wait.
pub const WAIT_LIMIT: Duration = Duration::from_secs(60);

pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(WAIT_LIMIT, wait).await;
    assert!(in_time.is_ok(), "timed out: {what}");
}

/// A record read from a topic.
#[derive(Debug)]
pub struct Published {
    pub key: String,
    pub payload: Vec<u8>,
    /// `None` if it is null; `key` and `payload` are empty then.
    pub raw_key: Option<Vec<u8>>,
    pub raw_payload: Option<Vec<u8>>,
    pub headers: Headers,
}

impl Published {
    pub fn header_names(&self) -> Vec<&str> {
        let names = self.headers.iter();
        names
            .map(|(name, _)| std::str::from_utf8(name).unwrap())
            .collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        headers::text(&self.headers, name)
    }
}

/// In-memory retries for longer than any test takes.
pub const LONG_RETRY: RetryPolicy = RetryPolicy {
    retry_for: Duration::from_secs(120),
    retry_store_delay: Duration::from_secs(1_800),
    reject_limit: 50,
};

/// Moves failing events to the retry store soon; there they wait until the test makes them due.
pub const SHORT_RETRY: RetryPolicy = RetryPolicy {
    retry_for: Duration::from_millis(300),
    ..LONG_RETRY
};

/// A broker and the retry store of its consumers.
pub struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: FutureProducer,
    pub retry_store: Arc<TestRetryStore>,
    pub retry_policy: RetryPolicy,
}

impl Broker {
    pub fn start() -> Self {
        Self::start_with(TestRetryStore::sqlite(), LONG_RETRY)
    }

    pub fn start_with(retry_store: Arc<TestRetryStore>, retry_policy: RetryPolicy) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
        cluster.create_topic(DEAD_LETTERS, PARTITIONS, 1).unwrap();
        let producer = client(&cluster)
            .set("message.max.bytes", MAX_RECORD)
            .set("compression.type", "lz4")
            .create()
            .unwrap();
        Self {
            cluster,
            producer,
            retry_store,
            retry_policy,
        }
    }

    pub fn config(&self) -> KafkaConfig {
        KafkaConfig {
            fetch_wait: Duration::from_millis(100),
            ..KafkaConfig::plaintext(self.cluster.bootstrap_servers())
        }
    }

    pub fn refuse_produce(&self, errors: &[RDKafkaRespErr]) {
        self.cluster.request_errors(RDKafkaApiKey::Produce, errors);
    }

    /// Every produce request is refused permanently, until [`Broker::accept_produce`].
    pub fn refuse_all_produce(&self) {
        let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 10_000];
        self.refuse_produce(&errors);
    }

    pub fn accept_produce(&self) {
        self.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    }

    pub fn delay_answers(&self, delay: Duration) {
        self.cluster.broker_round_trip_time(-1, delay).unwrap();
    }

    pub fn go_away(&self) {
        self.cluster.broker_down(1).unwrap();
    }

    pub fn come_back(&self) {
        self.cluster.broker_up(1).unwrap();
    }

    pub async fn publish(&self, key: &str, payload: &str) {
        let record = FutureRecord::to(TOPIC).key(key).payload(payload);
        self.producer.send(record, WAIT_LIMIT).await.unwrap();
    }

    /// All records of the topic, by partition.
    pub fn read(&self, topic: &str) -> Vec<Published> {
        let consumer: BaseConsumer = client(&self.cluster)
            .set("group.id", "reader")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut from_the_beginning = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            from_the_beginning
                .add_partition_offset(topic, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&from_the_beginning).unwrap();
        let mut published = Vec::new();
        let mut ended = 0;
        while ended < PARTITIONS {
            match consumer.poll(WAIT_LIMIT).expect("the mock cluster answers") {
                Ok(message) => published.push(Published::from_message(&message)),
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("reading back: {error}"),
            }
        }
        published
    }

    /// Publishes to a given partition.
    pub async fn publish_to(&self, partition: i32, key: &str, payload: &str) {
        let record = FutureRecord::to(TOPIC).key(key).payload(payload);
        let record = record.partition(partition);
        self.producer.send(record, WAIT_LIMIT).await.unwrap();
    }

    /// Publishes to a given partition, without a key.
    pub async fn publish_keyless(&self, partition: i32, payload: &str) {
        let record = FutureRecord::<[u8], _>::to(TOPIC).payload(payload);
        let record = record.partition(partition);
        self.producer.send(record, WAIT_LIMIT).await.unwrap();
    }

    /// Publishes with headers.
    pub async fn publish_with(&self, headers: &[(&str, &str)], key: &str, payload: &str) {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| ((*name).into(), Some((*value).into())));
        let record = Record {
            key: Some(key.into()),
            headers: headers.collect(),
            payload: Some(payload.into()),
            ..Record::default()
        };
        self.publish_record(&record).await;
    }

    /// Publishes to the partition of this record, with any bytes.
    pub async fn publish_record(&self, record: &Record) {
        let mut message = FutureRecord::<[u8], [u8]>::to(TOPIC)
            .partition(record.partition)
            .headers(write_native(&record.headers.to_vec()));
        message.key = record.key.as_deref();
        message.payload = record.payload.as_deref();
        message.timestamp = record.timestamp_ms;
        self.producer.send(message, WAIT_LIMIT).await.unwrap();
    }

    /// The group's committed offset, 0 before the first commit.
    pub async fn committed(&self, partition: i32) -> i64 {
        let mut config = client(&self.cluster);
        config.set("group.id", GROUP);
        let ask = move || {
            let consumer: BaseConsumer = config.create().unwrap();
            let mut asked = TopicPartitionList::new();
            asked.add_partition(TOPIC, partition);
            let answer = consumer.committed_offsets(asked, WAIT_LIMIT).unwrap();
            match answer.elements()[0].offset() {
                Offset::Offset(offset) => offset,
                _ => 0,
            }
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    /// The next heartbeat of a member is answered with ILLEGAL_GENERATION, as if its session had expired.
    pub fn refuse_heartbeat(&self) {
        let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION];
        self.cluster
            .request_errors(RDKafkaApiKey::Heartbeat, &errors);
    }

    /// The next `times` commits are refused, as during a rebalance.
    pub fn refuse_commits(&self, times: usize) {
        let errors = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS; times];
        self.cluster
            .request_errors(RDKafkaApiKey::OffsetCommit, &errors);
    }

    pub fn create_topic(&self, topic: &str, partitions: i32) {
        self.cluster.create_topic(topic, partitions, 1).unwrap();
    }

    pub fn start_consumer(&self, handler: Arc<dyn Handler>) -> Running {
        self.start_member(&self.config(), handler)
    }

    /// A consumer with these settings.
    pub fn start_member(&self, kafka: &KafkaConfig, handler: Arc<dyn Handler>) -> Running {
        start_member(
            kafka,
            self.retry_policy,
            handler,
            Arc::clone(&self.retry_store),
        )
    }
}

/// A consumer of the tests' topic.
pub fn start_member(
    kafka: &KafkaConfig,
    retry_policy: RetryPolicy,
    handler: Arc<dyn Handler>,
    retry_store: Arc<TestRetryStore>,
) -> Running {
    let stop = CancellationToken::new();
    let consumer = member(kafka, retry_policy, handler, retry_store);
    let running = consumer.run(stop.clone());
    let task = tokio::spawn(async { running.await.unwrap() });
    Running { stop, task }
}

/// A consumer of the tests' topic, not running.
pub fn member(
    kafka: &KafkaConfig,
    retry_policy: RetryPolicy,
    handler: Arc<dyn Handler>,
    retry_store: Arc<TestRetryStore>,
) -> Consumer {
    let config = ConsumerConfig {
        group: kafka.name(GROUP),
        topic: kafka.name(TOPIC),
        dead_letter_topic: kafka.name(DEAD_LETTERS),
        max_in_flight: 16,
        retry_policy,
        trace_processing: TraceProcessing::Parent,
        service: "consumer-tests",
        version: "1.2.3",
    };
    Consumer::new(kafka, config, handler, retry_store)
}

fn client(cluster: &MockCluster<'static, DefaultProducerContext>) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    config
}

impl Published {
    fn from_message(message: &BorrowedMessage<'_>) -> Self {
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        Self {
            key: text(message.key()),
            raw_key: message.key().map(<[u8]>::to_vec),
            raw_payload: message.payload().map(<[u8]>::to_vec),
            payload: message.payload().unwrap_or_default().to_vec(),
            headers: message.headers().map(read_native).unwrap_or_default(),
        }
    }
}

/// A running relay or consumer.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub fn new(stop: CancellationToken, task: JoinHandle<()>) -> Self {
        Self { stop, task }
    }

    /// Aborts it without a shutdown.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub struct Database {
    sqlite: Arc<Sqlite>,
    hand_over: HandOver,
    _directory: tempfile::TempDir,
}

impl Database {
    pub async fn create() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/outbox.db", directory.path().display());
        let url = DatabaseUrl::from_setting(&url).unwrap();
        let sqlite = Sqlite::open(&url, MIGRATIONS).await.unwrap();
        Self {
            sqlite: Arc::new(sqlite),
            hand_over: HandOver::default(),
            _directory: directory,
        }
    }

    pub fn outbox(&self) -> SqliteOutbox {
        SqliteOutbox::new(Arc::clone(&self.sqlite))
    }

    pub async fn write(&self, records: &[OutboxRecord]) {
        let mut transaction = self.sqlite.begin().await.unwrap();
        let records: Vec<_> = records.iter().cloned().map(Arc::new).collect();
        let inserted = insert(&mut transaction, &records).await.unwrap();
        transaction.commit().await.unwrap();
        self.hand_over.committed(inserted);
    }

    /// Overwrites the stored headers of the rows that match a condition.
    pub async fn set_headers(&self, headers: &[u8], rows: &str) {
        let mut transaction = self.sqlite.begin().await.unwrap();
        let update = format!("UPDATE outbox SET headers = ? WHERE {rows}");
        let done = sqlx::query(sqlx::AssertSqlSafe(update))
            .bind(headers)
            .execute(&mut *transaction)
            .await
            .unwrap();
        assert_eq!(done.rows_affected(), 1);
        transaction.commit().await.unwrap();
    }

    pub fn start_relay(&self, broker: &Broker) -> Running {
        self.start_relay_on(broker, Arc::new(self.outbox()))
    }

    pub fn start_relay_on(&self, broker: &Broker, outbox: Arc<dyn Outbox>) -> Running {
        let stop = CancellationToken::new();
        let relay = Relay::new(
            &broker.config(),
            outbox,
            Arc::new(SoleOwner),
            self.hand_over.clone(),
        );
        let task = tokio::spawn(relay.run(stop.clone()));
        Running { stop, task }
    }
}

//! A broker, a database and the running parts, with verbs.

use std::sync::Arc;
use std::time::Duration;

use chassis::config::DatabaseUrl;
use chassis::config::FromSetting;
use chassis::consumer::{Consumer, ConsumerConfig, Handler};
use chassis::kafka::KafkaConfig;
use chassis::outbox::sqlite::{SqliteOutbox, insert};
use chassis::outbox::{OutboxRecord, OutboxSignal};
use chassis::relay::Relay;
use chassis::sqlite::Sqlite;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const TOPIC: &str = "events";
pub(crate) const DEAD_LETTERS: &str = "events.dlq";
const PARTITIONS: i32 = 3;

/// Conditions come true within this time, or never.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, wait).await;
    assert!(in_time.is_ok(), "never happened: {what}");
}

/// A record as it was found on a topic.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) key: String,
    pub(crate) payload: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Published {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: FutureProducer,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
        cluster.create_topic(DEAD_LETTERS, PARTITIONS, 1).unwrap();
        let producer = client(&cluster).create().unwrap();
        Self { cluster, producer }
    }

    pub(crate) fn config(&self) -> KafkaConfig {
        KafkaConfig {
            brokers: self.cluster.bootstrap_servers(),
            fetch_wait: Duration::from_millis(100),
        }
    }

    pub(crate) fn refuse_produce(&self, errors: &[RDKafkaRespErr]) {
        self.cluster.request_errors(RDKafkaApiKey::Produce, errors);
    }

    pub(crate) fn go_away(&self) {
        self.cluster.broker_down(1).unwrap();
    }

    pub(crate) fn come_back(&self) {
        self.cluster.broker_up(1).unwrap();
    }

    pub(crate) async fn publish(&self, key: &str, payload: &str) {
        let record = FutureRecord::to(TOPIC).key(key).payload(payload);
        self.producer.send(record, PATIENCE).await.unwrap();
    }

    /// Everything on the topic, in the order of its partitions.
    pub(crate) fn read(&self, topic: &str) -> Vec<Published> {
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
            match consumer.poll(PATIENCE).expect("the mock cluster answers") {
                Ok(message) => published.push(Published::from_message(&message)),
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("reading back: {error}"),
            }
        }
        published
    }

    pub(crate) fn start_consumer(&self, handler: Arc<dyn Handler>) -> Running {
        let config = ConsumerConfig {
            group: "group",
            topic: TOPIC,
            dead_letter_topic: DEAD_LETTERS,
            max_in_flight: 16,
        };
        let stop = CancellationToken::new();
        let consumer = Consumer::new(&self.config(), config, handler);
        let running = consumer.run(stop.clone());
        let task = tokio::spawn(async { running.await.unwrap() });
        Running { stop, task }
    }
}

fn client(cluster: &MockCluster<'static, DefaultProducerContext>) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    config
}

impl Published {
    fn from_message(message: &impl Message) -> Self {
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let headers = message.headers().map(|headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), text(header.value)))
                .collect()
        });
        Self {
            key: text(message.key()),
            payload: message.payload().unwrap_or_default().to_vec(),
            headers: headers.unwrap_or_default(),
        }
    }
}

/// A relay or a consumer at work.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub(crate) struct Database {
    sqlite: Arc<Sqlite>,
    signal: OutboxSignal,
    _directory: tempfile::TempDir,
}

impl Database {
    pub(crate) async fn create() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/outbox.db", directory.path().display());
        let url = DatabaseUrl::from_setting(&url).unwrap();
        let sqlite = Sqlite::open(&url, &sqlx::migrate!("tests/migrations"))
            .await
            .unwrap();
        Self {
            sqlite: Arc::new(sqlite),
            signal: OutboxSignal::default(),
            _directory: directory,
        }
    }

    pub(crate) fn outbox(&self) -> SqliteOutbox {
        SqliteOutbox::new(Arc::clone(&self.sqlite))
    }

    pub(crate) async fn write(&self, records: &[OutboxRecord]) {
        let mut transaction = self.sqlite.begin().await.unwrap();
        insert(&mut transaction, records).await.unwrap();
        transaction.commit().await.unwrap();
        self.signal.notify();
    }

    pub(crate) fn start_relay(&self, broker: &Broker) -> Running {
        let stop = CancellationToken::new();
        let relay = Relay::new(
            &broker.config(),
            Arc::new(self.outbox()),
            self.signal.clone(),
        );
        let task = tokio::spawn(relay.run(stop.clone()));
        Running { stop, task }
    }
}

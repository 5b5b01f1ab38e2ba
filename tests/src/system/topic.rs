//! A topic of the system's broker, accessed by a Kafka client independent of the services.

use std::ops::Range;
use std::time::Duration;

use super::Service;
use crate::stack::Stack;
use anyhow::{Context as _, Result, bail};
use native_headers::{read_native, write_native};
use proto::record::Headers;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// How long the broker holds a fetch that finds no record, and with it what else is asked on the connection.
const FETCH_WAIT_MILLISECONDS: &str = "10";

/// Timeout of one broker call.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Topic {
    pub(super) brokers: String,
    /// In front of the names of topic and groups.
    prefix: String,
    /// With the prefix.
    pub(super) name: String,
}

/// A record on a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRecord {
    pub partition: i32,
    pub offset: i64,
    /// Unix milliseconds to publish it with; `None`: the present. Not read from a topic.
    pub timestamp: Option<i64>,
    /// The order id, for records of the services.
    pub key: Option<Vec<u8>>,
    /// In order.
    pub headers: Headers,
    /// The value.
    pub payload: Option<Vec<u8>>,
}

impl TopicRecord {
    /// The value of a header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        proto::record::header(&self.headers, name)
    }

    /// Whether the key is this order's id.
    pub fn is_about(&self, order_id: &str) -> bool {
        self.key.as_deref() == Some(order_id.as_bytes())
    }
}

impl Topic {
    /// A topic of the contract at the broker of this stack.
    pub(crate) fn of(stack: &Stack, name: &'static str) -> Self {
        let prefix = stack.topic_prefix();
        Self {
            brokers: stack.addresses().kafka.clone(),
            prefix: prefix.to_owned(),
            name: format!("{prefix}{name}"),
        }
    }

    /// The name at Kafka, with the prefix of the installation.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The consumer group of a service at Kafka.
    pub fn group(&self, service: Service) -> String {
        format!("{}{service}", self.prefix)
    }

    /// Every record on the topic, by partition and offset.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn records(&self) -> Result<Vec<TopicRecord>> {
        let topic = self.clone();
        tokio::task::spawn_blocking(move || topic.read())
            .await?
            .with_context(|| format!("cannot read the topic {}", self.name))
    }

    /// Up to `count` records of partition `number` modulo the number of partitions: from the relative position `share`,
    /// where 0 is the oldest record and 1 the newest.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn excerpt(&self, number: usize, share: f64, count: i64) -> Result<Vec<TopicRecord>> {
        let topic = self.clone();
        tokio::task::spawn_blocking(move || topic.read_excerpt(number, share, count))
            .await?
            .with_context(|| format!("cannot read the topic {}", self.name))
    }

    /// The records of one order, in order of publication.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn records_about(&self, order_id: &str) -> Result<Vec<TopicRecord>> {
        let mut records = self.records().await?;
        records.retain(|record| record.is_about(order_id));
        Ok(records)
    }

    /// Whether a consumer group has committed the end of every partition.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn is_consumed_by(&self, group: Service) -> Result<bool> {
        let topic = self.clone();
        tokio::task::spawn_blocking(move || topic.has_committed(&topic.group(group)))
            .await?
            .with_context(|| format!("cannot read the offsets of {group} on {}", self.name))
    }

    /// Publishes a record with the partition, key, headers and value of this one. Partition -1 selects the one that the
    /// services' partitioner chooses for the key.
    ///
    /// # Errors
    /// When the broker does not acknowledge it.
    pub async fn publish(&self, record: &TopicRecord) -> Result<()> {
        self.publish_together(std::slice::from_ref(record)).await
    }

    /// Publishes these records as [`Topic::publish`] does, concurrently; the order within a partition is kept.
    ///
    /// # Errors
    /// When the broker does not acknowledge one.
    pub async fn publish_together(&self, records: &[TopicRecord]) -> Result<()> {
        let producer = self.producer()?;
        let sends = records.iter().map(|record| self.send(&producer, record));
        for sent in sends.collect::<Result<Vec<_>>>()? {
            let acknowledged = sent.await?.map_err(|(error, _)| error);
            acknowledged.context("the record is not acknowledged")?;
        }
        Ok(())
    }

    /// Publishes these records as [`Topic::publish`] does, in sequence, until the broker does not acknowledge one;
    /// returns the number of acknowledged records.
    ///
    /// # Errors
    /// When no producer can be created.
    pub async fn publish_all(&self, records: &[TopicRecord]) -> Result<u64> {
        let producer = self.producer()?;
        let mut acknowledged = 0;
        for record in records {
            if self.send(&producer, record)?.await?.is_err() {
                break;
            }
            acknowledged += 1;
        }
        Ok(acknowledged)
    }

    fn producer(&self) -> Result<FutureProducer> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            // The broker decides what is too large.
            .set("message.max.bytes", "10000000")
            .set("message.timeout.ms", ANSWER.as_millis().to_string())
            .create()?;
        Ok(producer)
    }

    fn send(&self, producer: &FutureProducer, record: &TopicRecord) -> Result<DeliveryFuture> {
        let sent = producer.send_result(self.message(record));
        sent.map_err(|(error, _)| error.into())
    }

    fn message<'a>(&'a self, record: &'a TopicRecord) -> FutureRecord<'a, [u8], [u8]> {
        let mut message = FutureRecord::to(&self.name)
            .partition(record.partition)
            .headers(write_native(&record.headers));
        message.timestamp = record.timestamp;
        message.key = record.key.as_deref();
        message.payload = record.payload.as_deref();
        message
    }

    /// Partitions are assigned manually and nothing is committed, so the group is never joined.
    pub(crate) fn consumer(&self, group: &str) -> Result<BaseConsumer> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", FETCH_WAIT_MILLISECONDS)
            .create()?;
        Ok(consumer)
    }

    fn has_committed(&self, group: &str) -> Result<bool> {
        let consumer = self.consumer(group)?;
        for partition in self.partitions(&consumer)? {
            let (low, high) = consumer.fetch_watermarks(&self.name, partition, ANSWER)?;
            let mut wanted = TopicPartitionList::new();
            wanted.add_partition(&self.name, partition);
            let committed = consumer.committed_offsets(wanted, ANSWER)?;
            let offset = committed
                .elements()
                .first()
                .and_then(|element| element.offset().to_raw())
                .unwrap_or(low);
            if low < high && offset < high {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read(&self) -> Result<Vec<TopicRecord>> {
        let consumer = self.consumer("system-tests")?;
        let mut records = Vec::new();
        for partition in self.partitions(&consumer)? {
            self.read_partition(&consumer, partition, &mut records)?;
        }
        Ok(records)
    }

    pub(crate) fn partitions(&self, consumer: &BaseConsumer) -> Result<Vec<i32>> {
        let metadata = consumer.fetch_metadata(Some(&self.name), ANSWER)?;
        let topic = metadata.topics().first().context("no such topic")?;
        Ok(topic
            .partitions()
            .iter()
            .map(|partition| partition.id())
            .collect())
    }

    fn read_partition(
        &self,
        consumer: &BaseConsumer,
        partition: i32,
        records: &mut Vec<TopicRecord>,
    ) -> Result<()> {
        let (low, high) = consumer.fetch_watermarks(&self.name, partition, ANSWER)?;
        self.read_range(consumer, partition, low..high, records)
    }

    fn read_excerpt(&self, number: usize, share: f64, count: i64) -> Result<Vec<TopicRecord>> {
        let consumer = self.consumer("system-tests")?;
        let partitions = self.partitions(&consumer)?;
        let partition = partitions[number % partitions.len().max(1)];
        let (low, high) = consumer.fetch_watermarks(&self.name, partition, ANSWER)?;
        let latest = (high - count).max(low);
        let from = low + ((latest - low) as f64 * share) as i64;
        let mut records = Vec::new();
        let range = from..high.min(from + count);
        self.read_range(&consumer, partition, range, &mut records)?;
        Ok(records)
    }

    fn read_range(
        &self,
        consumer: &BaseConsumer,
        partition: i32,
        offsets: Range<i64>,
        records: &mut Vec<TopicRecord>,
    ) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(&self.name, partition, Offset::Offset(offsets.start))?;
        consumer.assign(&assignment)?;
        loop {
            let Some(message) = consumer.poll(ANSWER) else {
                bail!("partition {partition} ends before offset {}", offsets.end);
            };
            let message = message?;
            records.push(record_of(&message));
            if message.offset() + 1 >= offsets.end {
                return Ok(());
            }
        }
    }
}

pub(crate) fn record_of(message: &BorrowedMessage<'_>) -> TopicRecord {
    TopicRecord {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: None,
        key: message.key().map(<[u8]>::to_vec),
        headers: message.headers().map(read_native).unwrap_or_default(),
        payload: message.payload().map(<[u8]>::to_vec),
    }
}

//! `orderctl topic`: every record of a topic from its beginning, with headers and decoded event.
//!
//! Reads without joining a consumer group and commits nothing, so it does not affect consumers.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use self::record::print;

mod record;

/// Timeout of the metadata request.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

/// Print the records of a topic: key, CloudEvents headers, decoded event.
#[derive(Debug, clap::Args)]
pub(super) struct TopicArguments {
    /// The Kafka broker.
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    kafka: String,

    /// The topic.
    #[arg(long, default_value = proto::topics::ORDER_EVENTS)]
    topic: String,

    /// KAFKA_TOPIC_PREFIX of the installation, in front of the topic.
    #[arg(long, default_value = "", value_name = "PREFIX")]
    topic_prefix: String,

    /// Stop after N records.
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Wait for new records at the end, until Ctrl-C.
    #[arg(long)]
    follow: bool,
}

pub(super) async fn run(arguments: TopicArguments, json: bool) -> anyhow::Result<()> {
    let consumer = consumer(&arguments.kafka)?;
    let topic = format!("{}{}", arguments.topic_prefix, arguments.topic);
    let (consumer, mut unfinished) = begin(consumer, topic).await?;
    let mut left = arguments.count;
    while (arguments.follow || !unfinished.is_empty()) && left != Some(0) {
        match consumer.recv().await {
            Ok(message) => {
                print(&message, json);
                left = left.map(|count| count - 1);
            }
            Err(KafkaError::PartitionEOF(partition)) => {
                unfinished.remove(&partition);
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error).context("the topic cannot be read"),
        }
    }
    Ok(())
}

fn consumer(kafka: &str) -> anyhow::Result<StreamConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", kafka)
        // Required by the client; without a subscription no group is joined.
        .set("group.id", "orderctl")
        .set("enable.auto.commit", "false")
        // Reports the end of each partition.
        .set("enable.partition.eof", "true")
        .create()
        .context("the Kafka client cannot be set up")
}

/// Assigns every partition from its beginning. The metadata request blocks, hence its own thread.
async fn begin(
    consumer: StreamConsumer,
    topic: String,
) -> anyhow::Result<(StreamConsumer, HashSet<i32>)> {
    tokio::task::spawn_blocking(move || {
        let partitions = partitions(&consumer, &topic)?;
        let mut assignment = TopicPartitionList::new();
        for partition in &partitions {
            assignment.add_partition_offset(&topic, *partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        Ok((consumer, partitions))
    })
    .await?
}

fn partitions(consumer: &StreamConsumer, topic: &str) -> anyhow::Result<HashSet<i32>> {
    let metadata = consumer
        .fetch_metadata(Some(topic), METADATA_TIMEOUT)
        .context("the broker does not answer")?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let found = found.with_context(|| format!("there is no topic {topic}"))?;
    if let Some(error) = found.error() {
        bail!("topic {topic}: {}", RDKafkaErrorCode::from(error));
    }
    let partitions: HashSet<i32> = found.partitions().iter().map(|it| it.id()).collect();
    ensure!(!partitions.is_empty(), "topic {topic} has no partitions");
    Ok(partitions)
}

/// Connection errors, from which the client recovers by itself; not shown while following a topic.
fn is_passing(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| {
        matches!(
            code,
            RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown
        )
    })
}

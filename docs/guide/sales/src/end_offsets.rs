//! The ends of topics at one moment, and whether a consumer group has reached them: when a table that is built from the
//! beginning of its topics is complete.

use std::sync::Arc;
use std::time::Duration;

use kafka::KafkaConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use tokio::task::spawn_blocking;

/// Timeout of a request to a broker.
const ANSWER: Duration = Duration::from_secs(5);

/// The offset behind the last record of each partition of a topic that had records.
#[derive(Clone)]
pub(crate) struct EndOffsets {
    topic: Arc<str>,
    offsets: Vec<(i32, i64)>,
}

impl EndOffsets {
    /// The ends of a topic now. `topic` is its name at Kafka ([`KafkaConfig::name`]).
    pub(crate) async fn now(kafka: &KafkaConfig, topic: Arc<str>) -> KafkaResult<Self> {
        let kafka = kafka.clone();
        blocking(move || read(&kafka, topic)).await
    }

    /// Whether a group has committed all of these offsets.
    pub(crate) async fn are_committed_by(
        &self,
        kafka: &KafkaConfig,
        group: &str,
    ) -> KafkaResult<bool> {
        if self.offsets.is_empty() {
            return Ok(true);
        }
        let (kafka, group, ends) = (kafka.clone(), group.to_owned(), self.clone());
        blocking(move || {
            let client: BaseConsumer = kafka.consumer(&group).create()?;
            let mut partitions = TopicPartitionList::new();
            for (partition, _) in &ends.offsets {
                partitions.add_partition(&ends.topic, *partition);
            }
            let committed = client.committed_offsets(partitions, ANSWER)?;
            Ok(ends.offsets.iter().all(|(partition, end)| {
                let committed = committed.find_partition(&ends.topic, *partition);
                let offset = committed.and_then(|partition| partition.offset().to_raw());
                offset.is_some_and(|offset| offset >= *end)
            }))
        })
        .await
    }
}

fn read(kafka: &KafkaConfig, topic: Arc<str>) -> KafkaResult<EndOffsets> {
    let client: BaseConsumer = kafka.observer().create()?;
    let metadata = client.fetch_metadata(Some(&topic), ANSWER)?;
    let mut offsets = Vec::new();
    for described in metadata.topics() {
        if let Some(error) = described.error() {
            return Err(KafkaError::MetadataFetch(error.into()));
        }
        for partition in described.partitions() {
            let (low, high) = client.fetch_watermarks(&topic, partition.id(), ANSWER)?;
            // A group commits nothing for a partition without records.
            if low < high {
                offsets.push((partition.id(), high));
            }
        }
    }
    Ok(EndOffsets { topic, offsets })
}

/// The client blocks, also while it is created and dropped.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> KafkaResult<T> + Send + 'static,
) -> KafkaResult<T> {
    // The task fails only while the runtime is shutting down.
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(KafkaError::Canceled))
}

//! Consumer lag as the broker knows it: it is there while the consumer is down, unlike the consumer's own metric.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Stack;

/// Commits nothing, so it lags by every record.
const NOBODY: &str = "nobody";

/// The lag of a consumer group on its topic.
#[derive(Clone)]
pub(crate) struct ConsumerLag {
    client: Arc<BaseConsumer>,
    topic: String,
    /// Timeout of one request.
    patience: Duration,
}

impl ConsumerLag {
    /// Joins no group: it only reads offsets, and waits this long for each answer.
    ///
    /// # Errors
    /// When no client can be made.
    pub(crate) fn of(stack: &Stack, topic: &str, group: &str, patience: Duration) -> Result<Self> {
        let prefix = stack.topic_prefix();
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &stack.addresses().kafka)
            .set("group.id", format!("{prefix}{group}"))
            .set("enable.auto.commit", "false")
            .set("reconnect.backoff.max.ms", "500")
            .create()?;
        Ok(Self {
            client: Arc::new(client),
            topic: format!("{prefix}{topic}"),
            patience,
        })
    }

    /// The number of records on a topic.
    ///
    /// # Errors
    /// When no client can be made.
    pub(crate) fn of_all(stack: &Stack, topic: &str, patience: Duration) -> Result<Self> {
        Self::of(stack, topic, NOBODY, patience)
    }

    /// Records behind the end.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub(crate) async fn records(&self) -> Result<i64> {
        let lag = self.clone();
        // librdkafka blocks the calling thread.
        tokio::task::spawn_blocking(move || lag.read()).await?
    }

    fn read(&self) -> Result<i64> {
        let metadata = self
            .client
            .fetch_metadata(Some(&self.topic), self.patience)?;
        let topic = metadata.topics().first().context("no such topic")?;
        let mut asked = TopicPartitionList::new();
        for partition in topic.partitions() {
            asked.add_partition(&self.topic, partition.id());
        }
        let committed = self.client.committed_offsets(asked, self.patience)?;
        let mut lag = 0;
        for partition in committed.elements() {
            let id = partition.partition();
            let (low, end) = self
                .client
                .fetch_watermarks(&self.topic, id, self.patience)?;
            let done = match partition.offset() {
                Offset::Offset(offset) => offset,
                _ => low,
            };
            lag += (end - done).max(0);
        }
        Ok(lag)
    }
}

impl std::fmt::Debug for ConsumerLag {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ConsumerLag")
            .finish_non_exhaustive()
    }
}

//! Publishes every event on both topics a second time, as a producer does that did not see the acknowledgement.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proto::topics::{ORDER_EVENTS, PROCESSING_EVENTS};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::site::Site;
use crate::system::{Topic, TopicRecord, record_of};

/// Timeout of one broker call.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a poll waits; then what was read is published.
const POLL: Duration = Duration::from_millis(20);

/// After the stop, this long without a record is the end of the topic.
const LAST_POLL: Duration = Duration::from_secs(1);

/// Records published at once.
const BATCH: usize = 200;

#[derive(Debug)]
pub(super) struct Redelivery {
    stop: DropGuard,
    topics: Vec<JoinHandle<Result<usize>>>,
}

impl Redelivery {
    /// Republishes what is published from now on.
    pub(super) fn start(site: &Site) -> Result<Self> {
        let stop = CancellationToken::new();
        let republish = |name| {
            let topic = Topic::of(&site.stack, name);
            let consumer = at_the_end(&topic)?;
            Ok(tokio::spawn(follow(topic, consumer, stop.clone())))
        };
        Ok(Self {
            topics: [ORDER_EVENTS, PROCESSING_EVENTS]
                .into_iter()
                .map(republish)
                .collect::<Result<_>>()?,
            stop: stop.drop_guard(),
        })
    }

    /// Stops; fails when a topic had no records, or not all could be published.
    pub(super) async fn end(self) -> Result<()> {
        drop(self.stop);
        for topic in self.topics {
            ensure!(topic.await?? > 0, "no event of a topic was delivered twice");
        }
        Ok(())
    }
}

fn at_the_end(topic: &Topic) -> Result<BaseConsumer> {
    let consumer = topic.consumer("compare-redelivery")?;
    let mut ends = TopicPartitionList::new();
    for partition in topic.partitions(&consumer)? {
        let (_, end) = consumer.fetch_watermarks(topic.name(), partition, ANSWER)?;
        ends.add_partition_offset(topic.name(), partition, Offset::Offset(end))?;
    }
    consumer.assign(&ends)?;
    Ok(consumer)
}

/// Returns the number of events that were published again.
async fn follow(topic: Topic, consumer: BaseConsumer, stop: CancellationToken) -> Result<usize> {
    let mut consumer = consumer;
    let mut seen = HashSet::new();
    let mut published = 0;
    loop {
        let (is_last, wait) = match stop.is_cancelled() {
            true => (true, LAST_POLL),
            false => (false, POLL),
        };
        let (back, read) = tokio::task::spawn_blocking(move || read(consumer, wait)).await?;
        consumer = back;
        let mut records = read?;
        if is_last && records.is_empty() {
            return Ok(published);
        }
        // The second delivery comes back from the topic, too.
        records.retain(|record| {
            record
                .header("ce_id")
                .is_some_and(|id| seen.insert(id.to_owned()))
        });
        topic.publish_together(&records).await?;
        published += records.len();
    }
}

/// What there is now, at most [`BATCH`].
fn read(consumer: BaseConsumer, wait: Duration) -> (BaseConsumer, Result<Vec<TopicRecord>>) {
    let mut records = Vec::new();
    while records.len() < BATCH {
        match consumer.poll(wait) {
            Some(Ok(message)) => records.push(record_of(&message)),
            Some(Err(error)) => return (consumer, Err(error).context("cannot read the events")),
            None => break,
        }
    }
    (consumer, Ok(records))
}

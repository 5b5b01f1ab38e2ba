//! Reads the outcomes of the asynchronous ways from the topic of processing-service, as their front does.

use std::time::Duration;

use anyhow::{Context as _, Result};
use native_headers::read_native;
use proto::event::ProcessingEvent;
use proto::record;
use proto::topics::PROCESSING_EVENTS;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::ledger::{Ledger, Outcome};

/// Timeout of one broker call.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a poll waits, and so the delay of a stop.
const POLL: Duration = Duration::from_millis(100);

/// A reader; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct OutcomeReader {
    _stop: DropGuard,
    _reading: JoinHandle<()>,
}

impl OutcomeReader {
    pub(super) fn start(brokers: String, ledger: Ledger) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let reading = tokio::task::spawn_blocking(move || {
            // Without the topic there are no outcomes, which the figures show.
            if let Err(error) = read(&brokers, &ledger, &stopped) {
                eprintln!("cannot read the outcomes: {error:#}");
            }
        });
        Self {
            _stop: stop.drop_guard(),
            _reading: reading,
        }
    }
}

fn read(brokers: &str, ledger: &Ledger, stop: &CancellationToken) -> Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // Partitions are assigned and nothing is committed: the group is never joined.
        .set("group.id", "compare")
        .set("enable.auto.commit", "false")
        // The embedded broker holds every fetch for its whole wait.
        .set("fetch.wait.max.ms", "20")
        .set("reconnect.backoff.max.ms", "200")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(PROCESSING_EVENTS), ANSWER)?;
    let topic = metadata.topics().first().context("no such topic")?;
    let mut partitions = TopicPartitionList::new();
    for partition in topic.partitions() {
        partitions.add_partition_offset(PROCESSING_EVENTS, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    while !stop.is_cancelled() {
        // An error is an outage of the broker: librdkafka reconnects.
        if let Some(Ok(message)) = consumer.poll(POLL) {
            note(&message, ledger);
        }
    }
    Ok(())
}

fn note(message: &BorrowedMessage<'_>, ledger: &Ledger) {
    let headers = message.headers().map(read_native).unwrap_or_default();
    let Ok(Some(received)) = record::decode::<ProcessingEvent>(&headers, message.payload()) else {
        return;
    };
    let order_id: Uuid = received.meta.order_id;
    match received.event {
        ProcessingEvent::OrderFulfilled(_) => ledger.ended(order_id, Outcome::Fulfilled),
        ProcessingEvent::OrderRejected(_) | ProcessingEvent::OrderCancelled(_) => {
            ledger.ended(order_id, Outcome::Undone);
        }
        ProcessingEvent::StockReserved(_) | ProcessingEvent::PaymentCaptured(_) => {}
    }
}

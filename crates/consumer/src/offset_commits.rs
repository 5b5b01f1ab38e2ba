//! Commits offsets to Kafka; the only file that does.
//!
//! `tracker.rs` says which offset may be committed. The poll thread starts a commit every 200 ms; a partition that is given
//! back is committed synchronously, because its new owner starts at the committed offset.

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::Instant;

use crate::instrumentation::ConsumerTelemetry;
use service::crash_points::{CrashPoint, Injected, reach};

/// How long the last commit of a revoked partition is retried while the group rebalances and refuses it. Without the retry
/// the new owner would get events again, on every rolling restart.
const RETRY_TIME: Duration = Duration::from_secs(2);

/// Between two such retries.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Starts a commit and does not wait for its result.
pub(super) fn start_commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
    telemetry: &ConsumerTelemetry,
) -> Result<(), KafkaError> {
    telemetry.committing(|| commit(consumer, offsets, CommitMode::Async))
}

/// Commits and waits for the result, on the poll thread. A commit that fails is logged: the next owner gets these events
/// again, and the inbox makes them no-ops.
pub(super) fn commit_and_wait<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
    telemetry: &ConsumerTelemetry,
) {
    let give_up_at = Instant::now() + RETRY_TIME;
    while let Err(error) = telemetry.committing(|| commit(consumer, offsets, CommitMode::Sync)) {
        if is_between_assignments(&error) && Instant::now() < give_up_at {
            std::thread::sleep(RETRY_PAUSE);
            continue;
        }
        tracing::warn!(error = %error, "offset commit failed, events will be delivered again");
        return;
    }
}

fn commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
    mode: CommitMode,
) -> Result<(), KafkaError> {
    reach(CrashPoint::BeforeOffsetCommit).map_err(failed_commit)?;
    consumer.commit(offsets, mode)?;
    reach(CrashPoint::AfterOffsetCommit).map_err(failed_commit)
}

/// An injected failure looks like one of the broker.
fn failed_commit(_: Injected) -> KafkaError {
    KafkaError::ConsumerCommit(RDKafkaErrorCode::RequestTimedOut)
}

/// Whether the commit was refused only because the group is rebalancing.
fn is_between_assignments(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::RebalanceInProgress)
}

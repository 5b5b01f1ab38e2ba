//! The rebalance callbacks: partitions are assigned, drained and given back.
//!
//! librdkafka calls them on the poll thread. On *assign*, each partition gets a queue and a task before the first record is
//! fetched. On *revoke*, the tasks are drained and their offsets are committed before the callback returns, because the
//! new owner then starts at the committed offset.
//!
//! Only the partitions that move are stopped. The tasks of the others continue with the records they have; until the
//! callback returns they get no more, because librdkafka fetches nothing for a member that has not answered a rebalance.
//! That is one reason for the deadline of the drain.
//!
//! A revoke of *lost* partitions (the session expired, other members may own them) does not wait and does not commit: it
//! stops reading at once, so that this member can join again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::attempts::Shared;
use crate::deleted_records;
use crate::instrumentation::ConsumerTelemetry;
use crate::offset_commits;
use crate::partition::RecordQueue;
use kafka::ErrorLog;
use kafka::record::Record;
use service::crash_points::{CrashPoint, reach};

mod assignments;

use assignments::Assignments;

/// The log facility of librdkafka for a failed commit. Commits are refused during a rebalance and made again after it, so
/// it is logged as a notice.
const COMMIT_FAILED: &str = "COMMITFAIL";

/// The rdkafka context of the consumer: it receives the callbacks.
pub(super) struct Context {
    telemetry: Arc<ConsumerTelemetry>,
    /// How long running handlers may take when their partition is revoked.
    drain: Duration,
    /// Weak, since the consumer owns this context.
    consumer: OnceLock<Weak<BaseConsumer<Self>>>,
    assignments: Mutex<Assignments>,
    broken: mpsc::Sender<String>,
    errors: ErrorLog,
}

impl Context {
    pub(super) fn new(
        shared: Arc<Shared>,
        runtime: Handle,
        drain: Duration,
        broken: mpsc::Sender<String>,
    ) -> Self {
        Self {
            telemetry: Arc::clone(&shared.telemetry),
            drain,
            consumer: OnceLock::new(),
            assignments: Mutex::new(Assignments::new(shared, runtime)),
            broken,
            errors: ErrorLog::default(),
        }
    }

    /// Logs an error of a poll.
    pub(super) fn report(&self, error: &KafkaError) {
        self.errors.report(error, "polling");
    }

    /// Must be called before the first poll: splitting queues needs the consumer.
    pub(super) fn attach(&self, consumer: &Arc<BaseConsumer<Self>>) {
        // A second call is a no-op: there is one consumer per context.
        let _ = self.consumer.set(Arc::downgrade(consumer));
    }

    /// Hands a record that arrived on the main queue to its partition.
    pub(super) fn stray(&self, record: Record) {
        self.telemetry.received(1);
        self.assignments().stray(record);
    }

    /// Commits the offsets that changed since the last call, asynchronously.
    pub(super) fn commit_progress(&self, consumer: &BaseConsumer<Self>) {
        let offsets = self.assignments().take_uncommitted();
        if offsets.count() == 0 || consumer.assignment_lost() {
            return;
        }
        let started = offset_commits::start_commit(consumer, &offsets, &self.telemetry);
        if let Err(error) = started {
            self.errors.report(&error, "offset commit failed");
        }
    }

    /// Lets the next [`Context::commit_progress`] commit all offsets again.
    pub(super) fn forget_committed(&self) {
        self.assignments().forget_committed();
    }

    /// Reports records that were deleted before they were read.
    pub(super) fn report_deleted(&self, consumer: &BaseConsumer<Self>) {
        let all = self.assignments().all_progress();
        for (partition, progress) in all {
            match deleted_records::deleted(consumer, self.topic(), partition, &progress) {
                Ok(deleted) => {
                    for jump in deleted {
                        self.telemetry.deleted_unread(partition, &jump);
                        progress.pass_deleted(&jump);
                    }
                }
                // The next partition would wait as long for its answer, and commits and a stop wait meanwhile.
                Err(error) => return self.errors.report(&error, "begin of a log not read"),
            }
        }
    }

    /// Gives all partitions back: a shutdown is a revoke of everything.
    pub(super) fn release_all(&self, consumer: &BaseConsumer<Self>) {
        let all = self.assignments().partitions();
        self.release(consumer, &all, self.drain);
    }

    fn assign(&self, partitions: &[i32]) {
        let Some(consumer) = self.consumer.get().and_then(Weak::upgrade) else {
            // The consumer is closing.
            return;
        };
        let committed = self.committed(&consumer, partitions);
        for &partition in partitions {
            let Some(queue) = consumer.split_partition_queue(self.topic(), partition) else {
                self.give_up(format!("partition {partition} has no queue"));
                return;
            };
            let committed = committed.get(&partition).copied();
            let queue = RecordQueue::new(queue);
            self.assignments().begin(partition, committed, queue);
        }
        self.telemetry.rebalanced(partitions);
    }

    /// The offsets at which the partitions are read on. Without them, consuming goes on, but records that were deleted
    /// before this assignment are not noticed.
    fn committed(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) -> HashMap<i32, i64> {
        if partitions.is_empty() {
            return HashMap::new();
        }
        let committed = deleted_records::committed(consumer, self.topic(), partitions);
        let committed = committed.inspect_err(|error| {
            let topic = self.topic();
            tracing::warn!(topic, ?partitions, %error, "committed offsets not read, records deleted before now are not noticed");
        });
        committed.unwrap_or_default().into_iter().collect()
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) {
        let lost = consumer.assignment_lost();
        tracing::info!(
            topic = self.topic(),
            ?partitions,
            lost,
            "partitions revoked"
        );
        self.telemetry.rebalanced(partitions);
        let drain = if lost { Duration::ZERO } else { self.drain };
        self.release(consumer, partitions, drain);
    }

    fn release(&self, consumer: &BaseConsumer<Self>, partitions: &[i32], drain: Duration) {
        // An injected failure skips the drain.
        let drain = reach(CrashPoint::InRevoke).map_or(Duration::ZERO, |()| drain);
        let deadline = Instant::now() + drain;
        let finished = self.assignments().drain(partitions, deadline);
        self.wait_until_drained(&finished, deadline);
        if consumer.assignment_lost() {
            // Other members own the partitions: a commit would move their offsets.
            tracing::warn!(
                topic = self.topic(),
                "partitions lost before the revoke, offsets not committed"
            );
        } else {
            self.commit_released(consumer, partitions);
        }
        self.assignments().end(partitions);
        self.telemetry.consumer_lag().end(partitions);
    }

    /// Returns when every task has reported or is gone, at the latest shortly after the deadline.
    fn wait_until_drained(&self, finished: &std::sync::mpsc::Receiver<()>, deadline: Instant) {
        // Tasks stop at the deadline by themselves; the margin is for their report.
        const MARGIN: Duration = Duration::from_millis(500);
        loop {
            let left = deadline.saturating_duration_since(Instant::now()) + MARGIN;
            match finished.recv_timeout(left) {
                Ok(()) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    tracing::warn!(topic = self.topic(), "partition drain timed out");
                    return;
                }
            }
        }
    }

    fn commit_released(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) {
        let offsets = self.assignments().progress(partitions);
        // An injected failure skips the commit.
        if offsets.count() == 0 || reach(CrashPoint::AfterDrain).is_err() {
            return;
        }
        offset_commits::commit_and_wait(consumer, &offsets, &self.telemetry);
    }

    fn give_up(&self, reason: String) {
        // The consumer stops with the first reason.
        let _ = self.broken.try_send(reason);
    }

    fn topic(&self) -> &str {
        &self.telemetry.config().topic
    }

    fn assignments(&self) -> MutexGuard<'_, Assignments> {
        // Consistent after every operation, so a panic elsewhere does not matter.
        self.assignments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn stats_raw(&self, statistics: &[u8]) {
        self.telemetry.consumer_lag().read(statistics);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == COMMIT_FAILED {
            self.errors.notice(COMMIT_FAILED, message);
        } else {
            kafka::log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.report(&error, reason);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.give_up(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => self.assign(&partition_numbers(partitions)),
            Rebalance::Revoke(partitions) => self.revoke(consumer, &partition_numbers(partitions)),
            Rebalance::Error(error) => tracing::warn!(error = %error, "rebalance failed"),
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // Commits that were on their way during the rebalance were refused.
        self.forget_committed();
        if let Rebalance::Assign(partitions) = rebalance {
            let partitions = partition_numbers(partitions);
            tracing::info!(topic = self.topic(), ?partitions, "partitions assigned");
        }
    }
}

fn partition_numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    let elements = partitions.elements();
    elements.iter().map(|element| element.partition()).collect()
}

//! Partitions come and go: what happens when the group assigns one or takes one back.
//!
//! librdkafka calls in here from the thread that polls. On *assign*, each partition gets a queue and a task before the
//! first record is fetched. On *revoke*, the tasks are drained and their progress is committed before the call
//! returns, because another member reads on from the committed offset the moment it does.
//!
//! Only the partitions that move are stopped. The tasks of the others go on with what they have read; until the call
//! returns they get no more, because librdkafka fetches nothing for a member that has not answered a rebalance. That
//! is one reason for the drain to have a deadline.
//!
//! A revoke of partitions that were *lost* (the session expired, so others may have them already) waits for nothing
//! and commits nothing: it gives up reading at once, so that this member can join again.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::assignment::Assignments;
use super::scope::Scope;
use kafka::ErrorLog;
use kafka::record::Record;
use service::crash_points::{CrashPoint, Injected, reach};

/// How long the last commit of a revoked partition is tried again while the group is between two assignments and
/// refuses it. Whoever takes the partition over would otherwise get events again, on every rolling restart.
const COMMIT_PATIENCE: Duration = Duration::from_secs(2);

/// Between two such tries.
const COMMIT_PAUSE: Duration = Duration::from_millis(100);

/// What librdkafka's log calls a commit that failed. It is refused for as long as a rebalance takes and made again
/// afterwards, so it is no more than a notice.
const COMMIT_FAILED: &str = "COMMITFAIL";

/// What librdkafka calls back into.
pub(super) struct Context {
    topic: &'static str,
    scope: Scope,
    runtime: Handle,
    /// How long handlers may finish what they have begun when their partition is revoked.
    drain: Duration,
    /// Weak, since the consumer owns this context.
    consumer: OnceLock<Weak<BaseConsumer<Self>>>,
    assignments: Mutex<Assignments>,
    broken: mpsc::Sender<String>,
    errors: ErrorLog,
}

impl Context {
    pub(super) fn new(
        topic: &'static str,
        scope: Scope,
        runtime: Handle,
        drain: Duration,
        broken: mpsc::Sender<String>,
    ) -> Self {
        Self {
            topic,
            scope,
            runtime,
            drain,
            consumer: OnceLock::new(),
            assignments: Mutex::new(Assignments::new(topic)),
            broken,
            errors: ErrorLog::default(),
        }
    }

    /// An error that a poll returned.
    pub(super) fn report(&self, error: &KafkaError) {
        self.errors.report(error, "polling");
    }

    /// Must be called before the first poll: splitting queues needs the consumer.
    pub(super) fn attach(&self, consumer: &Arc<BaseConsumer<Self>>) {
        // A second call changes nothing: there is one consumer per context.
        let _ = self.consumer.set(Arc::downgrade(consumer));
    }

    /// Hands a record that arrived on the main queue to its partition.
    pub(super) fn stray(&self, record: Record) {
        self.scope.telemetry().received(1);
        self.assignments().stray(record);
    }

    /// Commits what was completed since the last call, without waiting.
    pub(super) fn commit_progress(&self, consumer: &BaseConsumer<Self>) {
        let offsets = self.assignments().take_uncommitted();
        if offsets.count() == 0 || consumer.assignment_lost() {
            return;
        }
        let committed = self.commit(consumer, &offsets, CommitMode::Async);
        if let Err(error) = committed {
            self.errors.report(&error, "committing offsets");
        }
    }

    /// Lets the next call of [`Context::commit_progress`] commit everything, whether or not it did so before.
    pub(super) fn commit_again(&self) {
        self.assignments().commit_again();
    }

    /// Gives every partition back: a shutdown is a revoke of everything.
    pub(super) fn release_all(&self, consumer: &BaseConsumer<Self>) {
        let all = self.assignments().partitions();
        self.release(consumer, &all, Instant::now() + self.drain);
    }

    fn assign(&self, partitions: &[i32]) {
        let Some(consumer) = self.consumer.get().and_then(Weak::upgrade) else {
            // The consumer is closing.
            return;
        };
        for &partition in partitions {
            let Some(queue) = consumer.split_partition_queue(self.topic, partition) else {
                self.give_up(format!("partition {partition} has no queue"));
                return;
            };
            let scope = self.scope.for_partition();
            self.assignments()
                .begin(partition, queue, scope, &self.runtime);
        }
        self.scope.telemetry().rebalanced(partitions);
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) {
        let lost = consumer.assignment_lost();
        tracing::info!(topic = self.topic, ?partitions, lost, "partitions revoked");
        self.scope.telemetry().rebalanced(partitions);
        let retry_policy = if lost { Duration::ZERO } else { self.drain };
        self.release(consumer, partitions, Instant::now() + retry_policy);
    }

    fn release(&self, consumer: &BaseConsumer<Self>, partitions: &[i32], deadline: Instant) {
        // A drain that fails is one that is not waited for.
        let waits = reach(CrashPoint::InRevoke).is_ok();
        let deadline = if waits { deadline } else { Instant::now() };
        let finished = self.assignments().drain(partitions, deadline);
        self.wait_until_drained(&finished, deadline);
        if consumer.assignment_lost() {
            // The group has given the partitions to others: a commit would come too late and move their offsets.
            tracing::warn!(
                topic = self.topic,
                "partitions were lost before they could be given back"
            );
        } else {
            self.commit_released(consumer, partitions);
        }
        self.assignments().end(partitions);
        self.scope.telemetry().consumer_lag().end(partitions);
    }

    fn commit(
        &self,
        consumer: &BaseConsumer<Self>,
        offsets: &TopicPartitionList,
        mode: CommitMode,
    ) -> Result<(), KafkaError> {
        let telemetry = self.scope.telemetry();
        telemetry.committing(|| commit(consumer, offsets, mode))
    }

    /// Ends when every task has reported or is gone.
    fn wait_until_drained(&self, finished: &std::sync::mpsc::Receiver<()>, deadline: Instant) {
        // Tasks give up at the deadline by themselves; the margin lets them say so.
        const MARGIN: Duration = Duration::from_millis(500);
        loop {
            let left = deadline.saturating_duration_since(Instant::now()) + MARGIN;
            match finished.recv_timeout(left) {
                Ok(()) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    tracing::warn!(topic = self.topic, "a partition was not drained in time");
                    return;
                }
            }
        }
    }

    fn commit_released(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) {
        let offsets = self.assignments().progress(partitions);
        // What fails between the drain and the commit costs the commit.
        if offsets.count() == 0 || reach(CrashPoint::AfterDrain).is_err() {
            return;
        }
        let retry_policy = Instant::now() + COMMIT_PATIENCE;
        while let Err(error) = self.commit(consumer, &offsets, CommitMode::Sync) {
            if is_between_assignments(&error) && Instant::now() < retry_policy {
                std::thread::sleep(COMMIT_PAUSE);
                continue;
            }
            // Nothing is lost: the next reader gets these events again and finds them in the inbox.
            tracing::warn!(error = %error, "offsets were not committed, events will be delivered again");
            return;
        }
    }

    fn give_up(&self, reason: String) {
        // One reason is enough: the consumer stops at the first.
        let _ = self.broken.try_send(reason);
    }

    fn assignments(&self) -> MutexGuard<'_, Assignments> {
        // Whole after every operation: a panic elsewhere does not spoil it.
        self.assignments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn stats_raw(&self, statistics: &[u8]) {
        self.scope.telemetry().consumer_lag().read(statistics);
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
        // What was on its way while the group rebalanced was refused.
        self.commit_again();
        if let Rebalance::Assign(partitions) = rebalance {
            let partitions = partition_numbers(partitions);
            tracing::info!(topic = self.topic, ?partitions, "partitions assigned");
        }
    }
}

fn commit(
    consumer: &BaseConsumer<Context>,
    offsets: &TopicPartitionList,
    mode: CommitMode,
) -> Result<(), KafkaError> {
    reach(CrashPoint::BeforeOffsetCommit).map_err(failed_commit)?;
    consumer.commit(offsets, mode)?;
    reach(CrashPoint::AfterOffsetCommit).map_err(failed_commit)
}

/// A failure that a test wants looks like one of the broker's.
fn failed_commit(_: Injected) -> KafkaError {
    KafkaError::ConsumerCommit(RDKafkaErrorCode::RequestTimedOut)
}

/// Whether the group refuses a commit only because it is about to assign its partitions anew.
fn is_between_assignments(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::RebalanceInProgress)
}

fn partition_numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    let elements = partitions.elements();
    elements.iter().map(|element| element.partition()).collect()
}

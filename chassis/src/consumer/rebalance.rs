//! Partitions come and go: what happens when the group assigns one or takes one back.
//!
//! librdkafka calls in here from the thread that polls. On *assign*, each partition gets a queue and a task before the
//! first record is fetched. On *revoke*, the tasks are drained and their progress is committed before the call
//! returns, because another member reads on from the committed offset the moment it does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::delivery::Record;
use super::partition::{Command, Partition, Progress};
use super::work::Scope;
use crate::kafka::ErrorLog;

/// How long handlers may finish what they have begun when their partition is revoked. The group waits for us that
/// long, so it stays below the session timeout of 10 s.
pub(super) const DRAIN: Duration = Duration::from_secs(8);

/// A partition that is assigned to this member.
struct Assigned {
    commands: mpsc::UnboundedSender<Command>,
    progress: Arc<Progress>,
    committed: Option<i64>,
}

/// What librdkafka calls back into.
pub(super) struct Context {
    topic: &'static str,
    scope: Scope,
    runtime: Handle,
    /// Weak, since the consumer owns this context.
    consumer: OnceLock<Weak<BaseConsumer<Self>>>,
    assigned: Mutex<HashMap<i32, Assigned>>,
    broken: mpsc::Sender<String>,
    errors: ErrorLog,
}

impl Context {
    pub(super) fn new(
        topic: &'static str,
        scope: Scope,
        runtime: Handle,
        broken: mpsc::Sender<String>,
    ) -> Self {
        Self {
            topic,
            scope,
            runtime,
            consumer: OnceLock::new(),
            assigned: Mutex::default(),
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
        if let Some(assigned) = self.assigned().get(&record.partition) {
            // A task that is gone was revoked: the record will be delivered to whoever has the partition now.
            let _ = assigned.commands.send(Command::Stray(record));
        }
    }

    /// Commits what was completed since the last call, without waiting.
    pub(super) fn commit_progress(&self, consumer: &BaseConsumer<Self>) {
        let offsets = self.uncommitted(None);
        if offsets.count() == 0 {
            return;
        }
        if let Err(error) = consumer.commit(&offsets, CommitMode::Async) {
            tracing::warn!(error = %error, "offsets were not committed");
        }
    }

    /// Gives every partition back: a shutdown is a revoke of everything.
    pub(super) fn release_all(&self, consumer: &BaseConsumer<Self>, deadline: Instant) {
        let all: Vec<i32> = self.assigned().keys().copied().collect();
        self.release(consumer, &all, deadline);
    }

    fn assign(&self, partitions: &TopicPartitionList) {
        let Some(consumer) = self.consumer.get().and_then(Weak::upgrade) else {
            return;
        };
        for partition in partition_numbers(partitions) {
            let Some(queue) = consumer.split_partition_queue(self.topic, partition) else {
                self.give_up(format!("partition {partition} has no queue"));
                return;
            };
            let (commands, receiver) = mpsc::unbounded_channel();
            let progress = Arc::new(Progress::default());
            let scope = self.scope.for_partition();
            let task = Partition::new(queue, receiver, Arc::clone(&progress), scope);
            self.runtime.spawn(task.run());
            let assigned = Assigned {
                commands,
                progress,
                committed: None,
            };
            // The task of an earlier assignment, were there one, ends when its sender is dropped here.
            self.assigned().insert(partition, assigned);
        }
    }

    fn release(&self, consumer: &BaseConsumer<Self>, partitions: &[i32], deadline: Instant) {
        let (drained, finished) = std::sync::mpsc::sync_channel(partitions.len());
        for partition in partitions {
            if let Some(assigned) = self.assigned().get(partition) {
                let drained = drained.clone();
                let _ = assigned.commands.send(Command::Drain { deadline, drained });
            }
        }
        drop(drained);
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
        let mut assigned = self.assigned();
        partitions.iter().for_each(|partition| {
            assigned.remove(partition);
        });
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
        let offsets = self.uncommitted(Some(partitions));
        if offsets.count() == 0 {
            return;
        }
        if let Err(error) = consumer.commit(&offsets, CommitMode::Sync) {
            // Nothing is lost: the next reader gets these events again and finds them in the inbox.
            tracing::warn!(error = %error, "offsets were not committed, events will be delivered again");
        }
    }

    /// The progress not committed yet, of some partitions or of all, noted as committed.
    fn uncommitted(&self, partitions: Option<&[i32]>) -> TopicPartitionList {
        let mut offsets = TopicPartitionList::new();
        for (partition, assigned) in self.assigned().iter_mut() {
            let wanted = partitions.is_none_or(|wanted| wanted.contains(partition));
            let committable = assigned.progress.committable();
            if !wanted || committable == assigned.committed {
                continue;
            }
            if let Some(offset) = committable
                && offsets
                    .add_partition_offset(self.topic, *partition, Offset::Offset(offset))
                    .is_ok()
            {
                assigned.committed = committable;
            }
        }
        offsets
    }

    /// Forgets what was taken for committed, so that the next round commits it again.
    fn commit_again(&self) {
        self.assigned()
            .values_mut()
            .for_each(|assigned| assigned.committed = None);
    }

    fn give_up(&self, reason: String) {
        // One reason is enough: the consumer stops at the first.
        let _ = self.broken.try_send(reason);
    }

    fn assigned(&self) -> MutexGuard<'_, HashMap<i32, Assigned>> {
        // The map is whole after every operation: a panic elsewhere does not spoil it.
        self.assigned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::kafka::log(level, facility, message);
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
            Rebalance::Assign(partitions) => self.assign(partitions),
            Rebalance::Revoke(partitions) => {
                let partitions: Vec<i32> = partition_numbers(partitions).collect();
                tracing::info!(topic = self.topic, ?partitions, "partitions revoked");
                self.release(consumer, &partitions, Instant::now() + DRAIN);
            }
            Rebalance::Error(error) => tracing::warn!(error = %error, "rebalance failed"),
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            let partitions: Vec<i32> = partition_numbers(partitions).collect();
            tracing::info!(topic = self.topic, ?partitions, "partitions assigned");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!(error = %error, "offsets were not committed");
            self.commit_again();
        }
    }
}

fn partition_numbers(partitions: &TopicPartitionList) -> impl Iterator<Item = i32> {
    let numbers: Vec<i32> = partitions
        .elements()
        .iter()
        .map(|element| element.partition())
        .collect();
    numbers.into_iter()
}

//! The partitions assigned to this member, as the poll thread sees them.

use std::collections::HashMap;
use std::sync::Arc;

use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::instrumentation::ConsumerTelemetry;
use crate::partition::{Command, Drain, Epoch, InFlight, Partition, PollLinks};
use crate::partition_session::PartitionSession;
use crate::record_queue::RecordQueue;
use crate::retries::Worker;
use crate::retry_store::TopicPartition;
use crate::tracker::Progress;
use kafka::record::Record;

/// The current assignments, and for each partition the task of the previous one.
pub(super) struct Assignments {
    telemetry: Arc<ConsumerTelemetry>,
    topic: &'static str,
    current: HashMap<i32, Assigned>,
    /// Tasks of ended assignments: their running handlers are taken over when the partition comes back.
    ended: HashMap<i32, JoinHandle<InFlight>>,
    epoch: Epoch,
}

struct Assigned {
    queue: Arc<RecordQueue>,
    commands: mpsc::UnboundedSender<Command>,
    progress: Arc<Progress>,
    committed: Option<i64>,
    task: JoinHandle<InFlight>,
}

impl Assignments {
    pub(super) fn new(telemetry: Arc<ConsumerTelemetry>) -> Self {
        Self {
            topic: telemetry.config().topic,
            telemetry,
            current: HashMap::new(),
            ended: HashMap::new(),
            epoch: Epoch::default(),
        }
    }

    /// The numbers of all assigned partitions.
    pub(super) fn partitions(&self) -> Vec<i32> {
        self.current.keys().copied().collect()
    }

    /// Starts the task of a new assignment.
    pub(super) fn begin(
        &mut self,
        partition: i32,
        queue: RecordQueue,
        worker: Worker,
        runtime: &Handle,
    ) {
        self.epoch = Epoch(self.epoch.0 + 1);
        let (queue, progress) = (Arc::new(queue), Arc::<Progress>::default());
        let consumer_lag = self.telemetry.consumer_lag();
        consumer_lag.begin(partition, Arc::clone(&progress));
        let topic = self.topic.to_owned();
        let session = PartitionSession::new(
            Arc::clone(worker.retry_store()),
            TopicPartition { topic, partition },
        );
        let (commands, receiver) = mpsc::unbounded_channel();
        let links = PollLinks {
            queue: Arc::clone(&queue),
            commands: receiver,
            progress: Arc::clone(&progress),
        };
        let telemetry = Arc::clone(&self.telemetry);
        let task = Partition::new(self.epoch, session, links, worker, telemetry);
        let previous = self.ended.remove(&partition);
        let assigned = Assigned {
            queue,
            commands,
            progress,
            committed: None,
            task: runtime.spawn(task.run(previous)),
        };
        self.current.insert(partition, assigned);
    }

    /// Hands a record that arrived on the main queue to its partition.
    pub(super) fn stray(&self, record: Record) {
        if let Some(assigned) = self.current.get(&record.partition) {
            // The task is gone after a revoke: the record is delivered to the new owner.
            let _ = assigned.commands.send(Command::Stray(record));
        }
    }

    /// Closes the queues of these partitions at once, and asks their tasks to finish the in-flight events. Each task that
    /// has finished sends a message; the channel is closed when all have ended.
    pub(super) fn drain(
        &self,
        partitions: &[i32],
        deadline: Instant,
    ) -> std::sync::mpsc::Receiver<()> {
        let (drained, finished) = std::sync::mpsc::sync_channel(partitions.len());
        for assigned in partitions
            .iter()
            .filter_map(|partition| self.current.get(partition))
        {
            assigned.queue.close();
            let drained = drained.clone();
            let command = Drain { deadline, drained };
            let _ = assigned.commands.send(Command::Drain(command));
        }
        finished
    }

    /// Removes these assignments; their running handlers are kept for the next ones.
    pub(super) fn end(&mut self, partitions: &[i32]) {
        for partition in partitions {
            if let Some(assigned) = self.current.remove(partition) {
                self.ended.insert(*partition, assigned.task);
            }
        }
    }

    /// The offsets of these partitions, committed before or not: that commit may have failed.
    pub(super) fn progress(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut offsets = TopicPartitionList::new();
        for partition in partitions {
            let assigned = self.current.get(partition);
            if let Some(offset) = assigned.and_then(|assigned| assigned.progress.committable()) {
                add(&mut offsets, self.topic, *partition, offset);
            }
        }
        offsets
    }

    /// The offsets that changed since the last call. They count as committed, although the result of an asynchronous commit
    /// is never reported.
    pub(super) fn take_uncommitted(&mut self) -> TopicPartitionList {
        let mut offsets = TopicPartitionList::new();
        for (partition, assigned) in &mut self.current {
            let committable = assigned.progress.committable();
            if let Some(offset) = committable
                && committable != assigned.committed
            {
                add(&mut offsets, self.topic, *partition, offset);
                assigned.committed = committable;
            }
        }
        offsets
    }

    /// Lets the next [`Self::take_uncommitted`] return all offsets again.
    pub(super) fn commit_again(&mut self) {
        self.current
            .values_mut()
            .for_each(|assigned| assigned.committed = None);
    }
}

fn add(offsets: &mut TopicPartitionList, topic: &str, partition: i32, offset: i64) {
    // Fails only for negative offsets, which no record has.
    let _ = offsets.add_partition_offset(topic, partition, Offset::Offset(offset));
}

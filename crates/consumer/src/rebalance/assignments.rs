//! The partitions assigned to this member, as the poll thread sees them.

use std::collections::HashMap;
use std::sync::Arc;

use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::attempts::Shared;
use crate::partition::{Command, Drain, Partition, PartitionTask, PollLinks, RecordQueue};
use crate::supervised::supervised;
use crate::tracker::Progress;
use kafka::record::Record;

/// The current assignments, and for each partition the task of the previous one.
pub(super) struct Assignments {
    shared: Arc<Shared>,
    runtime: Handle,
    current: HashMap<i32, Assigned>,
    /// Tasks of ended assignments: their running handlers are taken over when the partition comes back.
    ended: HashMap<i32, PartitionTask>,
}

struct Assigned {
    queue: Arc<RecordQueue>,
    commands: mpsc::UnboundedSender<Command>,
    progress: Arc<Progress>,
    committed: Option<i64>,
    task: PartitionTask,
}

impl Assignments {
    /// The tasks run on `runtime`.
    pub(super) fn new(shared: Arc<Shared>, runtime: Handle) -> Self {
        Self {
            shared,
            runtime,
            current: HashMap::new(),
            ended: HashMap::new(),
        }
    }

    /// The numbers of all assigned partitions.
    pub(super) fn partitions(&self) -> Vec<i32> {
        self.current.keys().copied().collect()
    }

    /// The progress of all assigned partitions.
    pub(super) fn all_progress(&self) -> Vec<(i32, Arc<Progress>)> {
        let current = self.current.iter();
        current
            .map(|(partition, assigned)| (*partition, Arc::clone(&assigned.progress)))
            .collect()
    }

    /// Starts the task of a new assignment; `committed` is the offset of the group, if it has one.
    pub(super) fn begin(&mut self, partition: i32, committed: Option<i64>, queue: RecordQueue) {
        let progress = Arc::new(Progress::starting_at(committed));
        let queue = Arc::new(queue);
        let consumer_lag = self.shared.telemetry.consumer_lag();
        consumer_lag.begin(partition, Arc::clone(&progress));
        let (commands, receiver) = mpsc::unbounded_channel();
        let links = PollLinks {
            queue: Arc::clone(&queue),
            commands: receiver,
            progress: Arc::clone(&progress),
        };
        let task = Partition::new(Arc::clone(&self.shared), partition, links);
        let task = task.run(self.ended.remove(&partition));
        let task = supervised("partition", self.shared.fatal.clone(), task);
        let assigned = Assigned {
            queue,
            commands,
            progress,
            committed: None,
            task: self.runtime.spawn(task),
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
            let command = Command::Drain(Drain { deadline, drained });
            let _ = assigned.commands.send(command);
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
        let assigned = partitions
            .iter()
            .map(|partition| (*partition, self.current.get(partition)));
        self.offsets(assigned.filter_map(|(partition, assigned)| {
            Some((partition, assigned?.progress.offsets().committable?))
        }))
    }

    /// The offsets that changed since the last call. They count as committed, although the result of an asynchronous commit
    /// is never reported.
    pub(super) fn take_uncommitted(&mut self) -> TopicPartitionList {
        let mut changed = Vec::new();
        for (partition, assigned) in &mut self.current {
            let committable = assigned.progress.offsets().committable;
            if let Some(offset) = committable
                && committable != assigned.committed
            {
                changed.push((*partition, offset));
                assigned.committed = committable;
            }
        }
        self.offsets(changed)
    }

    fn offsets(&self, progress: impl IntoIterator<Item = (i32, i64)>) -> TopicPartitionList {
        let topic = &self.shared.config().topic;
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in progress {
            // Fails only for negative offsets, which no record has.
            let _ = offsets.add_partition_offset(topic, partition, Offset::Offset(offset));
        }
        offsets
    }

    /// Lets the next [`Self::take_uncommitted`] return all offsets again.
    pub(super) fn forget_committed(&mut self) {
        self.current
            .values_mut()
            .for_each(|assigned| assigned.committed = None);
    }
}

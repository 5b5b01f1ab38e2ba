//! The partitions that are assigned to this member, as the poll thread sees them.

use std::collections::HashMap;
use std::sync::Arc;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::command::{Command, Drain};
use super::in_flight::{Epoch, InFlight};
use super::partition::Partition;
use super::progress::Progress;
use super::rebalance::Context;
use super::scope::Scope;
use super::source::Source;
use kafka::record::Record;

/// Every assignment that lasts, and for each partition the end of the one before.
pub(super) struct Assignments {
    topic: &'static str,
    current: HashMap<i32, Assigned>,
    /// Tasks of assignments that ended: what they left running is taken over when their partition comes back.
    ended: HashMap<i32, JoinHandle<InFlight>>,
    epoch: Epoch,
}

/// A partition that is assigned to this member.
struct Assigned {
    source: Arc<Source>,
    commands: mpsc::UnboundedSender<Command>,
    progress: Arc<Progress>,
    committed: Option<i64>,
    task: JoinHandle<InFlight>,
}

impl Assignments {
    pub(super) fn new(topic: &'static str) -> Self {
        Self {
            topic,
            current: HashMap::new(),
            ended: HashMap::new(),
            epoch: Epoch::default(),
        }
    }

    /// The numbers of all partitions that are assigned.
    pub(super) fn partitions(&self) -> Vec<i32> {
        self.current.keys().copied().collect()
    }

    /// Starts the task of a new assignment.
    pub(super) fn begin(
        &mut self,
        partition: i32,
        queue: PartitionQueue<Context>,
        scope: Arc<Scope>,
        runtime: &Handle,
    ) {
        self.epoch = Epoch(self.epoch.0 + 1);
        let source = Arc::new(Source::new(queue));
        let progress = Arc::new(Progress::default());
        let consumer_lag = scope.telemetry().consumer_lag();
        consumer_lag.begin(partition, Arc::clone(&progress));
        let (commands, receiver) = mpsc::unbounded_channel();
        let task = Partition::new(
            (self.epoch, partition),
            Arc::clone(&source),
            receiver,
            Arc::clone(&progress),
            scope,
        );
        let before = self.ended.remove(&partition);
        let assigned = Assigned {
            source,
            commands,
            progress,
            committed: None,
            task: runtime.spawn(task.run(before)),
        };
        self.current.insert(partition, assigned);
    }

    /// Hands a record that arrived on the main queue to its partition.
    pub(super) fn stray(&self, record: Record) {
        if let Some(assigned) = self.current.get(&record.partition) {
            // A task that is gone was revoked: the record will be delivered to whoever has the partition now.
            let _ = assigned.commands.send(Command::Stray(record));
        }
    }

    /// Stops the reading of these partitions at once, and asks their tasks to finish what they have begun. The channel
    /// gets a message from each task that did, and is closed when all have ended.
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
            assigned.source.close();
            let drained = drained.clone();
            let order = Drain { deadline, drained };
            let _ = assigned.commands.send(Command::Drain(order));
        }
        finished
    }

    /// Forgets these assignments, except for what they left running.
    pub(super) fn end(&mut self, partitions: &[i32]) {
        for partition in partitions {
            if let Some(assigned) = self.current.remove(partition) {
                self.ended.insert(*partition, assigned.task);
            }
        }
    }

    /// The progress of these partitions, whether or not it was committed before: that commit may have failed.
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

    /// The progress of all partitions that was not committed yet. It is noted as committed, although nobody will tell
    /// whether it was.
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

    /// Forgets what is noted as committed, so that the next round commits it again.
    pub(super) fn commit_again(&mut self) {
        self.current
            .values_mut()
            .for_each(|assigned| assigned.committed = None);
    }
}

fn add(offsets: &mut TopicPartitionList, topic: &str, partition: i32, offset: i64) {
    // Fails for negative offsets only, which no record has.
    let _ = offsets.add_partition_offset(topic, partition, Offset::Offset(offset));
}

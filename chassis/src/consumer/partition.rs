//! The task that works through one partition for as long as one assignment of it lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rdkafka::consumer::base_consumer::PartitionQueue;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::delivery::Record;
use super::lanes::{LaneKey, Lanes, Turn};
use super::rebalance::Context;
use super::tracker::OffsetTracker;
use super::work::{Outcome, Scope, Work};

/// Records taken in before the task looks at its other duties again.
const READ_BATCH: usize = 128;

/// A partition is not read while this many offsets would be delivered again after a restart: it bounds the memory that
/// one stuck key can make the others fill.
const MAX_SPAN: u64 = 10_000;

/// The queue signals when it turns from empty to filled. A signal that librdkafka coalesced with an event of its own
/// would be missed; looking this often makes that harmless.
const RECHECK: Duration = Duration::from_millis(100);

/// What the poll thread tells a partition's task.
#[derive(Debug)]
pub(super) enum Command {
    /// A record of this partition that arrived on the consumer's main queue, as librdkafka reserves itself to do.
    Stray(Record),
    /// Finish what is in work until the deadline, give the queue back, then say so.
    Drain {
        /// How long handlers may still take.
        deadline: Instant,
        /// Dropped unused if the task is gone.
        drained: std::sync::mpsc::SyncSender<()>,
    },
}

/// What may be committed, written by the partition's task and read by the poll thread.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicI64);

impl Progress {
    /// The offset to commit, if anything was done yet.
    pub(super) fn committable(&self) -> Option<i64> {
        // Stored one higher, so that zero can mean "nothing yet".
        match self.0.load(Ordering::Acquire) {
            0 => None,
            stored => Some(stored - 1),
        }
    }

    fn publish(&self, offset: i64) {
        self.0.store(offset + 1, Ordering::Release);
    }
}

/// The task of one partition.
pub(super) struct Partition {
    queue: PartitionQueue<Context>,
    filled: Arc<Notify>,
    commands: mpsc::UnboundedReceiver<Command>,
    progress: Arc<Progress>,
    scope: Scope,
    tracker: OffsetTracker,
    lanes: Lanes,
    in_work: JoinSet<Outcome>,
    /// Whether the queue was empty when last looked at.
    queue_is_empty: bool,
}

impl Partition {
    pub(super) fn new(
        mut queue: PartitionQueue<Context>,
        commands: mpsc::UnboundedReceiver<Command>,
        progress: Arc<Progress>,
        scope: Scope,
    ) -> Self {
        let filled = Arc::new(Notify::new());
        let signal = Arc::clone(&filled);
        queue.set_nonempty_callback(move || signal.notify_one());
        Self {
            queue,
            filled,
            commands,
            progress,
            scope,
            tracker: OffsetTracker::default(),
            lanes: Lanes::default(),
            in_work: JoinSet::new(),
            queue_is_empty: false,
        }
    }

    /// Works until the partition is revoked, or until the consumer that owns it is gone.
    pub(super) async fn run(mut self) {
        loop {
            // Biased: a revoke must not wait behind a backlog, and finished work makes room before more is read.
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(Command::Stray(record)) => self.take_in(record),
                    Some(Command::Drain { deadline, drained }) => return self.drain(deadline, drained).await,
                    None => return,
                },
                Some(finished) = self.in_work.join_next() => self.finish(finished),
                () = wait_until_filled(&self.filled, self.queue_is_empty), if self.has_room() => self.read(),
            }
        }
    }

    fn has_room(&self) -> bool {
        self.lanes.len() < self.scope.max_records_per_partition() && self.tracker.span() < MAX_SPAN
    }

    fn read(&mut self) {
        for _ in 0..READ_BATCH {
            match self.queue.poll(Duration::ZERO) {
                None => {
                    self.queue_is_empty = true;
                    return;
                }
                Some(Err(error)) => tracing::warn!(error = %error, "a partition could not be read"),
                Some(Ok(message)) => {
                    let record = Record::from(&message);
                    drop(message);
                    self.take_in(record);
                }
            }
        }
        self.queue_is_empty = false;
    }

    fn take_in(&mut self, record: Record) {
        if !self.tracker.receive(record.offset) {
            return;
        }
        if let Some(turn) = self.lanes.enter(record) {
            self.start(turn);
        }
    }

    fn start(&mut self, (record, lane): Turn) {
        let work = Work::new(self.scope.clone(), record, lane);
        self.in_work.spawn(work.run());
    }

    fn finish(&mut self, finished: Result<Outcome, tokio::task::JoinError>) {
        let Ok(outcome) = finished else {
            // A handler's panic is caught where the handler is called, so this is the runtime going down.
            return;
        };
        if let Outcome::Done(record) = outcome {
            self.tracker.complete(record.offset);
            self.publish_progress();
            if let Some(turn) = self.lanes.leave(&LaneKey::of(&record)) {
                self.start(turn);
            }
        }
    }

    fn publish_progress(&self) {
        if let Some(offset) = self.tracker.committable() {
            self.progress.publish(offset);
        }
    }

    async fn drain(mut self, deadline: Instant, drained: std::sync::mpsc::SyncSender<()>) {
        self.lanes.drop_waiting();
        self.scope.stop_waiting();
        while let Ok(Some(finished)) =
            tokio::time::timeout_at(deadline, self.in_work.join_next()).await
        {
            self.finish(finished);
        }
        // What is still running may finish: it is not committed, will be delivered again, and the inbox drops it then.
        self.in_work.detach_all();
        // The queue keeps the consumer alive: it must be gone before the poll thread goes on.
        drop(self.queue);
        let _ = drained.send(());
    }
}

async fn wait_until_filled(filled: &Notify, queue_is_empty: bool) {
    if queue_is_empty {
        // Either way the queue is looked at.
        let _ = tokio::time::timeout(RECHECK, filled.notified()).await;
    }
}

//! The task that works through one partition for as long as one assignment of it lasts.
//!
//! A handler that is not done when the drain of a revoke ends is left to itself: it cannot be stopped without tearing
//! its effect apart. It outlives its assignment, and the same partition may be assigned to this process again while it
//! runs. Two rules keep that safe:
//!
//! * **One handler per key.** The next assignment takes over the lanes of what is still running ([`Leftovers`]). The
//!   event comes again, since it was not committed, and waits in its lane until the old handler has ended. The other
//!   keys do not wait.
//! * **An old completion moves no offset.** What ends carries the epoch of its assignment. The tracker of another
//!   epoch knows nothing of it, so the event counts as done only once its new delivery is.
//!
//! Between two processes the first rule cannot hold: Kafka gives the partition to another member although our handler
//! runs. There the inbox row in the handler's transaction decides which of the two takes effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;

use super::delivery::Record;
use super::lanes::{LaneKey, Lanes, Turn};
use super::source::Source;
use super::tracker::OffsetTracker;
use super::work::{Outcome, Scope, Work};

/// Records taken in before the task looks at its other duties again.
const READ_BATCH: usize = 128;

/// A partition is not read while this many offsets would be delivered again after a restart: it bounds the memory that
/// one stuck key can make the others fill.
const MAX_SPAN: u64 = 10_000;

/// Which assignment something belongs to: each assignment of any partition has its own number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Epoch(pub(super) u64);

/// What the poll thread tells a partition's task.
#[derive(Debug)]
pub(super) enum Command {
    /// A record of this partition that arrived on the consumer's main queue, as librdkafka reserves itself to do.
    Stray(Record),
    /// Finish what is in work until the deadline, then say so. The source is closed already.
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

/// Work that ended, and the assignment that it was begun in.
#[derive(Debug)]
struct Finished {
    epoch: Epoch,
    record: Arc<Record>,
    outcome: Outcome,
}

/// What an assignment left running when it ended: handlers, and the lanes that they occupy.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    in_work: JoinSet<Finished>,
    lanes: Lanes,
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        // Dropping the set would cut the handlers off. What they finish is not committed, will be delivered again, and
        // the inbox drops it then.
        self.in_work.detach_all();
    }
}

/// The task of one partition.
pub(super) struct Partition {
    epoch: Epoch,
    source: Arc<Source>,
    commands: mpsc::UnboundedReceiver<Command>,
    progress: Arc<Progress>,
    scope: Scope,
    tracker: OffsetTracker,
    /// All that runs, and its lanes; what earlier assignments left is among it.
    running: Leftovers,
    /// How much of that belongs to this assignment.
    own_in_work: usize,
    /// Whether the source was empty when last looked at.
    source_is_empty: bool,
}

impl Partition {
    pub(super) fn new(
        epoch: Epoch,
        source: Arc<Source>,
        commands: mpsc::UnboundedReceiver<Command>,
        progress: Arc<Progress>,
        scope: Scope,
    ) -> Self {
        Self {
            epoch,
            source,
            commands,
            progress,
            scope,
            tracker: OffsetTracker::default(),
            running: Leftovers::default(),
            own_in_work: 0,
            source_is_empty: false,
        }
    }

    /// Works until the partition is revoked, or until the consumer that owns it is gone. Begins when the task of the
    /// assignment before has ended, and takes over what that one left running.
    pub(super) async fn run(mut self, before: Option<JoinHandle<Leftovers>>) -> Leftovers {
        if let Some(before) = before {
            // It has its orders to end. If it was lost with its runtime, it left nothing.
            self.running = before.await.unwrap_or_default();
        }
        loop {
            // Biased: a revoke must not wait behind a backlog, and finished work makes room before more is read.
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(Command::Stray(record)) => self.take_in(record),
                    Some(Command::Drain { deadline, drained }) => return self.drain(deadline, drained).await,
                    None => return self.running,
                },
                Some(finished) = self.running.in_work.join_next() => self.finish(finished),
                () = wait_until_filled(&self.source, self.source_is_empty), if self.has_room() => self.read(),
            }
        }
    }

    fn has_room(&self) -> bool {
        self.running.lanes.len() < self.scope.max_records_per_partition()
            && self.tracker.span() < MAX_SPAN
    }

    fn read(&mut self) {
        let records = self.source.read(READ_BATCH);
        self.source_is_empty = records.len() < READ_BATCH;
        for record in records {
            self.take_in(record);
        }
    }

    fn take_in(&mut self, record: Record) {
        if !self.tracker.receive(record.offset) {
            return;
        }
        if let Some(turn) = self.running.lanes.enter(record) {
            self.start(turn);
        }
    }

    fn start(&mut self, (record, lane): Turn) {
        let epoch = self.epoch;
        let work = Work::new(self.scope.clone(), Arc::clone(&record), lane);
        self.own_in_work += 1;
        self.running.in_work.spawn(async move {
            Finished {
                epoch,
                record,
                outcome: work.run().await,
            }
        });
    }

    fn finish(&mut self, finished: Result<Finished, JoinError>) {
        let Ok(finished) = finished else {
            // A handler's panic is caught where the handler is called, so this is the runtime going down.
            return;
        };
        if finished.epoch == self.epoch && !self.finish_own(&finished) {
            return;
        }
        let lane = LaneKey::of(&finished.record);
        if let Some(turn) = self.running.lanes.leave(&lane) {
            self.start(turn);
        }
    }

    /// Notes the end of work of this assignment; `false` if its lane must stay closed.
    fn finish_own(&mut self, finished: &Finished) -> bool {
        self.own_in_work -= 1;
        match finished.outcome {
            Outcome::Done => {
                self.tracker.complete(finished.record.offset);
                self.publish_progress();
                true
            }
            // Interrupted without a drain, it failed for good: the consumer is stopping, and until then nothing of the
            // same key may pass it.
            Outcome::Interrupted => self.scope.is_draining(),
        }
    }

    fn publish_progress(&self) {
        if let Some(offset) = self.tracker.committable() {
            self.progress.publish(offset);
        }
    }

    async fn drain(
        mut self,
        deadline: Instant,
        drained: std::sync::mpsc::SyncSender<()>,
    ) -> Leftovers {
        self.running.lanes.drop_waiting();
        self.scope.stop_waiting();
        // What an earlier assignment left is not waited for: it moves no offset.
        while self.own_in_work > 0
            && let Ok(Some(finished)) =
                tokio::time::timeout_at(deadline, self.running.in_work.join_next()).await
        {
            self.finish(finished);
        }
        let _ = drained.send(());
        self.running
    }
}

async fn wait_until_filled(source: &Source, source_is_empty: bool) {
    if source_is_empty {
        source.filled().await;
    }
}

//! The task that processes one partition for as long as one assignment of it lasts.
//!
//! Before the first record it begins its [`PartitionSession`], which returns the blocked keys and whether the previous
//! session ended cleanly; when everything in flight has ended, it ends the session.
//!
//! A handler that is still running at the deadline of a drain is not aborted, since that could leave half an effect. It
//! outlives its assignment, and the same partition may be assigned to this process again while it runs. Three rules keep
//! that safe:
//!
//! * **One handler per key.** The next assignment takes over the lanes of the running handlers ([`InFlight`]). The event is
//!   delivered again, since it was not committed, and waits in its lane until the old handler has ended. Other keys do not
//!   wait.
//! * **An old completion moves no offset.** It carries the epoch of its assignment. The tracker of another epoch does not
//!   know the offset, so the event is complete only when its new delivery is.
//! * **An old failure decides nothing.** After the end of an assignment its work writes nothing to the retry store and
//!   publishes no dead letter. A write that was on its way blocks its key here before the next event of the key starts.
//!
//! Between two processes the first rule cannot hold: Kafka assigns the partition to another member while our handler runs.
//! There the inbox row in the handler's transaction decides which of the two takes effect.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry::context::FutureExt;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::attempts::Shared;
use crate::crash_loop_guard::Guarded;
use crate::lanes::{LaneKey, Lanes, Turn};
use crate::retries::{Outcome, Work, Worker};
use crate::retry_store::TopicPartition;
use crate::supervised::supervised;
use crate::tracker::{OffsetTracker, Progress};
use kafka::record::Record;
use service::crash_points::{CrashPoint, reach};

mod blocked_keys;
mod record_queue;
mod session;

#[cfg(test)]
mod simulation;

use blocked_keys::BlockedKeys;
pub(crate) use record_queue::RecordQueue;
use session::PartitionSession;

/// Records read before the task looks at commands and finished work again.
const READ_BATCH: usize = 128;

/// A partition is not read while a restart would deliver this many offsets again: it bounds the memory that other keys can
/// fill behind one stuck key.
const MAX_SPAN: u64 = 10_000;

/// A command of the poll thread.
#[derive(Debug)]
pub(crate) enum Command {
    /// A record of this partition that librdkafka put on the consumer's main queue, which it may do at any time.
    Stray(Record),
    /// Finish the in-flight events, then report. The queue is closed already.
    Drain(Drain),
}

#[derive(Debug)]
pub(crate) struct Drain {
    /// How long handlers may still run.
    pub(crate) deadline: tokio::time::Instant,
    /// Dropped unused if the task is gone.
    pub(crate) drained: std::sync::mpsc::SyncSender<()>,
}

/// Number of an assignment, unique over all partitions of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epoch(pub(crate) u64);

/// Work that has ended, and the assignment in which it was started.
#[derive(Debug)]
pub(crate) struct Finished {
    epoch: Epoch,
    record: Arc<Record>,
    outcome: Outcome,
}

/// Running handlers, and the lanes that they occupy. An assignment leaves them to the next one.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    tasks: JoinSet<Finished>,
    lanes: Lanes,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // Dropping the set would abort the handlers. What they finish is not committed, is delivered again, and the inbox
        // drops it then.
        self.tasks.detach_all();
    }
}

/// The links between a partition's task and the poll thread.
pub(crate) struct PollLinks {
    pub(crate) queue: Arc<RecordQueue>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) progress: Arc<Progress>,
}

/// The drain that ends the task of a partition; `None` if the consumer was dropped.
type End = Option<Drain>;

/// The task of one partition.
pub(crate) struct Partition {
    epoch: Epoch,
    links: PollLinks,
    worker: Arc<Worker>,
    session: PartitionSession,
    tracker: OffsetTracker,
    blocked_keys: BlockedKeys,
    guarded: Guarded,
    /// Including the handlers of earlier assignments.
    in_flight: InFlight,
    /// The part of `in_flight` that belongs to this assignment.
    own_in_flight: usize,
    /// As of the last read.
    queue_is_empty: bool,
    /// The reject gate has tripped: nothing more may be started.
    tripped: bool,
}

impl Partition {
    pub(crate) fn new(shared: Arc<Shared>, partition: i32, epoch: Epoch, links: PollLinks) -> Self {
        let topic = shared.config().topic.to_string();
        let retry_store = Arc::clone(&shared.retry_store);
        Self {
            epoch,
            links,
            worker: Arc::new(Worker::new(shared)),
            session: PartitionSession::new(retry_store, TopicPartition { topic, partition }),
            tracker: OffsetTracker::default(),
            blocked_keys: BlockedKeys::default(),
            guarded: Guarded::None,
            in_flight: InFlight::default(),
            own_in_flight: 0,
            queue_is_empty: false,
            tripped: false,
        }
    }

    /// Runs until the partition is revoked or the consumer is dropped. Starts when the task of the previous assignment has
    /// ended, and takes over its running handlers.
    pub(crate) async fn run(mut self, previous: Option<JoinHandle<InFlight>>) -> InFlight {
        if let Some(previous) = previous {
            // It was told to end. If it panicked or its runtime was dropped, there is nothing to take over.
            self.in_flight = previous.await.unwrap_or_default();
        }
        let end = match self.begin().await {
            Ok(()) => self.work().await,
            Err(end) => end,
        };
        match end {
            Some(drain) => self.drain(drain).await,
            None => self.in_flight,
        }
    }

    /// Begins the session, if the end of the task does not come first.
    async fn begin(&mut self) -> Result<(), End> {
        let mut strays = Vec::new();
        let start = {
            let mut begun = pin!(self.session.begin());
            loop {
                // Biased: a revoke must not wait for an unreachable database.
                tokio::select! {
                    biased;
                    command = self.links.commands.recv() => match command {
                        // Fetched by librdkafka before the queue was split: at most one full queue.
                        Some(Command::Stray(record)) => strays.push(record),
                        Some(Command::Drain(drain)) => return Err(Some(drain)),
                        None => return Err(None),
                    },
                    start = &mut begun => break start,
                }
            }
        };
        self.session.has_begun = true;
        self.blocked_keys.load(start.blocked);
        if start.after_a_crash {
            self.guarded = Guarded::Next { span: MAX_SPAN };
        }
        for record in strays {
            self.take_in(record);
        }
        Ok(())
    }

    async fn work(&mut self) -> End {
        loop {
            // Biased: a revoke must not wait behind a backlog, and finished work makes room before more is read.
            tokio::select! {
                biased;
                command = self.links.commands.recv() => match command {
                    Some(Command::Stray(record)) => self.take_in(record),
                    Some(Command::Drain(drain)) => return Some(drain),
                    None => return None,
                },
                Some(finished) = self.in_flight.tasks.join_next() => self.finish(finished),
                () = wait_until_filled(&self.links.queue, self.queue_is_empty), if self.has_room() => self.read(),
            }
        }
    }

    fn has_room(&self) -> bool {
        !self.tripped
            && self.in_flight.lanes.len() < self.worker.shared.config().max_records_per_partition()
            && self.tracker.span() < MAX_SPAN
    }

    fn read(&mut self) {
        let began = Instant::now();
        let records = self.links.queue.read(READ_BATCH);
        self.worker
            .shared
            .telemetry
            .polled(&records, began.elapsed());
        self.queue_is_empty = records.len() < READ_BATCH;
        for record in records {
            self.take_in(record);
        }
    }

    fn take_in(&mut self, record: Record) {
        let published_at = record.timestamp_ms;
        if self.tripped || !self.tracker.receive(record.offset, published_at) {
            return;
        }
        self.links.progress.received(record.offset);
        self.links.progress.update_lag(&self.tracker);
        // Nothing can fail here: the record is in memory.
        let _ = reach(CrashPoint::AfterPoll);
        self.guarded.receive(record.offset);
        if let Some(turn) = self.in_flight.lanes.enter(record) {
            self.start(turn);
        }
    }

    fn start(&mut self, turn: Turn) {
        let (epoch, record) = (self.epoch, Arc::clone(&turn.0));
        let may_be_blocked = self.blocked_keys.may_hold(&record);
        let is_guarded = self.guarded.covers(record.offset);
        let work = Work::new(Arc::clone(&self.worker), turn, may_be_blocked, is_guarded);
        self.own_in_flight += 1;
        // A task inherits no context: log records about the event belong to its trace.
        let trace = work.trace().clone();
        let finished = async move {
            Finished {
                epoch,
                record,
                outcome: work.run().await,
            }
        };
        let fatal = self.worker.shared.fatal.clone();
        let finished = supervised("event", fatal, finished.with_context(trace));
        self.in_flight.tasks.spawn(finished);
    }

    fn finish(&mut self, finished: Result<Finished, JoinError>) {
        let Ok(finished) = finished else {
            // It panicked, which stops the consumer, or the runtime is shutting down.
            return;
        };
        if finished.outcome == Outcome::Stored {
            self.blocked_keys.block(&finished.record);
        }
        if finished.epoch == self.epoch && !self.finish_own(&finished) {
            return;
        }
        let lane = LaneKey::of(&finished.record);
        if let Some(turn) = self.in_flight.lanes.leave(&lane) {
            self.start(turn);
        }
    }

    /// Ends work of this assignment; `false` if its lane must stay closed.
    fn finish_own(&mut self, finished: &Finished) -> bool {
        self.own_in_flight -= 1;
        match finished.outcome {
            Outcome::Handled => {
                self.worker.gate.handled();
                self.blocked_keys.unblock(&finished.record);
                self.complete(finished.record.offset);
                true
            }
            Outcome::Stored => {
                self.complete(finished.record.offset);
                true
            }
            // Interrupted without a drain: a fatal failure. The consumer is stopping, and until then no later event of the
            // key may start.
            Outcome::Interrupted => self.worker.drain.is_draining(),
            Outcome::Tripped => {
                self.stop_at(&finished.record);
                false
            }
        }
    }

    fn complete(&mut self, offset: i64) {
        self.tracker.complete(offset);
        self.links.progress.allow_commit(&self.tracker);
    }

    /// Starts nothing more: in-flight events end, waiting ones are left to the next assignment.
    fn stop_at(&mut self, record: &Record) {
        if self.tripped {
            return;
        }
        tracing::error!(
            topic = record.topic,
            partition = record.partition,
            offset = record.offset,
            limit = self.worker.shared.config().retry_policy.reject_limit,
            "partition stopped, reject limit reached: remove the cause, then restart the service"
        );
        self.tripped = true;
        self.in_flight.lanes.drop_waiting();
        self.worker.drain.begin();
    }

    async fn drain(mut self, command: Drain) -> InFlight {
        self.in_flight.lanes.drop_waiting();
        self.worker.drain.begin();
        // Handlers of earlier assignments are not waited for: they move no offset.
        while self.own_in_flight > 0
            && let Ok(Some(finished)) =
                tokio::time::timeout_at(command.deadline, self.in_flight.tasks.join_next()).await
        {
            self.finish(finished);
        }
        self.worker.drain.end_session();
        if self.own_in_flight == 0 {
            self.session.end().await;
        }
        let _ = command.drained.send(());
        self.in_flight
    }
}

async fn wait_until_filled(queue: &RecordQueue, is_empty: bool) {
    if is_empty {
        queue.filled().await;
    }
}

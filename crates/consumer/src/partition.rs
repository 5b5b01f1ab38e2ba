//! The task that processes one partition for as long as one assignment of it lasts.
//!
//! Before the first record it begins its [`PartitionSession`], which returns the blocked keys and whether the previous
//! session ended cleanly; when everything in flight has ended, it ends the session.
//!
//! Each event is handled in a task of its own.
//!
//! A handler that is still running at the deadline of a drain is not aborted, since that could leave half an effect. It
//! outlives its assignment, and the same partition may be assigned to this process again while it runs. Three rules keep
//! that safe:
//!
//! * **One handler per key.** The next assignment takes over the lanes of the running handlers ([`InFlight`]). The event is
//!   delivered again, since it was not committed, and waits in its lane until the old handler has ended. Other keys do not
//!   wait.
//! * **An old completion moves no offset.** It arrives on another way than those of this assignment ([`InFlight`]), and only
//!   frees its lane. The event is complete when its new delivery is.
//! * **An old failure decides nothing.** After the end of an assignment its work writes nothing to the retry store and
//!   publishes no dead letter. A write that was on its way blocks its key here before the next event of the key starts.
//!
//! Between two processes the first rule cannot hold: Kafka assigns the partition to another member while our handler runs.
//! There the inbox row in the handler's transaction decides which of the two takes effect.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures::stream::{FuturesUnordered, StreamExt};
use opentelemetry::context::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::attempts::Shared;
use crate::crash_loop_guard::Guarded;
use crate::lanes::{Lanes, Turn};
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
#[cfg(test)]
mod tests;

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

/// Work that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    record: Arc<Record>,
    outcome: Outcome,
}

/// Work on one event; `None` after a panic, which stops the consumer.
type Handling = JoinHandle<Option<Finished>>;

/// Running handlers, and the lanes that they occupy. An assignment leaves them to the next one.
#[derive(Debug)]
pub(crate) struct InFlight {
    lanes: Lanes,
    /// Started in this assignment.
    own: FuturesUnordered<Handling>,
    /// Started in earlier assignments and finished since. Each assignment leaves its handlers to a task that ends here.
    earlier: mpsc::UnboundedReceiver<Finished>,
    to_earlier: mpsc::UnboundedSender<Finished>,
}

impl Default for InFlight {
    fn default() -> Self {
        let (to_earlier, earlier) = mpsc::unbounded_channel();
        Self {
            lanes: Lanes::default(),
            own: FuturesUnordered::new(),
            earlier,
            to_earlier,
        }
    }
}

impl InFlight {
    /// The assignment ends: its handlers run on, and their results are collected for the next one.
    fn leave(&mut self) {
        let own = std::mem::take(&mut self.own);
        if own.is_empty() {
            return;
        }
        let finished = self.to_earlier.clone();
        let run_on = own.for_each(move |ended| {
            if let Ok(Some(ended)) = ended {
                // Not received if the partition does not come back.
                let _ = finished.send(ended);
            }
            std::future::ready(())
        });
        // Without a runtime the process is ending.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(run_on);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // A handler is never aborted. What it finishes is not committed, is delivered again, and the inbox drops it then.
        self.leave();
    }
}

/// The links between a partition's task and the poll thread.
pub(crate) struct PollLinks {
    pub(crate) queue: Arc<RecordQueue>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) progress: Arc<Progress>,
}

/// The task of a partition; its result is `None` after a panic.
pub(crate) type PartitionTask = JoinHandle<Option<InFlight>>;

/// The drain that ends the task of a partition; `None` if the consumer was dropped.
type End = Option<Drain>;

/// The task of one partition.
pub(crate) struct Partition {
    links: PollLinks,
    worker: Arc<Worker>,
    session: PartitionSession,
    tracker: OffsetTracker,
    blocked_keys: BlockedKeys,
    guarded: Guarded,
    in_flight: InFlight,
    /// The events of this assignment whose work has not ended. Work that panicked never ends.
    own_in_flight: usize,
    /// As of the last read.
    queue_is_empty: bool,
    /// The reject gate has tripped: nothing more may be started.
    tripped: bool,
}

impl Partition {
    pub(crate) fn new(shared: Arc<Shared>, partition: i32, links: PollLinks) -> Self {
        let topic = shared.config().topic.to_string();
        let retry_store = Arc::clone(&shared.retry_store);
        Self {
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
    pub(crate) async fn run(mut self, previous: Option<PartitionTask>) -> InFlight {
        if let Some(previous) = previous {
            // It was told to end. If it panicked or its runtime was dropped, there is nothing to take over.
            self.in_flight = previous.await.ok().flatten().unwrap_or_default();
        }
        let end = match self.begin().await {
            Ok(()) => self.work().await,
            Err(end) => end,
        };
        if let Some(drain) = end {
            self.drain(drain).await;
        }
        self.in_flight.leave();
        self.in_flight
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
            self.take_in_stray(record);
        }
        Ok(())
    }

    async fn work(&mut self) -> End {
        loop {
            // Biased: a revoke must not wait behind a backlog, and finished work makes room before more is read.
            tokio::select! {
                biased;
                command = self.links.commands.recv() => match command {
                    Some(Command::Stray(record)) => self.take_in_stray(record),
                    Some(Command::Drain(drain)) => return Some(drain),
                    None => return None,
                },
                Some(finished) = self.in_flight.own.next() => self.finish(finished),
                Some(finished) = self.in_flight.earlier.recv() => self.finish_earlier(&finished),
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
        self.links.progress.update_lag(&self.tracker);
    }

    fn take_in_stray(&mut self, record: Record) {
        self.take_in(record);
        self.links.progress.update_lag(&self.tracker);
    }

    fn take_in(&mut self, record: Record) {
        let published_at = record.timestamp_ms;
        if self.tripped || !self.tracker.receive(record.offset, published_at) {
            return;
        }
        self.links.progress.received(record.offset);
        // Nothing can fail here: the record is in memory.
        let _ = reach(CrashPoint::AfterPoll);
        self.guarded.receive(record.offset);
        if let Some(turn) = self.in_flight.lanes.enter(record) {
            self.start(turn);
        }
    }

    /// Starts work.
    fn start(&mut self, turn: Turn) {
        let record = Arc::clone(&turn.0);
        let may_be_blocked = self.blocked_keys.may_hold(&record);
        let is_guarded = self.guarded.covers(record.offset);
        let work = Work::new(Arc::clone(&self.worker), turn, may_be_blocked, is_guarded);
        self.own_in_flight += 1;
        // Log records about the event belong to its trace.
        let trace = work.trace().clone();
        let finished = async move {
            Finished {
                record,
                outcome: work.run().await,
            }
        };
        let fatal = self.worker.shared.fatal.clone();
        let finished = supervised("event", fatal, finished.with_context(trace));
        self.in_flight.own.push(tokio::spawn(finished));
    }

    fn finish(&mut self, finished: Result<Option<Finished>, JoinError>) {
        let Ok(Some(finished)) = finished else {
            // It panicked, which stops the consumer, or the runtime is ending.
            return;
        };
        self.own_in_flight -= 1;
        let may_start_next = match finished.outcome {
            Outcome::Handled => {
                self.worker.gate.handled();
                self.blocked_keys.unblock(&finished.record);
                self.complete(finished.record.offset);
                true
            }
            Outcome::Stored => {
                self.blocked_keys.block(&finished.record);
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
        };
        if may_start_next {
            self.start_next(&finished.record);
        }
    }

    /// Work of an earlier assignment has ended: it completes nothing here.
    fn finish_earlier(&mut self, finished: &Finished) {
        if finished.outcome == Outcome::Stored {
            self.blocked_keys.block(&finished.record);
        }
        self.start_next(&finished.record);
    }

    fn start_next(&mut self, finished: &Arc<Record>) {
        if let Some(turn) = self.in_flight.lanes.leave(finished) {
            self.start(turn);
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

    async fn drain(&mut self, command: Drain) {
        self.in_flight.lanes.drop_waiting();
        self.worker.drain.begin();
        // Handlers of earlier assignments are not waited for: they move no offset.
        while let Ok(Some(finished)) =
            tokio::time::timeout_at(command.deadline, self.in_flight.own.next()).await
        {
            self.finish(finished);
        }
        self.worker.drain.end_session();
        if self.own_in_flight == 0 {
            self.session.end().await;
        }
        let _ = command.drained.send(());
    }
}

async fn wait_until_filled(queue: &RecordQueue, is_empty: bool) {
    if is_empty {
        queue.filled().await;
    }
}

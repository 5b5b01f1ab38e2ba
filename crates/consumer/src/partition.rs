//! The task that works through one partition for as long as one assignment of it lasts.
//!
//! Before the first record it asks the database which keys are fenced, and whether whoever had the partition before gave
//! it back in order; when all that it began has ended, it gives it back itself ([`super::tenure`]).
//!
//! A handler that is not done when the drain of a revoke ends is left to itself: it cannot be stopped without tearing
//! its effect apart. It outlives its assignment, and the same partition may be assigned to this process again while it
//! runs. Three rules keep that safe:
//!
//! * **One handler per key.** The next assignment takes over the lanes of what is still running ([`InFlight`]). The
//!   event comes again, since it was not committed, and waits in its lane until the old handler has ended. The other
//!   keys do not wait.
//! * **An old completion moves no offset.** What ends carries the epoch of its assignment. The tracker of another
//!   epoch knows nothing of it, so the event counts as done only once its new delivery is.
//! * **An old failure decides nothing.** Once an assignment is over, its work parks nothing and publishes no dead letter.
//!   What was on its way then fences its key here before the next event of the key begins.
//!
//! Between two processes the first rule cannot hold: Kafka gives the partition to another member although our handler
//! runs. There the inbox row in the handler's transaction decides which of the two takes effect.

use std::sync::Arc;
use std::time::Instant;

use opentelemetry::context::FutureExt;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use super::blocked_keys::BlockedKeys;
use super::command::{Command, Drain};
use super::crash_loop_guard::CrashSpan;
use super::in_flight::{Epoch, Finished, InFlight};
use super::lanes::{LaneKey, Turn};
use super::progress::Progress;
use super::scope::Scope;
use super::source::Source;
use super::tenure::Tenure;
use super::tracker::OffsetTracker;
use super::work::{Outcome, Precautions, Work};
use crate::retry_store::Beginning;
use kafka::record::Record;
use service::crash_points::{CrashPoint, reach};

/// Records taken in before the task looks at its other duties again.
const READ_BATCH: usize = 128;

/// A partition is not read while this many offsets would be delivered again after a restart: it bounds the memory that
/// one stuck key can make the others fill.
const MAX_SPAN: u64 = 10_000;

/// Why a partition's task ends.
enum End {
    /// The partition is revoked.
    Drain(Drain),
    /// The consumer that owns it is gone.
    Gone,
}

/// The task of one partition.
pub(super) struct Partition {
    epoch: Epoch,
    source: Arc<Source>,
    commands: mpsc::UnboundedReceiver<Command>,
    progress: Arc<Progress>,
    scope: Arc<Scope>,
    tenure: Arc<Tenure>,
    tracker: OffsetTracker,
    blocked_keys: BlockedKeys,
    care: CrashSpan,
    /// All that runs, and its lanes; what earlier assignments left is among it.
    running: InFlight,
    /// How much of that belongs to this assignment.
    own_in_work: usize,
    /// Whether the source was empty when last looked at.
    source_is_empty: bool,
    /// Whether so much was rejected that nothing more may be begun.
    tripped: bool,
}

impl Partition {
    pub(super) fn new(
        (epoch, partition): (Epoch, i32),
        source: Arc<Source>,
        commands: mpsc::UnboundedReceiver<Command>,
        progress: Arc<Progress>,
        scope: Arc<Scope>,
    ) -> Self {
        Self {
            epoch,
            source,
            commands,
            progress,
            tenure: Arc::new(Tenure::new(Arc::clone(&scope), partition)),
            scope,
            tracker: OffsetTracker::default(),
            blocked_keys: BlockedKeys::default(),
            care: CrashSpan::None,
            running: InFlight::default(),
            own_in_work: 0,
            source_is_empty: false,
            tripped: false,
        }
    }

    /// Works until the partition is revoked, or until the consumer that owns it is gone. Begins when the task of the
    /// assignment before has ended, and takes over what that one left running.
    pub(super) async fn run(mut self, before: Option<JoinHandle<InFlight>>) -> InFlight {
        if let Some(before) = before {
            // It has its orders to end. If it was lost with its runtime, it left nothing.
            self.running = before.await.unwrap_or_default();
        }
        let end = match self.begin().await {
            None => self.work().await,
            Some(end) => end,
        };
        match end {
            End::Drain(order) => self.drain(order).await,
            End::Gone => self.running,
        }
    }

    /// Waits for the database; returns the end, if that comes first.
    async fn begin(&mut self) -> Option<End> {
        let mut strays = Vec::new();
        let tenure = Arc::clone(&self.tenure);
        let began = tenure.begin();
        tokio::pin!(began);
        let beginning = loop {
            // Biased: a partition that moves on must not wait for a database that is away.
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    // What librdkafka fetched before the queue was split, so at most a queue full.
                    Some(Command::Stray(record)) => strays.push(record),
                    Some(Command::Drain(order)) => return Some(End::Drain(order)),
                    None => return Some(End::Gone),
                },
                beginning = &mut began => break beginning,
            }
        };
        self.take_over(beginning);
        for record in strays {
            self.take_in(record);
        }
        None
    }

    fn take_over(&mut self, beginning: Beginning) {
        self.blocked_keys.load(beginning.blocked);
        if beginning.after_a_crash {
            self.care = CrashSpan::of_next(MAX_SPAN);
        }
    }

    async fn work(&mut self) -> End {
        loop {
            // Biased: a revoke must not wait behind a backlog, and finished work makes room before more is read.
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(Command::Stray(record)) => self.take_in(record),
                    Some(Command::Drain(order)) => return End::Drain(order),
                    None => return End::Gone,
                },
                Some(finished) = self.running.in_work.join_next() => self.finish(finished),
                () = wait_until_filled(&self.source, self.source_is_empty), if self.has_room() => self.read(),
            }
        }
    }

    fn has_room(&self) -> bool {
        !self.tripped
            && self.running.lanes.len() < self.scope.max_records_per_partition()
            && self.tracker.span() < MAX_SPAN
    }

    fn read(&mut self) {
        let began = Instant::now();
        let records = self.source.read(READ_BATCH);
        self.scope.telemetry().polled(&records, began.elapsed());
        self.source_is_empty = records.len() < READ_BATCH;
        for record in records {
            self.take_in(record);
        }
    }

    fn take_in(&mut self, record: Record) {
        let published_at = record.timestamp_ms;
        if self.tripped || !self.tracker.receive(record.offset, published_at) {
            return;
        }
        self.progress.show(&self.tracker);
        // Nothing can fail here: the record is in memory.
        let _ = reach(CrashPoint::AfterPoll);
        self.care.receive(record.offset);
        if let Some(turn) = self.running.lanes.enter(record) {
            self.start(turn);
        }
    }

    fn start(&mut self, (record, lane): Turn) {
        let epoch = self.epoch;
        let precautions = Precautions {
            blocked: self.blocked_keys.may_hold(&record),
            crash_loop_guard: self.care.covers(record.offset),
        };
        let work = Work::new(
            Arc::clone(&self.scope),
            Arc::clone(&record),
            lane,
            precautions,
        );
        self.own_in_work += 1;
        // A task inherits no context: what is said of the event on its way belongs to its trace.
        let trace = work.trace().clone();
        let finished = async move {
            Finished {
                epoch,
                record,
                outcome: work.run().await,
            }
        };
        self.running.in_work.spawn(finished.with_context(trace));
    }

    fn finish(&mut self, finished: Result<Finished, JoinError>) {
        let Ok(finished) = finished else {
            // A handler's panic is caught where the handler is called, so this is the runtime going down.
            return;
        };
        if finished.outcome == Outcome::Stored {
            self.blocked_keys.close(&finished.record);
        }
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
            Outcome::Handled => {
                self.scope.gate().handled();
                self.blocked_keys.open(&finished.record);
                self.complete(finished.record.offset);
                true
            }
            Outcome::Stored => {
                self.complete(finished.record.offset);
                true
            }
            // Interrupted without a drain, it failed for good: the consumer is stopping, and until then nothing of the
            // same key may pass it.
            Outcome::Interrupted => self.scope.is_draining(),
            Outcome::Flooded => {
                self.stop_at(&finished.record);
                false
            }
        }
    }

    fn complete(&mut self, offset: i64) {
        self.tracker.complete(offset);
        self.progress.show(&self.tracker);
        if let Some(offset) = self.tracker.committable() {
            self.progress.publish(offset);
        }
    }

    /// Begins nothing more: what is in work ends, and what waits is left to the next assignment.
    fn stop_at(&mut self, record: &Record) {
        if self.tripped {
            return;
        }
        tracing::error!(
            topic = record.topic,
            partition = record.partition,
            offset = record.offset,
            limit = self.scope.config().retry_policy.reject_limit,
            "partition stopped, nearly every record is rejected: remove the cause, then restart the service"
        );
        self.tripped = true;
        self.running.lanes.drop_waiting();
        self.scope.stop_waiting();
    }

    async fn drain(mut self, order: Drain) -> InFlight {
        self.running.lanes.drop_waiting();
        self.scope.stop_waiting();
        // What an earlier assignment left is not waited for: it moves no offset.
        while self.own_in_work > 0
            && let Ok(Some(finished)) =
                tokio::time::timeout_at(order.deadline, self.running.in_work.join_next()).await
        {
            self.finish(finished);
        }
        self.scope.end();
        if self.own_in_work == 0 {
            self.tenure.end().await;
        }
        let _ = order.drained.send(());
        self.running
    }
}

async fn wait_until_filled(source: &Source, source_is_empty: bool) {
    if source_is_empty {
        source.filled().await;
    }
}

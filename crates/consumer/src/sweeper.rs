//! The sweeper: retries events of the retry store, the head of each key, when it is due.
//!
//! ```text
//!  claim ──▶ attempt ──handled──────────────────────────▶ row removed, the next of the key is the head
//!               ├──failed, rounds left──────────────────▶ waits, five times as long as before
//!               ├──failed, no rounds left─┐
//!               └──hopeless───────────────┴─ dead letter ▶ dead: waits for an operator
//! ```
//!
//! Every replica has one; a claim with a timeout keeps two from working on the same event. If a settlement cannot be
//! written, the claim expires and the event is handled again: twice rather than never.
//!
//! It moves no offsets: those of events in the retry store are complete. Its attempts count against the concurrency limit of
//! the consumer. It is drained with the consumer, and releases claims whose attempt has not begun.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::context::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::attempts::{Attempted, Attempts, Shared};
use crate::concurrency::DrainTokens;
use crate::retry_policy::BACKOFF;
use crate::retry_store::{Claimed, Fault, FaultClass, RetryState, RetryStoreError, Settlement};
use crate::supervised::supervised;
use service::error_chain::ErrorChain;

/// Time between two polls for due events. The delays of the retry store are minutes.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Events claimed at once: other keys proceed while one handler is slow, and the partitions keep the greater part of the
/// concurrency limit.
const MAX_CLAIMED: usize = 16;

/// Duration of a claim, if its sweeper crashes: longer than any handler should take.
const CLAIM_TERM: Duration = Duration::from_secs(60);

/// The sweeper of one consumer.
pub(crate) struct Sweeper {
    shared: Arc<Shared>,
    claimant: Uuid,
    drain: DrainTokens,
    /// How long running handlers may take after a stop.
    drain_timeout: Duration,
    /// `None` after a panic.
    tasks: JoinSet<Option<i64>>,
    /// The in-flight rows. A claim that expired is made again by the next poll, and must not start a second attempt.
    rows: HashSet<i64>,
    /// Failed polls in a row.
    failed_polls: u32,
}

impl Sweeper {
    pub(crate) fn new(shared: Arc<Shared>, drain_timeout: Duration) -> Self {
        Self {
            shared,
            claimant: Uuid::new_v4(),
            drain: DrainTokens::default(),
            drain_timeout,
            tasks: JoinSet::new(),
            rows: HashSet::new(),
            failed_polls: 0,
        }
    }

    /// Runs until `stop`, then finishes the in-flight events.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = tokio::select! {
                () = stop.cancelled() => break,
                claimed = self.claim() => self.begin(claimed),
            };
            tokio::select! {
                () = stop.cancelled() => break,
                // The next of its key may be due.
                Some(Ok(Some(row))) = self.tasks.join_next() => { self.rows.remove(&row); }
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.finish().await;
    }

    async fn claim(&self) -> Result<Vec<Claimed>, RetryStoreError> {
        let room = MAX_CLAIMED.saturating_sub(self.rows.len());
        if room == 0 {
            return Ok(Vec::new());
        }
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        let (topic, retry_store) = (&self.shared.config().topic, &self.shared.retry_store);
        retry_store
            .claim(topic, self.claimant, limit, CLAIM_TERM)
            .await
    }

    /// Starts the claimed events; returns the time until the next poll.
    fn begin(&mut self, claimed: Result<Vec<Claimed>, RetryStoreError>) -> Duration {
        match claimed {
            Ok(claimed) => {
                self.failed_polls = 0;
                claimed.into_iter().for_each(|event| self.start(event));
                POLL_INTERVAL
            }
            Err(error) => {
                self.failed_polls = self.failed_polls.saturating_add(1);
                let topic = &*self.shared.config().topic;
                tracing::warn!(topic, error = %ErrorChain(&error), "retry store claim failed");
                POLL_INTERVAL + BACKOFF.delay(self.failed_polls)
            }
        }
    }

    fn start(&mut self, event: Claimed) {
        let row = event.id;
        if !self.rows.insert(row) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let attempts = Attempts::stored(shared, &event, &self.drain);
        let trace = attempts.trace.clone();
        let sweep = Sweep {
            shared: Arc::clone(&self.shared),
            claimant: self.claimant,
            drain: self.drain.clone(),
            event,
            attempts,
        };
        let swept = async move {
            sweep.run().await;
            row
        };
        let fatal = self.shared.fatal.clone();
        self.tasks
            .spawn(supervised("sweep", fatal, swept.with_context(trace)));
    }

    async fn finish(mut self) {
        self.drain.begin();
        let deadline = Instant::now() + self.drain_timeout;
        while let Ok(Some(_)) = tokio::time::timeout_at(deadline, self.tasks.join_next()).await {}
        self.drain.end_session();
        // A running handler is never aborted.
        self.tasks.detach_all();
    }
}

/// One attempt at an event of the retry store.
struct Sweep {
    shared: Arc<Shared>,
    claimant: Uuid,
    drain: DrainTokens,
    event: Claimed,
    attempts: Attempts,
}

impl Sweep {
    async fn run(mut self) {
        let attempted = self.attempts.make().await;
        let settlement = match attempted {
            Attempted::Handled => Some(Settlement::Handled),
            Attempted::Interrupted => Some(Settlement::Released),
            // The database is unreachable: the claim expires, and the round does not count.
            Attempted::Failed(_) if self.attempts.guard.is_count_pending() => None,
            Attempted::Failed(_) => self.wait_or_give_up().await,
            Attempted::Rejected(class) => self.dead_letter(class).await,
        };
        if let Some(settlement) = settlement {
            self.settle(&settlement).await;
        }
        self.attempts.close().await;
    }

    async fn wait_or_give_up(&self) -> Option<Settlement> {
        let retry_policy = self.shared.config().retry_policy;
        let rounds = self.event.rounds.saturating_add(1);
        let Some(retry_after) = retry_policy.delay_after_round(rounds) else {
            return self.dead_letter(FaultClass::RetriesSpent).await;
        };
        let fault = self.attempts.failures.fault(FaultClass::RetriesSpent);
        self.warn_of_next_round(&fault);
        Some(Settlement::Failed(
            fault,
            RetryState::Waiting { retry_after },
        ))
    }

    /// Publishes the dead letter. If that fails, the claim expires and the event is retried.
    async fn dead_letter(&self, class: FaultClass) -> Option<Settlement> {
        if self.drain.is_session_over() {
            return None;
        }
        let fault = self.attempts.failures.fault(class);
        let Claimed {
            id,
            record,
            redrives,
            ..
        } = &self.event;
        let published = self.shared.dead_letters.publish(record, &fault, *redrives);
        let fault = match published.await {
            Ok(fault) => fault,
            Err(error) => {
                let error = ErrorChain(error.as_ref()).to_string();
                tracing::warn!(row = id, error, "dead letter publish failed");
                return None;
            }
        };
        self.report_dead_letter(&fault);
        Some(Settlement::Failed(fault, RetryState::Dead))
    }

    async fn settle(&self, settlement: &Settlement) {
        let (row, claimant) = (self.event.id, self.claimant);
        let retry_store = &self.shared.retry_store;
        if let Err(error) = retry_store.settle(row, claimant, settlement).await {
            let error = ErrorChain(&error).to_string();
            tracing::warn!(
                row,
                error,
                "retry store settle failed, event will be handled again"
            );
        }
    }

    fn warn_of_next_round(&self, fault: &Fault) {
        let Claimed { id, record, .. } = &self.event;
        tracing::warn!(
            topic = record.topic,
            partition = record.partition,
            offset = record.offset,
            row = id,
            attempts = fault.attempts,
            error = fault.message,
            "retry event failed, waits for its next round"
        );
    }

    fn report_dead_letter(&self, fault: &Fault) {
        let Claimed { id, record, .. } = &self.event;
        tracing::error!(
            topic = record.topic,
            partition = record.partition,
            offset = record.offset,
            row = id,
            attempts = fault.attempts,
            class = fault.class.name(),
            error = fault.message,
            "retry event is dead"
        );
    }
}

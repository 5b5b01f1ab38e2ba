//! Tries parked events again: the head of each key, when its time has come.
//!
//! ```text
//!  claim ──▶ attempt ──handled──────────────────────────▶ row removed, the next of the key is the head
//!               ├──failed, rounds left──────────────────▶ waits, five times as long as before
//!               ├──failed, no rounds left─┐
//!               └──hopeless───────────────┴─ dead letter ▶ dead: waits for an operator
//! ```
//!
//! Every replica has one, and a claim keeps them from working on the same event for as long as it lasts. What a sweeper
//! cannot write down it leaves to whoever claims the event next: events are handled twice rather than not at all.
//!
//! It has no part in offsets: those of parked events are done. It takes the same permits as everything that is handled,
//! is drained with the consumer, and releases what it has not begun.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::context::FutureExt;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::attempts::{Attempted, Attempts};
use super::scope::{RETRY, Scope};
use crate::retry_store::{Claimed, Fault, FaultClass, RetryState, RetryStoreError, Settlement};
use service::error_chain::ErrorChain;

/// Time between two looks for events that are due. Nobody waits for a parked event by the second.
const LOOK: Duration = Duration::from_secs(1);

/// Events that are claimed at once: some keys get on while one handler is slow, and what arrives has the greater part of
/// the permits.
const MAX_CLAIMED: usize = 16;

/// How long a claim lasts, if its sweeper dies: longer than any handler should take.
const TERM: Duration = Duration::from_secs(60);

/// The sweeper of one consumer.
pub(super) struct Sweeper {
    scope: Arc<Scope>,
    claimant: Uuid,
    /// How long handlers may finish what they have begun.
    drain: Duration,
    in_work: JoinSet<i64>,
    /// The rows in work. A claim that ran out is made again by the next look, which is no reason to begin twice.
    rows: HashSet<i64>,
    /// Looks that failed since the last that did not.
    failed_looks: u32,
}

impl Sweeper {
    pub(super) fn new(scope: Arc<Scope>, drain: Duration) -> Self {
        Self {
            scope,
            claimant: Uuid::new_v4(),
            drain,
            in_work: JoinSet::new(),
            rows: HashSet::new(),
            failed_looks: 0,
        }
    }

    /// Works until `stop`, then finishes what it has begun.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = tokio::select! {
                () = stop.cancelled() => break,
                claimed = self.claim() => self.begin(claimed),
            };
            tokio::select! {
                () = stop.cancelled() => break,
                // The next of its key may be due.
                Some(Ok(row)) = self.in_work.join_next() => { self.rows.remove(&row); }
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
        let topic = self.scope.config().topic;
        let retry_store = self.scope.retry_store();
        retry_store.claim(topic, self.claimant, limit, TERM).await
    }

    /// Begins what was claimed; returns the time until the next look.
    fn begin(&mut self, claimed: Result<Vec<Claimed>, RetryStoreError>) -> Duration {
        match claimed {
            Ok(claimed) => {
                self.failed_looks = 0;
                claimed.into_iter().for_each(|event| self.start(event));
                LOOK
            }
            Err(error) => {
                self.failed_looks = self.failed_looks.saturating_add(1);
                let topic = self.scope.config().topic;
                tracing::warn!(topic, error = %ErrorChain(&error), "no parked events can be claimed");
                LOOK + RETRY.delay(self.failed_looks)
            }
        }
    }

    fn start(&mut self, event: Claimed) {
        let row = event.id;
        if !self.rows.insert(row) {
            return;
        }
        let sweep = Sweep::new(Arc::clone(&self.scope), self.claimant, event);
        let trace = sweep.attempts.trace().clone();
        let swept = async move {
            sweep.run().await;
            row
        };
        self.in_work.spawn(swept.with_context(trace));
    }

    async fn finish(mut self) {
        self.scope.stop_waiting();
        let deadline = Instant::now() + self.drain;
        while let Ok(Some(_)) = tokio::time::timeout_at(deadline, self.in_work.join_next()).await {}
        self.scope.end();
        // What is left goes on as long as the process does, like every handler.
        self.in_work.detach_all();
    }
}

/// One parked event that is tried again.
struct Sweep {
    scope: Arc<Scope>,
    claimant: Uuid,
    event: Claimed,
    attempts: Attempts,
}

impl Sweep {
    fn new(scope: Arc<Scope>, claimant: Uuid, event: Claimed) -> Self {
        let record = Arc::new(event.record.clone());
        Self {
            attempts: Attempts::of_stored(Arc::clone(&scope), record, event.fault.as_ref()),
            scope,
            claimant,
            event,
        }
    }

    async fn run(mut self) {
        let attempted = self.attempts.make().await;
        let settlement = match attempted {
            Attempted::Handled => Some(Settlement::Handled),
            Attempted::Interrupted => Some(Settlement::Released),
            // Nobody decides anything in an outage: the claim runs out, and the round was none.
            Attempted::Failed(_) if self.attempts.note_stands() => None,
            Attempted::Failed(_) => self.wait_or_give_up().await,
            Attempted::Hopeless(class) => self.set_aside(class).await,
        };
        if let Some(settlement) = settlement {
            self.settle(&settlement).await;
        }
        self.attempts.close().await;
    }

    async fn wait_or_give_up(&self) -> Option<Settlement> {
        let retry_policy = self.scope.config().retry_policy;
        let Some(retry_after) = retry_policy.wait_after(self.event.rounds.saturating_add(1)) else {
            return self.set_aside(FaultClass::RetriesSpent).await;
        };
        let fault = self.attempts.fault(FaultClass::RetriesSpent);
        self.warn_that_it_waits(&fault);
        Some(Settlement::Failed(
            fault,
            RetryState::Waiting { retry_after },
        ))
    }

    /// Publishes the dead letter. If the broker does not take it, the event is tried again when the claim has run out.
    async fn set_aside(&self, class: FaultClass) -> Option<Settlement> {
        if self.scope.is_over() {
            return None;
        }
        let fault = self.attempts.fault(class);
        let published = self
            .scope
            .publish_dead_letter(&self.event.record, &fault, self.event.redrives)
            .await;
        if let Err(error) = published {
            let error = ErrorChain(error.as_ref()).to_string();
            tracing::warn!(
                row = self.event.id,
                error,
                "no dead letter of a parked event"
            );
            return None;
        }
        self.say_that_it_is_dead(&fault);
        Some(Settlement::Failed(fault, RetryState::Dead))
    }

    async fn settle(&self, settlement: &Settlement) {
        let retry_store = self.scope.retry_store();
        let settled = retry_store
            .settle(self.event.id, self.claimant, settlement)
            .await;
        if let Err(error) = settled {
            let error = ErrorChain(&error).to_string();
            tracing::warn!(
                row = self.event.id,
                error,
                "parked event is not settled: it will be handled again"
            );
        }
    }

    fn warn_that_it_waits(&self, fault: &Fault) {
        let Claimed { id, record, .. } = &self.event;
        tracing::warn!(
            topic = record.topic,
            partition = record.partition,
            offset = record.offset,
            row = id,
            attempts = fault.attempts,
            error = fault.message,
            "parked event failed and waits for its next round"
        );
    }

    fn say_that_it_is_dead(&self, fault: &Fault) {
        let Claimed { id, record, .. } = &self.event;
        tracing::error!(
            topic = record.topic,
            partition = record.partition,
            offset = record.offset,
            row = id,
            attempts = fault.attempts,
            class = fault.class.name(),
            error = fault.message,
            "parked event is set aside on the dead-letter topic"
        );
    }
}

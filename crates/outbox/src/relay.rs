//! The outbox relay: publishes committed events, each key in order, and loses none.
//!
//! ```text
//! writers ──committed rows──┐
//!                           ▼
//! leases ──held shards──▶ window: per key a queue, its head in flight ──acknowledged──▶ delete the row
//!                           ▲         │ publish failed: the head is sent again              │
//! outbox ──read the table───┘         │                  crash before the delete: sent twice, never lost
//! ```
//!
//! * Rows of this process's own commits arrive in memory ([`crate::hand_over`]). **The table is read after a start, a
//!   take-over of a shard, an overflow of the hand-over, or when a row follows one that is not in memory**, and by polls for
//!   rows that are not handed over: every 250 ms, or every 5 to 50 ms while there are other replicas. A poll reads
//!   positions, and rows only of positions that are not in memory. Every 30 s all positions are read.
//! * A row is work until it is deleted, and it is deleted only after the broker has acknowledged it. No position decides
//!   which rows were sent; positions only save reading ([`position`]).
//! * **One event per key is in flight**, thousands of keys at once: an event that has to be sent again cannot be overtaken
//!   by its successor. Producer idempotence alone does not guarantee that when messages time out.
//! * **One relay per shard at a time** ([`crate::lease`]). A relay that may have lost its leases drops everything in memory
//!   and starts over. The next owner of the shard sends its unacknowledged events again, in the order of their keys; late
//!   acknowledgements delete rows that the broker has, which is correct at any time.
//! * An event is not sent before one of its key that was committed late ([`window::WindowSlot::Premature`]).
//! * An event that cannot be published (its row is damaged, the broker rejects it permanently) blocks its key and nothing
//!   else ([`blocked`]). It is never dropped: it is retried every 30 s until the cause is fixed.
//! * Headers are sent as they were stored, trace context included.
//! * A failed database statement is retried; nothing in memory is dropped while the leases last.
//! * A producer with a fatal error is replaced, and everything in memory is read again from the table.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::hand_over::HandOver;
use crate::lease::Leases;
use crate::outbox::Outbox;
use kafka::KafkaConfig;
use service::backoff::Backoff;
use service::error_chain::ErrorChain;

mod session;

mod planner;

mod held_shards;
mod position;
mod window;

mod blocked;

mod instrumentation;
mod producer;

#[cfg(test)]
mod simulation;

use instrumentation::RelayTelemetry;
use producer::Producer;
use session::{Session, SessionError};

/// Waits before a new session, after one that failed.
const RESTART_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(100),
    cap: Duration::from_secs(5),
};

/// Limit for releasing the leases of a failed session: shorter than the leases last.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Publishes the outbox of one service, or the share of it that its leases grant.
pub struct Relay {
    kafka: KafkaConfig,
    outbox: Arc<dyn Outbox>,
    leases: Arc<dyn Leases>,
    hand_over: HandOver,
    telemetry: Arc<RelayTelemetry>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Relay").finish_non_exhaustive()
    }
}

impl Relay {
    /// A relay for this outbox, which takes the rows that the writers of this process hand over. Nothing runs before
    /// [`Relay::run`].
    pub fn new(
        kafka: &KafkaConfig,
        outbox: Arc<dyn Outbox>,
        leases: Arc<dyn Leases>,
        hand_over: HandOver,
    ) -> Self {
        Self {
            kafka: kafka.clone(),
            outbox,
            leases,
            hand_over,
            telemetry: Arc::new(RelayTelemetry::new(kafka)),
        }
    }

    /// Publishes until `shutdown`, then waits up to 5 s for events in flight and releases the leases. An outage of Kafka or
    /// of the database delays publishing and is logged; it does not end this call.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut failures = 0;
        while !shutdown.is_cancelled() {
            let started = Instant::now();
            let Err(error) = self.publish_until(&shutdown).await else {
                return;
            };
            // A session that outlasted the longest wait has recovered from the failures before it.
            failures = if started.elapsed() > RESTART_BACKOFF.cap {
                1
            } else {
                failures + 1
            };
            tracing::warn!(error = %ErrorChain(&error), failures, "relay session failed, restarting");
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(RESTART_BACKOFF.delay(failures)) => {}
            }
        }
    }

    async fn publish_until(&self, shutdown: &CancellationToken) -> Result<(), SessionError> {
        let producer = Producer::new(&self.kafka, Arc::clone(&self.telemetry))?;
        // A new member id for each session: a statement that takes effect after its timeout must not release the leases of
        // the next session.
        let member = Uuid::now_v7();
        let session = Session::new(
            self.outbox.as_ref(),
            self.leases.as_ref(),
            &self.hand_over,
            member,
            producer,
        );
        let ended = session.run(shutdown).await;
        // The next reader of these keys counts them again.
        self.telemetry.show_blocked(0);
        if ended.is_err() {
            self.release_leases(member).await;
        }
        ended
    }

    /// Releases the leases of a failed session, so that their shards are taken over before they expire.
    async fn release_leases(&self, member: Uuid) {
        let leave = tokio::time::timeout(RELEASE_TIMEOUT, self.leases.leave(member));
        if !matches!(leave.await, Ok(Ok(()))) {
            tracing::debug!("leases not released, they will expire");
        }
    }
}

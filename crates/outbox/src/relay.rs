//! The outbox relay: publishes what was committed, each key in order, and loses nothing.
//!
//! ```text
//! leases ──which shards──▶ outbox ──read──▶ window: per key a queue, its head at the broker ──acknowledged──▶ delete
//!                            ▲                        │ refused or lost: the head is sent again               the row
//!                            └── signal, or a poll ───┘                                                          │
//!                                                                  crash before the delete: sent twice, never lost
//! ```
//!
//! * A row is work until it is deleted; it is deleted only when the broker has acknowledged it. No position decides what
//!   was sent: positions only save reading ([`position`]).
//! * **One event per key is at the broker at a time**, thousands of keys at once: an event that has to be sent again
//!   cannot be overtaken by its successor, which idempotence alone does not promise when messages time out.
//! * **One relay per shard at a time** ([`crate::lease`]). A relay that cannot be sure of its leases any more
//!   drops everything in memory and begins anew. What it had sent and not seen acknowledged is sent again by the next
//!   owner, in the order of its key; late acknowledgements delete rows that the broker has, which is right at any time.
//! * An event is not read past one of its key that was committed late ([`window::Admission::Premature`]).
//! * An event that cannot be published (its row is damaged, the broker refuses it for good) stops its key and nothing
//!   else ([`blocked`]). It is never dropped: it is tried again now and then until somebody mends the cause.
//! * Headers are sent as they were stored, trace context included.
//! * A database that fails for a moment is asked again; nothing is forgotten while the leases last.
//! * A producer that fails for good is replaced, and everything in memory is read again from the table.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::lease::Leases;
use crate::{Outbox, OutboxError, OutboxSignal};
use kafka::KafkaConfig;
use service::backoff::Backoff;
use service::crash_points::Injected;
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

use held_shards::LeaseEnded;
use instrumentation::RelayTelemetry;
use producer::{Producer, ProducerError};
use session::Session;

/// Waits after an error of the database or the client.
const RECOVERY: Backoff = Backoff {
    initial: Duration::from_millis(100),
    cap: Duration::from_secs(5),
};

/// An interrupted session tries this long to give its leases back: less than they last.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Publishes the outbox of one service, or its share of it.
pub struct Relay {
    kafka: KafkaConfig,
    outbox: Arc<dyn Outbox>,
    leases: Arc<dyn Leases>,
    signal: OutboxSignal,
    telemetry: Arc<RelayTelemetry>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Relay").finish_non_exhaustive()
    }
}

/// What interrupts the relay; it recovers from all of it.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the outbox")]
    Outbox(#[from] OutboxError),
    #[error("the producer")]
    Producer(#[from] ProducerError),
    #[error(transparent)]
    LeaseEnded(#[from] LeaseEnded),
    #[error("publishing")]
    Injected(#[from] Injected),
}

impl Relay {
    /// A relay for this outbox; `signal` wakes it after a commit.
    pub fn new(
        kafka: &KafkaConfig,
        outbox: Arc<dyn Outbox>,
        leases: Arc<dyn Leases>,
        signal: OutboxSignal,
    ) -> Self {
        Self {
            kafka: kafka.clone(),
            outbox,
            leases,
            signal,
            telemetry: Arc::new(RelayTelemetry::new(kafka)),
        }
    }

    /// Publishes until `shutdown`. An outage of Kafka or of the database delays it and is logged.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut failures = 0;
        while !shutdown.is_cancelled() {
            let started = Instant::now();
            let Err(error) = self.publish_until(&shutdown).await else {
                return;
            };
            // A run that went well for a while has recovered from what was before it.
            failures = if started.elapsed() > RECOVERY.cap {
                1
            } else {
                failures + 1
            };
            tracing::warn!(error = %ErrorChain(&error), failures, "relay starts anew");
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(RECOVERY.delay(failures)) => {}
            }
        }
    }

    async fn publish_until(&self, shutdown: &CancellationToken) -> Result<(), RelayError> {
        let producer = Producer::new(&self.kafka, Arc::clone(&self.telemetry))?;
        // A name of its own for each session: a statement that takes effect after it was given up must not give back what
        // the next session holds.
        let member = Uuid::now_v7();
        let session = Session::new(
            self.outbox.as_ref(),
            self.leases.as_ref(),
            &self.signal,
            member,
            producer,
        );
        let ended = session.run(shutdown).await;
        // Whoever reads these keys next finds out anew.
        self.telemetry.show_blocked(0);
        if ended.is_err() {
            self.release_leases(member).await;
        }
        ended
    }

    /// Gives back the leases of a session that was interrupted, so that nobody has to wait until they run out.
    async fn release_leases(&self, member: Uuid) {
        let leave = tokio::time::timeout(RELEASE_TIMEOUT, self.leases.leave(member));
        if !matches!(leave.await, Ok(Ok(()))) {
            tracing::debug!("leases were not given back, they will run out");
        }
    }
}

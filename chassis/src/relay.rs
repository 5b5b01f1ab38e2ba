//! The outbox relay: publishes what was committed, each key in order, and loses nothing.
//!
//! ```text
//! outbox ──read──▶ window: per key a queue, its head at the broker ──acknowledged──▶ delete the row
//!   ▲                       │ refused or lost: the head is sent again                    │
//!   └── signal, or a poll ──┘                                                            ▼
//!                                                              crash before the delete: sent twice, never lost
//! ```
//!
//! * A row is work until it is deleted; it is deleted only when the broker has acknowledged it. The position up to
//!   which rows were read is a hint that saves reading them again; a full scan now and then makes it harmless.
//! * **One event per key is at the broker at a time**, thousands of keys at once: an event that has to be sent again
//!   cannot be overtaken by its successor, which idempotence alone does not promise when messages time out.
//! * Headers are sent as they were stored, trace context included.
//! * A producer that fails for good is replaced, and everything in memory is read again from the table.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::error_chain::ErrorChain;
use crate::kafka::KafkaConfig;
use crate::outbox::{Outbox, OutboxError, OutboxRow, OutboxSignal};

mod producer;
mod window;

use producer::{Producer, ProducerError, Report};
use window::Window;

/// Rows read at once.
const READ_LIMIT: u32 = 500;

/// Without a signal, the table is looked at this often: a signal can be lost with the process that owed it.
const POLL: Duration = Duration::from_millis(250);

/// The whole table is read this often, so that correctness does not depend on the read position.
const FULL_SCAN: Duration = Duration::from_secs(30);

/// Acknowledged rows are deleted together: at the latest this long after the first, or when this many wait. Each
/// delete is a commit that competes with the callers' commits for the disk.
const DELETE_AFTER: Duration = Duration::from_millis(10);
const DELETE_BATCH: usize = 500;

/// How long the last acknowledgements are waited for when the service stops; what is missing is sent again later.
const FLUSH: Duration = Duration::from_secs(5);

/// Waits after an error of the database or the client.
const RECOVERY: Backoff = Backoff {
    initial: Duration::from_millis(100),
    cap: Duration::from_secs(5),
};

/// Publishes the outbox of one service.
pub struct Relay {
    kafka: KafkaConfig,
    outbox: Arc<dyn Outbox>,
    signal: OutboxSignal,
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
}

impl Relay {
    /// A relay for this outbox; `signal` wakes it after a commit.
    pub fn new(kafka: &KafkaConfig, outbox: Arc<dyn Outbox>, signal: OutboxSignal) -> Self {
        Self {
            kafka: kafka.clone(),
            outbox,
            signal,
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
        let mut session = Session::new(self.outbox.as_ref(), Producer::new(&self.kafka)?);
        while !shutdown.is_cancelled() {
            session.fill().await?;
            session.delete_acknowledged(false).await?;
            let (has_room, next_duty) = (session.has_room(), session.next_duty());
            // Biased: acknowledgements make room before more is read.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                reports = session.producer.reports() => session.settle(reports)?,
                () = self.signal.notified(), if has_room => session.expect_more(),
                () = tokio::time::sleep_until(next_duty) => session.expect_more(),
            }
        }
        session.finish().await
    }
}

/// One producer and what is known of the table while it lives.
struct Session<'a> {
    outbox: &'a dyn Outbox,
    producer: Producer,
    window: Window,
    /// Rows up to here were read.
    read_up_to: i64,
    /// Whether rows above the read position are to be expected.
    more_expected: bool,
    acknowledged: Vec<i64>,
    delete_at: Option<Instant>,
    full_scan_at: Instant,
}

impl<'a> Session<'a> {
    fn new(outbox: &'a dyn Outbox, producer: Producer) -> Self {
        Self {
            outbox,
            producer,
            window: Window::default(),
            read_up_to: 0,
            more_expected: true,
            acknowledged: Vec::new(),
            delete_at: None,
            full_scan_at: Instant::now() + FULL_SCAN,
        }
    }

    fn has_room(&self) -> bool {
        !self.window.is_full()
    }

    fn expect_more(&mut self) {
        self.more_expected = true;
        if Instant::now() >= self.full_scan_at {
            self.read_up_to = 0;
            self.full_scan_at = Instant::now() + FULL_SCAN;
        }
    }

    /// When to look again without being called.
    fn next_duty(&self) -> Instant {
        let poll = Instant::now() + POLL;
        let retry = self.window.next_retry().unwrap_or(poll);
        self.delete_at.unwrap_or(poll).min(retry).min(poll)
    }

    /// Reads what is new, as far as there is room, and sends what may be sent.
    async fn fill(&mut self) -> Result<(), RelayError> {
        for row in self.window.due_retries(Instant::now()) {
            self.send(&row)?;
        }
        while self.more_expected && self.has_room() {
            let rows = self.outbox.read(self.read_up_to, READ_LIMIT).await?;
            self.more_expected = rows.len() == READ_LIMIT as usize;
            self.read_up_to = rows.last().map_or(self.read_up_to, |row| row.seq);
            for row in rows {
                if let Some(row) = self.window.admit(row) {
                    self.send(&row)?;
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, row: &Arc<OutboxRow>) -> Result<(), ProducerError> {
        match self.producer.send(row) {
            Ok(()) => Ok(()),
            Err(error) => self.postpone(row.seq, &error),
        }
    }

    /// Whether the broker has the row is not known: it is sent again, and consumers drop the duplicate.
    fn postpone(&mut self, seq: i64, error: &KafkaError) -> Result<(), ProducerError> {
        self.producer.check()?;
        tracing::warn!(seq, error = %error, "event was not published and will be sent again");
        self.window.postpone(seq, Instant::now() + POLL);
        Ok(())
    }

    /// Acts on what became of events at the broker.
    fn settle(&mut self, reports: Vec<Report>) -> Result<(), ProducerError> {
        for report in reports {
            match report.result {
                Ok(()) => self.acknowledge(report.seq)?,
                Err(error) => self.postpone(report.seq, &error)?,
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, seq: i64) -> Result<(), ProducerError> {
        self.acknowledged.push(seq);
        self.delete_at
            .get_or_insert_with(|| Instant::now() + DELETE_AFTER);
        match self.window.acknowledge(seq) {
            Some(next) => self.send(&next),
            None => Ok(()),
        }
    }

    async fn delete_acknowledged(&mut self, now: bool) -> Result<(), RelayError> {
        let due = self.delete_at.is_some_and(|at| at <= Instant::now());
        if self.acknowledged.is_empty() || !(now || due || self.acknowledged.len() >= DELETE_BATCH)
        {
            return Ok(());
        }
        self.outbox.delete(&self.acknowledged).await?;
        self.window.forget(&self.acknowledged);
        self.acknowledged.clear();
        self.delete_at = None;
        Ok(())
    }

    /// Waits for the last acknowledgements, so that a clean stop sends nothing twice.
    async fn finish(mut self) -> Result<(), RelayError> {
        let deadline = Instant::now() + FLUSH;
        self.window.close();
        while self.window.is_sending() {
            match tokio::time::timeout_at(deadline, self.producer.reports()).await {
                Ok(reports) => self.settle(reports)?,
                Err(_) => {
                    tracing::warn!(
                        "events at the broker were not acknowledged in time and may be sent again"
                    );
                    break;
                }
            }
        }
        self.delete_acknowledged(true).await
    }
}

//! One producer, the leases it sends under, and what is known of the table while both last.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::time::Instant;

use super::RelayError;
use super::holdings::Holdings;
use super::position::Position;
use super::producer::{Producer, Report};
use super::window::{Admission, Window};
use crate::crash_points::{CrashPoint, reach};
use crate::outbox::{Outbox, OutboxRow};

/// Rows read at once.
const READ_LIMIT: u32 = 500;

/// Without a signal, the table is looked at this often: a signal can be lost with the process that owed it.
const POLL: Duration = Duration::from_millis(250);

/// Nobody signals the rows that other processes write: they are looked for often while there are some, else less often.
const POLL_OTHERS_BUSY: Duration = Duration::from_millis(5);
const POLL_OTHERS_IDLE: Duration = Duration::from_millis(50);

/// An event that was refused is sent again after this long.
const SEND_AGAIN: Duration = Duration::from_millis(250);

/// Acknowledged rows are deleted together: at the latest this long after the first, or when this many wait. Each
/// delete is a commit that competes with the callers' commits for the disk.
const DELETE_AFTER: Duration = Duration::from_millis(10);
const DELETE_BATCH: usize = 500;

/// How long the last acknowledgements are waited for when the service stops; what is missing is sent again later.
const FLUSH: Duration = Duration::from_secs(5);

/// Publishes until something interrupts it; then everything in it is forgotten and read again.
pub(super) struct Session<'a> {
    outbox: &'a dyn Outbox,
    holdings: Holdings,
    producer: Producer,
    window: Window,
    position: Position,
    /// When to look for rows without being called.
    poll_at: Instant,
    acknowledged: Vec<i64>,
    delete_at: Option<Instant>,
}

impl<'a> Session<'a> {
    pub(super) fn new(outbox: &'a dyn Outbox, holdings: Holdings, producer: Producer) -> Self {
        let now = Instant::now();
        Self {
            outbox,
            holdings,
            producer,
            window: Window::default(),
            position: Position::new(outbox.has_other_writers(), now),
            poll_at: now,
            acknowledged: Vec::new(),
            delete_at: None,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        !self.window.is_full()
    }

    pub(super) fn expect_more(&mut self) {
        self.poll_at = Instant::now();
    }

    /// When there is something to do without being called.
    pub(super) fn next_duty(&self) -> Instant {
        let poll = self.has_room().then_some(self.poll_at);
        [poll, self.window.next_retry(), self.delete_at]
            .into_iter()
            .flatten()
            .fold(self.holdings.renew_at(), Instant::min)
    }

    /// What became of events at the broker; waits for the first.
    pub(super) async fn reports(&mut self) -> Vec<Report> {
        self.producer.reports().await
    }

    /// Renews the leases in time, begins with shards that are new, and hands over those that are too many.
    pub(super) async fn keep_leases(&mut self) -> Result<(), RelayError> {
        if self.holdings.renew().await? {
            reach(CrashPoint::AfterClaim)?;
            self.position.restart(Instant::now());
            self.expect_more();
        }
        let window = &self.window;
        self.holdings.hand_over(|shard| !window.holds(shard)).await
    }

    /// Reads what is new, as far as there is room, and sends what may be sent.
    pub(super) async fn fill(&mut self) -> Result<(), RelayError> {
        for row in self.window.due_retries(Instant::now()) {
            self.send(&row)?;
        }
        if self.has_room() && Instant::now() >= self.poll_at {
            let table = self.read().await?;
            self.poll_at = Instant::now() + self.poll_interval(table);
        }
        Ok(())
    }

    fn poll_interval(&self, table: Table) -> Duration {
        match (table, self.outbox.has_other_writers()) {
            // As soon as there is room again.
            (Table::HasMore, _) => Duration::ZERO,
            (_, false) => POLL,
            (Table::HadSome, true) => POLL_OTHERS_BUSY,
            (Table::HadNone, true) => POLL_OTHERS_IDLE,
        }
    }

    /// Reads until nothing is left or the window is full.
    async fn read(&mut self) -> Result<Table, RelayError> {
        let shards = self.holdings.readable();
        let mut after = self.position.start(Instant::now());
        let mut table = Table::HadNone;
        if shards.is_empty() {
            return Ok(table);
        }
        while self.has_room() {
            let known = self.window.known_above(after);
            let rows = self.outbox.read(&shards, after, &known, READ_LIMIT).await?;
            let is_last = rows.len() < READ_LIMIT as usize;
            if !rows.is_empty() {
                reach(CrashPoint::AfterRead)?;
            }
            after = match self.admit(rows)? {
                Progress::BackTo(missing) => missing - 1,
                Progress::UpTo(seq) if !is_last => seq,
                Progress::UpTo(_) => return Ok(Table::HadSome),
                Progress::Nowhere => return Ok(table),
            };
            table = Table::HadSome;
        }
        Ok(Table::HasMore)
    }

    /// Takes rows in, in order, up to the first whose predecessor was not read.
    fn admit(&mut self, rows: Vec<OutboxRow>) -> Result<Progress, RelayError> {
        let mut progress = Progress::Nowhere;
        for row in rows {
            let seq = row.seq;
            match self.window.admit(row) {
                Admission::Premature { predecessor } => {
                    return Ok(Progress::BackTo(predecessor));
                }
                Admission::Send(row) => self.send(&row)?,
                Admission::Queued | Admission::Known => {}
            }
            self.position.advance(seq, Instant::now());
            progress = Progress::UpTo(seq);
        }
        Ok(progress)
    }

    /// Hands an event to the producer, if this relay may still publish it.
    fn send(&mut self, row: &Arc<OutboxRow>) -> Result<(), RelayError> {
        self.holdings.check(Instant::now())?;
        match self.producer.send(row) {
            Ok(()) => Ok(reach(CrashPoint::AfterProduce)?),
            Err(error) => self.postpone(row.seq, &error),
        }
    }

    /// Whether the broker has the row is not known: it is sent again, and consumers drop the duplicate.
    fn postpone(&mut self, seq: i64, error: &KafkaError) -> Result<(), RelayError> {
        self.producer.check()?;
        tracing::warn!(seq, error = %error, "event was not published and will be sent again");
        self.window.postpone(seq, Instant::now() + SEND_AGAIN);
        Ok(())
    }

    /// Acts on what became of events at the broker.
    pub(super) fn settle(&mut self, reports: Vec<Report>) -> Result<(), RelayError> {
        for report in reports {
            match report.result {
                Ok(()) => self.acknowledge(report.seq)?,
                Err(error) => self.postpone(report.seq, &error)?,
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, seq: i64) -> Result<(), RelayError> {
        reach(CrashPoint::AfterAcknowledgement)?;
        self.acknowledged.push(seq);
        self.delete_at
            .get_or_insert_with(|| Instant::now() + DELETE_AFTER);
        match self.window.acknowledge(seq) {
            Some(next) => self.send(&next),
            None => Ok(()),
        }
    }

    pub(super) async fn delete_acknowledged(&mut self, now: bool) -> Result<(), RelayError> {
        let due = self.delete_at.is_some_and(|at| at <= Instant::now());
        if self.acknowledged.is_empty() || !(now || due || self.acknowledged.len() >= DELETE_BATCH)
        {
            return Ok(());
        }
        self.outbox.delete(&self.acknowledged).await?;
        reach(CrashPoint::AfterDelete)?;
        self.window.forget(&self.acknowledged);
        self.acknowledged.clear();
        self.delete_at = None;
        Ok(())
    }

    /// Waits for the last acknowledgements, so that a clean stop sends nothing twice, and gives the leases back.
    pub(super) async fn finish(mut self) -> Result<(), RelayError> {
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
        self.delete_acknowledged(true).await?;
        self.holdings.leave().await
    }
}

/// What a read found in the table.
#[derive(Clone, Copy)]
enum Table {
    HadNone,
    HadSome,
    /// More than the window takes.
    HasMore,
}

/// How far reading has come with a batch of rows.
enum Progress {
    /// There were none.
    Nowhere,
    /// Everything up to here was taken in.
    UpTo(i64),
    /// The row at this position was committed late and has to come first.
    BackTo(i64),
}

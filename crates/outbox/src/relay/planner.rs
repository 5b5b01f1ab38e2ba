//! What a relay does next: every decision of it, and nothing that carries one out.
//!
//! ```text
//!            next ──▶ renew │ hand over │ send │ read │ delete │ rest │ leave
//!  caller: does it, ──▶ renewed, handed_over, refused, rows, deleted │ while it rests: acknowledged, refused, signalled
//! ```
//!
//! Pure: no database, no broker, the clock is an argument. The caller does one duty at a time, tells how it went and asks
//! for the next. A database that fails for a moment costs nothing but time: what was to be read or deleted still is. After
//! any other error everything in here is dropped and read again, and what was sent and not deleted is sent twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::held_shards::{HeldShards, LeaseEnded};
use super::position::Position;
use super::window::{Admission, Refusal, Window};
use crate::lease::Tenure;
use crate::{OutboxRow, Shard};

/// Rows read at once.
pub(super) const READ_LIMIT: u32 = 500;

/// Without a signal, the table is looked at this often: a signal can be lost with the process that owed it.
const POLL: Duration = Duration::from_millis(250);

/// Nobody signals the rows that other processes write: they are looked for often while there are some, else less often.
const POLL_OTHERS_BUSY: Duration = Duration::from_millis(5);
const POLL_OTHERS_IDLE: Duration = Duration::from_millis(50);

/// Acknowledged rows are deleted together: at the latest this long after the first, or when this many wait. Each
/// delete is a commit that competes with the callers' commits for the disk.
const DELETE_AFTER: Duration = Duration::from_millis(10);
const DELETE_BATCH: usize = 500;

/// After it failed, the database is left alone for this long, and twice as long after each further failure in a row, up
/// to eight times: a commit that came to nothing is worth a quick second try, an outage is not.
const LEAVE_ALONE: Duration = Duration::from_millis(300);
const DOUBLED_AT_MOST: u32 = 3;

/// How long the last acknowledgements are waited for when the service stops; what is missing is sent again later.
const FLUSH: Duration = Duration::from_secs(5);

/// The next thing to do.
#[derive(Debug)]
pub(super) enum Action {
    /// Renew the leases.
    Renew,
    /// Give these shards back: nothing of them is at the broker.
    HandOver(Vec<Shard>),
    /// Hand this event to the producer, now: its lease was looked at for this moment.
    Send(Arc<OutboxRow>),
    /// Read rows from the table.
    Read(Query),
    /// Delete these rows, which the broker has.
    Delete(Vec<i64>),
    /// Nothing until then, unless the broker reports something or there is a signal.
    Rest {
        /// When there is something to do without being called.
        until: Instant,
        /// Whether a signal of new rows matters.
        wants_rows: bool,
    },
    /// Give all leases back: the relay has stopped.
    Leave,
}

/// Which rows to read: [`READ_LIMIT`] of these shards at most, above `after` and without those in `except`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) shards: Vec<Shard>,
    pub(super) after: i64,
    pub(super) except: Vec<i64>,
}

/// Decides for one relay, for as long as one producer and its leases last.
#[derive(Debug)]
pub(super) struct Planner {
    held_shards: HeldShards,
    window: Window,
    position: Position,
    has_other_writers: bool,
    /// Events whose turn has come and that the producer does not have yet.
    ready: VecDeque<Arc<OutboxRow>>,
    /// When to look for rows without being called.
    poll_at: Instant,
    reading: Option<Reading>,
    acknowledged: Vec<i64>,
    delete_at: Option<Instant>,
    /// No reading, deleting and handing over before.
    database_from: Instant,
    /// Failures of the database in a row.
    failures: u32,
    /// Set when the relay stops: how long acknowledgements are waited for.
    flush_until: Option<Instant>,
}

impl Planner {
    /// Nothing held, nothing read.
    pub(super) fn new(has_other_writers: bool, now: Instant) -> Self {
        Self {
            held_shards: HeldShards::new(now),
            window: Window::default(),
            position: Position::new(has_other_writers, now),
            has_other_writers,
            ready: VecDeque::new(),
            poll_at: now,
            reading: None,
            acknowledged: Vec::new(),
            delete_at: None,
            database_from: now,
            failures: 0,
            flush_until: None,
        }
    }

    /// How many keys stand still.
    pub(super) fn blocked_keys(&self) -> usize {
        self.window.blocked_keys()
    }

    /// What to do now.
    pub(super) fn next(&mut self, now: Instant) -> Result<Action, LeaseEnded> {
        if let Some(until) = self.flush_until {
            return Ok(self.next_of_stop(until, now));
        }
        self.ready.extend(self.window.due_retries(now));
        if let Some(row) = self.ready.pop_front() {
            self.held_shards.check(now)?;
            return Ok(Action::Send(row));
        }
        if now >= self.held_shards.renew_at() {
            return Ok(Action::Renew);
        }
        if now < self.database_from {
            return Ok(self.rest(now));
        }
        let idle = self.idle_surplus();
        if !idle.is_empty() {
            return Ok(Action::HandOver(idle));
        }
        if self.is_delete_due(now) {
            return Ok(self.delete());
        }
        if let Some(query) = self.next_read(now) {
            return Ok(Action::Read(query));
        }
        Ok(self.rest(now))
    }

    /// Waits for the last acknowledgements, so that a clean stop sends nothing twice.
    fn next_of_stop(&mut self, until: Instant, now: Instant) -> Action {
        if self.window.is_sending() && now < until {
            return Action::Rest {
                until,
                wants_rows: false,
            };
        }
        if !self.acknowledged.is_empty() && now < self.database_from {
            return Action::Rest {
                until: self.database_from,
                wants_rows: false,
            };
        }
        if !self.acknowledged.is_empty() {
            return self.delete();
        }
        if self.window.is_sending() {
            tracing::warn!(
                "events at the broker were not acknowledged in time and may be sent again"
            );
        }
        Action::Leave
    }

    fn rest(&self, now: Instant) -> Action {
        let has_database = now >= self.database_from;
        let wants_rows = has_database && self.has_room();
        let poll = wants_rows.then_some(self.poll_at);
        let delete = self.delete_at.filter(|_| has_database);
        let database = (!has_database).then_some(self.database_from);
        let planner = [poll, delete, database, self.window.next_retry()];
        Action::Rest {
            until: planner
                .into_iter()
                .flatten()
                .fold(self.held_shards.renew_at(), Instant::min),
            wants_rows,
        }
    }

    /// The database failed and is left alone for a moment. Returns whether there is time to try again.
    fn leave_alone(&mut self, now: Instant) -> bool {
        self.database_from = now + LEAVE_ALONE * 2_u32.pow(self.failures.min(DOUBLED_AT_MOST));
        self.failures = self.failures.saturating_add(1);
        self.flush_until.is_none_or(|until| now < until)
    }

    fn has_room(&self) -> bool {
        !self.window.is_full()
    }

    /// Sends nothing more. What is at the broker is waited for.
    pub(super) fn stop(&mut self, now: Instant) {
        for row in self.ready.drain(..) {
            self.window.refuse(row.seq, now);
        }
        self.window.close();
        self.flush_until = Some(now + FLUSH);
    }

    /// Whether [`Self::stop`] was called.
    pub(super) fn is_stopping(&self) -> bool {
        self.flush_until.is_some()
    }
}

#[cfg(test)]
impl Planner {
    /// How many rows are held in memory.
    pub(super) fn held(&self) -> usize {
        self.window.rows()
    }

    /// Whether something is at the broker.
    pub(super) fn is_sending(&self) -> bool {
        self.window.is_sending()
    }
}

/// Leases.
impl Planner {
    /// The leases were renewed. Returns whether shards were claimed.
    pub(super) fn renewed(&mut self, tenure: Tenure, now: Instant) -> Result<bool, LeaseEnded> {
        let has_more = self.held_shards.renewed(tenure, now)?;
        if has_more {
            self.position.restart(now);
            self.poll_at = now;
        }
        Ok(has_more)
    }

    /// The leases were not renewed. Returns whether they last until that is tried again.
    pub(super) fn renewal_failed(&mut self, now: Instant) -> bool {
        self.held_shards.renewal_failed(now)
    }

    /// The surplus shards of which nothing is held.
    fn idle_surplus(&self) -> Vec<Shard> {
        let leaving = self.held_shards.leaving();
        leaving.filter(|&shard| !self.window.holds(shard)).collect()
    }

    /// These shards were given back.
    pub(super) fn handed_over(&mut self, shards: &[Shard]) {
        self.held_shards.handed_over(shards);
    }
}

/// Reading.
impl Planner {
    /// Something was committed.
    pub(super) fn signalled(&mut self, now: Instant) {
        self.poll_at = now;
    }

    fn next_read(&mut self, now: Instant) -> Option<Query> {
        let shards = self.held_shards.readable();
        if self.reading.is_none() {
            self.begin_reading(now)?;
        }
        if shards.is_empty() {
            self.end_reading(Table::HadNone, now);
        }
        let after = self.reading.as_ref()?.after;
        Some(Query {
            shards,
            after,
            except: self.window.known_above(after),
        })
    }

    fn begin_reading(&mut self, now: Instant) -> Option<()> {
        if !self.has_room() || now < self.poll_at {
            return None;
        }
        if self.window.lift_blocks(now) {
            self.position.restart(now);
        }
        self.reading = Some(Reading {
            after: self.position.start(now),
            found: Table::HadNone,
        });
        Some(())
    }

    /// These rows were read.
    pub(super) fn rows(&mut self, rows: Vec<OutboxRow>, now: Instant) {
        self.failures = 0;
        let Some(found) = self.reading.as_ref().map(|reading| reading.found) else {
            return;
        };
        let is_last = rows.len() < READ_LIMIT as usize;
        let after = match self.admit(rows, now) {
            Progress::BackTo(missing) => missing - 1,
            Progress::UpTo(seq) if !is_last => seq,
            Progress::UpTo(_) => return self.end_reading(Table::HadSome, now),
            Progress::Nowhere => return self.end_reading(found, now),
        };
        if !self.has_room() {
            return self.end_reading(Table::HasMore, now);
        }
        self.reading = Some(Reading {
            after,
            found: Table::HadSome,
        });
    }

    /// Nothing was read. Returns whether there is time to try again: then from the beginning, whatever this was a part of.
    pub(super) fn read_failed(&mut self, now: Instant) -> bool {
        self.reading = None;
        self.position.restart(now);
        self.poll_at = now;
        self.leave_alone(now)
    }

    /// Takes rows in, in order, up to the first whose predecessor was not read.
    fn admit(&mut self, rows: Vec<OutboxRow>, now: Instant) -> Progress {
        let mut progress = Progress::Nowhere;
        for row in rows {
            let seq = row.seq;
            match self.window.admit(row) {
                Admission::Premature { predecessor } => return Progress::BackTo(predecessor),
                Admission::Send(row) => self.ready.push_back(row),
                Admission::Queued | Admission::Known | Admission::PassedOver => {}
            }
            self.position.advance(seq, now);
            progress = Progress::UpTo(seq);
        }
        progress
    }

    fn end_reading(&mut self, found: Table, now: Instant) {
        self.reading = None;
        self.poll_at = now
            + match (found, self.has_other_writers) {
                // As soon as there is room again.
                (Table::HasMore, _) => Duration::ZERO,
                (_, false) => POLL,
                (Table::HadSome, true) => POLL_OTHERS_BUSY,
                (Table::HadNone, true) => POLL_OTHERS_IDLE,
            };
    }
}

/// What becomes of events at the broker.
impl Planner {
    /// The broker has this event.
    pub(super) fn acknowledged(&mut self, seq: i64, now: Instant) {
        self.acknowledged.push(seq);
        self.delete_at.get_or_insert(now + DELETE_AFTER);
        self.ready.extend(self.window.acknowledge(seq));
    }

    /// This event was refused, by the producer or by the broker, or nobody knows: it is sent again, and consumers drop
    /// the duplicate.
    pub(super) fn refused(&mut self, seq: i64, now: Instant) -> Refusal {
        self.window.refuse(seq, now)
    }

    fn is_delete_due(&self, now: Instant) -> bool {
        self.acknowledged.len() >= DELETE_BATCH || self.delete_at.is_some_and(|at| at <= now)
    }

    fn delete(&mut self) -> Action {
        self.delete_at = None;
        Action::Delete(std::mem::take(&mut self.acknowledged))
    }

    /// These rows are not known to be deleted. Returns whether there is time to try again.
    pub(super) fn delete_failed(&mut self, rows: Vec<i64>, now: Instant) -> bool {
        self.acknowledged.extend(rows);
        self.delete_at = Some(now);
        self.leave_alone(now)
    }

    /// These rows are deleted.
    pub(super) fn deleted(&mut self, rows: &[i64]) {
        self.failures = 0;
        self.window.forget(rows);
    }
}

/// A look at the table that is not at its end.
#[derive(Clone, Copy, Debug)]
struct Reading {
    after: i64,
    found: Table,
}

/// What a read found in the table.
#[derive(Clone, Copy, Debug)]
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

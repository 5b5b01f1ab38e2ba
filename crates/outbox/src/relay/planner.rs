//! The relay's planner: decides the next action and carries out none.
//!
//! ```text
//!            next ──▶ renew │ release │ send │ scan │ read │ delete │ rest │ leave
//!  caller: does it, ──▶ renewed, released, publish_failed, positions, rows, deleted
//!                       between two actions: handed_over │ during a rest: acknowledged, publish_failed
//! ```
//!
//! A handed-over row is published without being read only if nothing can be known of it or of its key in the table that is
//! not in memory; else the table is read from its position on ([`Planner::handed_over`]).
//!
//! Pure: no database, no broker; the clock is an argument. The caller carries out one action at a time, reports its outcome
//! and asks for the next. A database failure only delays: the read or delete stays due. After any other error the caller
//! drops the planner and reads everything again, and events that were sent and not deleted are sent twice.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::held_shards::{HeldShards, LeaseEnded};
use super::window::{PublishFailure, Window, WindowSlot};
use crate::hand_over::CommittedRow;
use crate::lease::LeaseGrant;
use crate::outbox::OutboxRow;
use crate::shard::Shard;

mod action;
mod deletes;
mod pause;
mod scan;

pub(super) use action::{Action, PositionQuery};
use deletes::Deletes;
use pause::DatabasePause;
use scan::{NextRead, Scan};

/// Maximum number of rows per read, and per take from the hand-over.
pub(super) const READ_LIMIT: usize = 500;

/// Maximum number of positions per read: 40 KiB.
pub(super) const SCAN_LIMIT: u32 = 5_000;

/// Limit for the last acknowledgements when the service stops; unacknowledged events are sent again later.
const FLUSH: Duration = Duration::from_secs(5);

/// Plans one session: one producer and its leases.
#[derive(Debug)]
pub(super) struct Planner {
    held_shards: HeldShards,
    window: Window,
    /// Events to be sent that the producer does not have yet.
    ready: VecDeque<OutboxRow>,
    scan: Scan,
    deletes: Deletes,
    pause: DatabasePause,
    /// Set when the relay stops: the limit for acknowledgements.
    flush_until: Option<Instant>,
}

impl Planner {
    /// Holds no shard and no row.
    pub(super) fn new(has_other_writers: bool, now: Instant) -> Self {
        Self {
            held_shards: HeldShards::new(now),
            window: Window::default(),
            ready: VecDeque::new(),
            scan: Scan::new(has_other_writers, now),
            deletes: Deletes::default(),
            pause: DatabasePause::new(now),
            flush_until: None,
        }
    }

    pub(super) fn blocked_keys(&self) -> usize {
        self.window.blocked_keys()
    }

    /// The action to carry out now.
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
        if self.pause.until(now).is_some() {
            return Ok(self.rest(now));
        }
        let idle = self.idle_surplus();
        if !idle.is_empty() {
            return Ok(Action::Release(idle));
        }
        if self.deletes.is_due(now) {
            return Ok(Action::Delete(self.deletes.take()));
        }
        Ok(self.next_read(now).unwrap_or_else(|| self.rest(now)))
    }

    /// Waits for the last acknowledgements, so that a clean stop sends nothing twice.
    fn next_of_stop(&mut self, until: Instant, now: Instant) -> Action {
        let rest = |until| Action::Rest {
            until,
            wants_rows: false,
        };
        if self.window.has_in_flight() && now < until {
            return rest(until);
        }
        if !self.deletes.is_empty() {
            let pause = self.pause.until(now);
            return pause.map_or_else(|| Action::Delete(self.deletes.take()), rest);
        }
        if self.window.has_in_flight() {
            tracing::warn!("events in flight not acknowledged in time, may be sent again");
        }
        Action::Leave
    }

    fn rest(&self, now: Instant) -> Action {
        let pause = self.pause.until(now);
        let reads = pause.is_none() && !self.window.is_full();
        let scan = reads.then(|| self.scan.due());
        let delete = self.deletes.due().filter(|_| pause.is_none());
        let due = [scan, delete, pause, self.window.next_retry()];
        Action::Rest {
            until: due
                .into_iter()
                .flatten()
                .fold(self.held_shards.renew_at(), Instant::min),
            wants_rows: self.takes_rows(),
        }
    }

    /// Pauses the database. Returns whether there is time for a retry.
    fn database_failed(&mut self, now: Instant) -> bool {
        self.pause.failed(now);
        self.flush_until.is_none_or(|until| now < until)
    }

    /// Ends sending; events in flight are waited for.
    pub(super) fn stop(&mut self, now: Instant) {
        for row in self.ready.drain(..) {
            self.window.publish_failed(row.seq, now);
        }
        self.window.close();
        self.flush_until = Some(now + FLUSH);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.flush_until.is_some()
    }
}

#[cfg(test)]
impl Planner {
    /// Number of rows and blocked keys in memory.
    pub(super) fn held(&self) -> usize {
        self.window.rows()
    }

    pub(super) fn has_in_flight(&self) -> bool {
        self.window.has_in_flight()
    }
}

/// Leases.
impl Planner {
    /// The leases were renewed. Returns whether there are shards whose rows may be read from now on.
    pub(super) fn renewed(&mut self, grant: LeaseGrant, now: Instant) -> Result<bool, LeaseEnded> {
        self.scan.note_replicas(grant.has_others());
        let has_more = self.held_shards.renewed(grant, now)?;
        if has_more {
            self.scan.restart(now);
        }
        Ok(has_more)
    }

    /// The renewal failed. Returns whether the leases still last.
    pub(super) fn renewal_failed(&mut self, now: Instant) -> bool {
        self.held_shards.renewal_failed(now)
    }

    /// The surplus shards without rows in the window.
    fn idle_surplus(&self) -> Vec<Shard> {
        let surplus = self.held_shards.surplus();
        surplus.filter(|&shard| !self.window.holds(shard)).collect()
    }

    /// These shards were released.
    pub(super) fn released(&mut self, shards: &[Shard]) {
        self.held_shards.released(shards);
    }
}

/// The hand-over from the writers of this process.
impl Planner {
    /// Whether handed-over rows may be taken. Not while rows are known to be unread: those come first, so that new events
    /// delay no backlog, and the hand-over does not fill the window of a scan.
    pub(super) fn takes_rows(&self) -> bool {
        !self.is_stopping() && self.scan.is_caught_up() && !self.window.is_full()
    }

    /// These rows were handed over.
    pub(super) fn handed_over(&mut self, rows: Vec<CommittedRow>, now: Instant) {
        for row in rows {
            self.take(row, now);
        }
    }

    /// Rows from this position on were not handed over: they are in the table.
    pub(super) fn not_handed_over(&mut self, seq: i64, now: Instant) {
        self.scan.read_from(seq, now);
    }

    /// Publishes a handed-over row, or has it read from the table if one of these is possible: this relay or the previous
    /// owner of its shard has published it; an earlier row of its key is unpublished and not in memory.
    fn take(&mut self, CommittedRow { row, began }: CommittedRow, now: Instant) {
        let seq = row.seq;
        // The owner of the shard finds the row. So does this relay, if it becomes the owner.
        let Some(readable_since) = self.held_shards.readable_since(row.shard) else {
            return;
        };
        if self.window.knows(seq) {
            return;
        }
        let is_owned = began > readable_since;
        if !is_owned || self.window.may_have_deleted(seq) || !self.scan.reaches(seq) {
            return self.scan.read_from(seq, now);
        }
        match self.window.admit(row) {
            WindowSlot::Premature { predecessor } => return self.scan.read_from(predecessor, now),
            WindowSlot::Send(row) => self.ready.push_back(row),
            WindowSlot::Queued | WindowSlot::Known | WindowSlot::KeyBlocked => {}
        }
        self.scan.handed_over(seq, now);
    }
}

/// Reading.
impl Planner {
    fn next_read(&mut self, now: Instant) -> Option<Action> {
        let shards = self.held_shards.readable();
        if !self.scan.is_running() {
            self.begin_scan(now)?;
        }
        if shards.is_empty() {
            self.scan.end(now);
        }
        Some(match self.scan.next_read()? {
            NextRead::Positions(after) => Action::Scan(PositionQuery { shards, after }),
            NextRead::Rows(positions) => Action::Read(positions),
        })
    }

    fn begin_scan(&mut self, now: Instant) -> Option<()> {
        if now < self.scan.due() {
            return None;
        }
        // First: blocked keys alone may fill the window, and nothing else would make room in it.
        if self.window.lift_blocks(now) {
            self.scan.restart(now);
        }
        if self.window.is_full() {
            return None;
        }
        self.scan.begin(now);
        Some(())
    }

    /// A read returned these positions.
    pub(super) fn positions(&mut self, positions: &[i64], now: Instant) {
        self.pause.succeeded();
        let unread = positions.iter().copied();
        let unread = unread.filter(|seq| !self.window.knows(*seq)).collect();
        self.scan.page(positions, unread, now);
    }

    /// A read returned these rows: they are admitted in order, up to the first whose predecessor was not read.
    pub(super) fn rows(&mut self, rows: Vec<OutboxRow>, now: Instant) {
        self.pause.succeeded();
        for row in rows {
            // Since its position was read, its shard may have been released.
            if self.held_shards.readable_since(row.shard).is_none() {
                continue;
            }
            match self.window.admit(row) {
                WindowSlot::Premature { predecessor } => {
                    return self.scan.back_to(predecessor, !self.window.is_full(), now);
                }
                WindowSlot::Send(row) => self.ready.push_back(row),
                WindowSlot::Queued | WindowSlot::Known | WindowSlot::KeyBlocked => {}
            }
        }
        self.scan.rows_are_read(!self.window.is_full(), now);
    }

    /// A read failed: the running scan repeats it after a pause, so that it ends although some reads fail; the scan after it
    /// reads the whole table. Returns whether there is time for a retry.
    pub(super) fn read_failed(&mut self, now: Instant) -> bool {
        self.scan.restart(now);
        self.database_failed(now)
    }
}

/// Outcomes of events in flight.
impl Planner {
    /// The broker has this event.
    pub(super) fn acknowledged(&mut self, seq: i64, now: Instant) {
        self.deletes.push(seq, now);
        self.ready.extend(self.window.acknowledge(seq));
    }

    /// The producer or the broker rejected this event, or its outcome is unknown. It is sent again; consumers drop the
    /// duplicate.
    pub(super) fn publish_failed(&mut self, seq: i64, now: Instant) -> PublishFailure {
        self.window.publish_failed(seq, now)
    }

    /// The delete of these rows failed or its outcome is unknown. Returns whether there is time for a retry.
    pub(super) fn delete_failed(&mut self, rows: Vec<i64>, now: Instant) -> bool {
        self.deletes.put_back(rows, now);
        self.database_failed(now)
    }

    /// These rows are deleted.
    pub(super) fn deleted(&mut self, rows: &[i64]) {
        self.pause.succeeded();
        self.window.deleted(rows);
    }
}

#[cfg(test)]
mod tests;

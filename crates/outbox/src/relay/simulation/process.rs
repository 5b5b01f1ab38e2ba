//! One process with a relay: what it holds, and what it waits for.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::super::planner::{Planner, Query};
use super::leases::MemberId;
use super::ledger::Sender;
use crate::lease::Tenure;
use crate::{OutboxRow, Shard};

/// Microseconds.
type Micros = u64;

/// What it asks the database.
#[derive(Clone, Debug)]
pub(super) enum Statement {
    Renew { asked: Instant },
    HandOver(Vec<Shard>),
    Read(Query),
    Delete(Vec<i64>),
    Leave,
}

/// What the database says, or that it says nothing.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Renewed(Tenure),
    HandedOver(Vec<Shard>),
    Rows(Vec<OutboxRow>),
    Deleted(Vec<i64>),
    Left,
    Failed(Statement),
}

/// A place at which processes run, one after the other.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) sender: Sender,
    pub(super) member: MemberId,
    /// None while the process is dead, or waits before it starts anew.
    pub(super) planner: Option<Planner>,
    pub(super) frozen_until: Micros,
    pub(super) rest: Rest,
    /// What the producer has reported and the relay has not seen.
    pub(super) reports: VecDeque<(i64, bool)>,
    pub(super) has_signal: bool,
    pub(super) is_asked_to_stop: bool,
}

/// Whether the relay waits, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) is_resting: bool,
    pub(super) wants_rows: bool,
    /// Which rest it is: a wake-up from an earlier one means nothing.
    pub(super) number: u64,
}

impl Process {
    pub(super) fn new(process: usize, member: MemberId) -> Self {
        Self {
            sender: Sender {
                process,
                session: 0,
            },
            member,
            planner: None,
            frozen_until: 0,
            rest: Rest::default(),
            reports: VecDeque::new(),
            has_signal: false,
            is_asked_to_stop: false,
        }
    }

    /// Forgets everything, as a session that ends does.
    pub(super) fn end_session(&mut self) {
        self.sender.session += 1;
        self.planner = None;
        self.rest.is_resting = false;
        self.reports.clear();
    }

    /// Ends this rest, if the relay rests and it is this one.
    pub(super) fn is_woken_from(&mut self, rest: u64) -> bool {
        self.rest.number == rest && std::mem::take(&mut self.rest.is_resting)
    }

    /// What the relay is called for while it rests. `false` if it is not called.
    pub(super) fn interrupt(&mut self, wants_rows: bool, now: Instant) -> Interruption {
        let Some(planner) = &mut self.planner else {
            return Interruption::None;
        };
        if self.is_asked_to_stop && !planner.is_stopping() {
            planner.stop(now);
            Interruption::Stop
        } else if !self.reports.is_empty() {
            Interruption::Reports
        } else if wants_rows && std::mem::take(&mut self.has_signal) {
            planner.signalled(now);
            Interruption::Signal
        } else {
            Interruption::None
        }
    }
}

/// Why a rest ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    None,
    Stop,
    Reports,
    Signal,
}

//! One process with a relay: its session, its rest and its pending reports.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::super::planner::{Planner, PositionQuery};
use super::clock::Micros;
use super::leases::MemberId;
use super::ledger::Sender;
use crate::hand_over::HandOver;
use crate::lease::LeaseGrant;
use crate::outbox::OutboxRow;
use crate::shard::Shard;

/// A statement to the database.
#[derive(Clone, Debug)]
pub(super) enum DatabaseRequest {
    Renew { asked: Instant },
    Release(Vec<Shard>),
    Scan(PositionQuery),
    Read(Vec<i64>),
    Delete(Vec<i64>),
    Leave,
}

/// The answer of the database, or a timeout.
#[derive(Clone, Debug)]
pub(super) enum DatabaseAnswer {
    Renewed(LeaseGrant),
    Released(Vec<Shard>),
    Positions(Vec<i64>),
    Rows(Vec<OutboxRow>),
    Deleted(Vec<i64>),
    Left,
    Failed(DatabaseRequest),
}

/// A slot for processes, which run one after the other.
#[derive(Debug)]
pub(super) struct RelayProcess {
    pub(super) sender: Sender,
    pub(super) member: MemberId,
    /// `None` while the process is dead, or waits before a restart.
    pub(super) planner: Option<Planner>,
    pub(super) frozen_until: Micros,
    pub(super) rest: Rest,
    /// Reports of the producer that the relay has not read.
    pub(super) reports: VecDeque<(i64, bool)>,
    /// Counts the processes of this slot.
    pub(super) life: u64,
    pub(super) hand_over: HandOver,
    /// A hand-over has not been noticed yet.
    pub(super) has_arrival: bool,
    pub(super) is_asked_to_stop: bool,
}

/// Whether the relay rests, and which events end the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) is_resting: bool,
    pub(super) wants_rows: bool,
    /// Identifies the rest: a wake-up from an earlier one is ignored.
    pub(super) number: u64,
}

impl RelayProcess {
    pub(super) fn new(process: usize, member: MemberId, hand_over: HandOver) -> Self {
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
            life: 0,
            hand_over,
            has_arrival: false,
            is_asked_to_stop: false,
        }
    }

    /// Drops all state of the session.
    pub(super) fn end_session(&mut self) {
        self.sender.session += 1;
        self.planner = None;
        self.rest.is_resting = false;
        self.reports.clear();
    }

    /// Ends this rest; `false` if the relay does not rest or it is another rest.
    pub(super) fn is_woken_from(&mut self, rest: u64) -> bool {
        self.rest.number == rest && std::mem::take(&mut self.rest.is_resting)
    }

    /// The reason to end a rest, if there is one.
    pub(super) fn interrupt(&mut self, wants_rows: bool, now: Instant) -> Interruption {
        let Some(planner) = &mut self.planner else {
            return Interruption::None;
        };
        if self.is_asked_to_stop && !planner.is_stopping() {
            planner.stop(now);
            Interruption::Stop
        } else if !self.reports.is_empty() {
            Interruption::Reports
        } else if wants_rows && std::mem::take(&mut self.has_arrival) {
            Interruption::HandOver
        } else {
            Interruption::None
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    None,
    Stop,
    Reports,
    HandOver,
}

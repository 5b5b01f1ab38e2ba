//! The events of a simulation and their times.

use super::ledger::Sender;
use super::process::{Answer, Statement};
use super::table::Stored;

/// Simulated time in microseconds.
pub(super) type Micros = u64;
pub(super) const MILLISECOND: Micros = 1_000;
pub(super) const SECOND: Micros = 1_000_000;

#[derive(Debug)]
pub(super) enum Event {
    /// A transaction begins, and later another.
    Transaction,
    Commit {
        rows: Vec<(i64, Stored)>,
        is_rolled_back: bool,
    },
    /// A fault is injected, and later another.
    Fault,
    Start(Sender),
    Wake {
        sender: Sender,
        rest: u64,
    },
    /// A statement takes effect; its answer arrives after `answer_after`, if at all.
    Apply {
        sender: Sender,
        member: u64,
        statement: Statement,
        answer_after: Option<Micros>,
    },
    Answered {
        sender: Sender,
        answer: Answer,
    },
    Write {
        sender: Sender,
        seq: i64,
        key: usize,
    },
    Report {
        sender: Sender,
        seq: i64,
        is_success: bool,
    },
}

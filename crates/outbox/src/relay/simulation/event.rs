//! The events of a simulation.

use super::clock::Micros;
use super::ledger::Sender;
use super::process::{DatabaseAnswer, DatabaseRequest};
use super::table::Inserted;
use super::transactions::Writer;

#[derive(Debug)]
pub(super) enum SimulationEvent {
    /// A transaction begins, and later another.
    Transaction,
    Commit {
        writer: Writer,
        rows: Vec<Inserted>,
        is_rolled_back: bool,
    },
    /// The writer has learned that its transaction is committed.
    HandOver {
        writer: Writer,
        rows: Vec<Inserted>,
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
        statement: DatabaseRequest,
        answer_after: Option<Micros>,
    },
    Answered {
        sender: Sender,
        answer: DatabaseAnswer,
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

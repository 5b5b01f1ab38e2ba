//! The processes: they start, crash, are replaced, and carry out the actions of their planner.

use tokio::time::Instant;

use super::super::planner::{Action, Planner, READ_LIMIT};
use super::super::window::MAX_ROWS;
use super::Simulation;
use super::clock::SECOND;
use super::event::SimulationEvent;
use super::process::{DatabaseRequest, Interruption, RelayProcess};
use crate::hand_over::{HandOver, Taken};

/// More actions than this without a rest are an endless loop.
const MAX_ACTIONS: u32 = 60_000;

/// Maximum number of rows in memory: a full window and one read.
const MAX_HELD: usize = MAX_ROWS + READ_LIMIT;

impl Simulation {
    pub(super) fn start(&mut self, process: usize) {
        let now = self.instant();
        self.processes[process].planner = Some(Planner::new(self.is_shared, now));
        self.proceed(process);
    }

    /// A session fails; its process begins a new one.
    pub(super) fn break_session(&mut self, process: usize) {
        assert!(!self.faults.is_fair, "a session failed without a fault");
        let broken = self.processes[process].sender;
        self.ledger.broken(broken);
        if self.processes[process].is_asked_to_stop {
            return self.replace_process(process);
        }
        self.release_leases(process);
        let member = self.number();
        let process = &mut self.processes[process];
        process.end_session();
        process.member = member;
        let sender = process.sender;
        self.after(1, 5 * SECOND, SimulationEvent::Start(sender));
    }

    /// Releases the leases of a failed session, in half of the cases.
    pub(super) fn release_leases(&mut self, process: usize) {
        if self.rng.happens(500) {
            let RelayProcess { sender, member, .. } = self.processes[process];
            let leave = SimulationEvent::Apply {
                sender,
                member,
                statement: DatabaseRequest::Leave,
                answer_after: None,
            };
            self.after(1, 10 * SECOND, leave);
        }
    }

    pub(super) fn crash(&mut self, process: usize) {
        let broken = self.processes[process].sender;
        self.ledger.broken(broken);
        self.replace_process(process);
    }

    /// Another process replaces this one.
    pub(super) fn replace_process(&mut self, process: usize) {
        let member = self.number();
        let process = &mut self.processes[process];
        process.end_session();
        process.member = member;
        process.is_asked_to_stop = false;
        process.life += 1;
        process.hand_over = HandOver::bounded(self.faults.hand_over_rows);
        let sender = process.sender;
        self.after(SECOND / 10, 8 * SECOND, SimulationEvent::Start(sender));
    }

    /// Wakes the relay if it rests, because of a report, a hand-over or a stop.
    pub(super) fn wake(&mut self, process: usize) {
        let thaw = self.processes[process].frozen_until;
        let rest = self.processes[process].rest;
        if !rest.is_resting {
            return;
        }
        if thaw > self.now {
            let sender = self.processes[process].sender;
            let rest = rest.number;
            self.at(thaw - self.now, SimulationEvent::Wake { sender, rest });
            return;
        }
        self.processes[process].rest.is_resting = false;
        self.proceed(process);
    }

    /// Carries out one action after the other until one takes time.
    pub(super) fn proceed(&mut self, process: usize) {
        let now = self.instant();
        for _ in 0..MAX_ACTIONS {
            self.steps += 1;
            let RelayProcess {
                planner, hand_over, ..
            } = &mut self.processes[process];
            let Some(planner) = planner else {
                return;
            };
            if planner.takes_rows() {
                match hand_over.take(READ_LIMIT) {
                    Taken::Rows(rows) => planner.handed_over(rows, now),
                    Taken::ReadFrom(seq) => planner.not_handed_over(seq, now),
                }
            }
            assert!(
                planner.held() <= MAX_HELD,
                "{} rows are held",
                planner.held()
            );
            let statement = match planner.next(now) {
                Err(_) => return self.break_session(process),
                Ok(Action::Send(row)) => {
                    self.send(process, row.seq);
                    continue;
                }
                Ok(Action::Rest { until, wants_rows }) => {
                    if self.rest(process, until, wants_rows) {
                        return;
                    }
                    continue;
                }
                Ok(Action::Renew) => DatabaseRequest::Renew { asked: now },
                Ok(Action::Release(shards)) => DatabaseRequest::Release(shards),
                Ok(Action::Scan(query)) => DatabaseRequest::Scan(query),
                Ok(Action::Read(positions)) => DatabaseRequest::Read(positions),
                Ok(Action::Delete(rows)) => DatabaseRequest::Delete(rows),
                Ok(Action::Leave) => {
                    self.note_missing_reports(process);
                    DatabaseRequest::Leave
                }
            };
            return self.ask(process, statement);
        }
        panic!("a relay never rests");
    }

    /// A clean end, unless acknowledgements are missing: other relays may send those events again as soon as the leases are
    /// released, which may be long before the answer arrives, if it does.
    fn note_missing_reports(&mut self, process: usize) {
        let process = &self.processes[process];
        if process.planner.as_ref().is_some_and(Planner::has_in_flight) {
            self.ledger.broken(process.sender);
        }
    }

    /// Returns whether the relay rests now.
    pub(super) fn rest(&mut self, process: usize, until: Instant, wants_rows: bool) -> bool {
        let now = self.instant();
        match self.processes[process].interrupt(wants_rows, now) {
            Interruption::None => {}
            Interruption::Reports => {
                self.settle(process);
                return false;
            }
            Interruption::Stop | Interruption::HandOver => return false,
        }
        if until <= now {
            return false;
        }
        let number = self.number();
        let rest = &mut self.processes[process].rest;
        rest.is_resting = true;
        rest.wants_rows = wants_rows;
        rest.number = number;
        let sender = self.processes[process].sender;
        let delay = u64::try_from(until.duration_since(now).as_micros()).unwrap() + 1;
        let rest = number;
        self.at(delay, SimulationEvent::Wake { sender, rest });
        true
    }
}

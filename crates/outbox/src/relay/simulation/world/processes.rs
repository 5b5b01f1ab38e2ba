//! Life and death of processes, and what a living one does.

use tokio::time::Instant;

use super::super::super::planner::{Action, Planner};
use super::super::super::window::MAX_ROWS;
use super::super::process::{Interruption, Process, Statement};
use super::{Event, SECOND, World};

/// More duties than this without a rest are a loop without end.
const BUSY: u32 = 60_000;

/// What is held at most: a full window, and what one read brings.
const MAX_HELD: usize = MAX_ROWS + 500;

impl World {
    pub(super) fn start(&mut self, process: usize) {
        let now = self.instant();
        self.processes[process].planner = Some(Planner::new(self.is_shared, now));
        self.proceed(process);
    }

    /// A session ends in the middle; the process begins a new one.
    pub(super) fn break_session(&mut self, process: usize) {
        assert!(!self.weather.is_fair, "nothing was wrong");
        let broken = self.processes[process].sender;
        self.ledger.broken(broken);
        if self.processes[process].is_asked_to_stop {
            return self.succeed(process);
        }
        self.release_leases(process);
        let member = self.number();
        let process = &mut self.processes[process];
        process.end_session();
        process.member = member;
        let sender = process.sender;
        self.after(1, 5 * SECOND, Event::Start(sender));
    }

    /// Gives the leases of a broken session back, if the database hears it.
    pub(super) fn release_leases(&mut self, process: usize) {
        if self.rng.happens(500) {
            let Process { sender, member, .. } = self.processes[process];
            let leave = Event::Apply {
                sender,
                member,
                statement: Statement::Leave,
                answer_after: None,
            };
            self.after(1, 10 * SECOND, leave);
        }
    }

    pub(super) fn die(&mut self, process: usize) {
        let broken = self.processes[process].sender;
        self.ledger.broken(broken);
        self.succeed(process);
    }

    /// Another process takes the place of this one.
    pub(super) fn succeed(&mut self, process: usize) {
        let member = self.number();
        let process = &mut self.processes[process];
        process.end_session();
        process.member = member;
        process.is_asked_to_stop = false;
        let sender = process.sender;
        self.after(SECOND / 10, 8 * SECOND, Event::Start(sender));
    }

    /// Something has happened that a resting relay wakes for.
    pub(super) fn call(&mut self, process: usize) {
        let thaw = self.processes[process].frozen_until;
        let rest = self.processes[process].rest;
        if !rest.is_resting {
            return;
        }
        if thaw > self.now {
            let sender = self.processes[process].sender;
            let rest = rest.number;
            self.at(thaw - self.now, Event::Wake { sender, rest });
            return;
        }
        self.processes[process].rest.is_resting = false;
        self.proceed(process);
    }

    /// Does one duty after the other until one takes time.
    pub(super) fn proceed(&mut self, process: usize) {
        let now = self.instant();
        for _ in 0..BUSY {
            self.steps += 1;
            let Some(planner) = &mut self.processes[process].planner else {
                return;
            };
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
                Ok(Action::Renew) => Statement::Renew { asked: now },
                Ok(Action::HandOver(shards)) => Statement::HandOver(shards),
                Ok(Action::Read(query)) => Statement::Read(query),
                Ok(Action::Delete(rows)) => Statement::Delete(rows),
                Ok(Action::Leave) => {
                    self.take_leave(process);
                    Statement::Leave
                }
            };
            return self.ask(process, statement);
        }
        panic!("a relay never rests");
    }

    /// A clean end, unless acknowledgements were waited for in vain. Others may send what they are missing from the moment at
    /// which the leases are given back, which may be long before the answer to it, if there is one.
    fn take_leave(&mut self, process: usize) {
        let process = &self.processes[process];
        if process.planner.as_ref().is_some_and(Planner::is_sending) {
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
            Interruption::Stop | Interruption::Signal => return false,
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
        self.at(delay, Event::Wake { sender, rest });
        true
    }
}

//! The database: statements take effect and are answered in time, too late, or not at all.

use tokio::time::Instant;

use super::Simulation;
use super::clock::{MILLISECOND, Micros, SECOND};
use super::event::SimulationEvent;
use super::ledger::Sender;
use super::process::{DatabaseAnswer, DatabaseRequest, RelayProcess};
use crate::lease::LeaseGrant;
use crate::shard::Shard;

impl Simulation {
    pub(super) fn ask(&mut self, process: usize, statement: DatabaseRequest) {
        let RelayProcess { sender, member, .. } = self.processes[process];
        let failed = SimulationEvent::Answered {
            sender,
            answer: DatabaseAnswer::Failed(statement.clone()),
        };
        if self.now < self.faults.outage_until && !self.is_fault_free() {
            return self.after(MILLISECOND, SECOND, failed);
        }
        let apply = |answer_after| SimulationEvent::Apply {
            sender,
            member,
            statement: statement.clone(),
            answer_after,
        };
        let quick = self.rng.within(1..3 * MILLISECOND);
        if !self.rng.happens(self.faults.statements) {
            return self.after(1, 3 * MILLISECOND, apply(Some(quick)));
        }
        match self.rng.index(4) {
            0 => self.after(1, SECOND, failed),
            // It takes effect, but its answer is lost.
            1 => {
                self.after(1, SECOND, apply(None));
                self.after(SECOND, 7 * SECOND, failed);
            }
            // It takes effect after its timeout.
            2 => {
                self.at(7 * SECOND, failed);
                self.after(7 * SECOND, 20 * SECOND, apply(None));
            }
            _ => self.after(1, 6 * SECOND, apply(Some(quick))),
        }
    }

    pub(super) fn apply(
        &mut self,
        sender: Sender,
        member: u64,
        statement: DatabaseRequest,
        answer_after: Option<Micros>,
    ) {
        let answer = match statement {
            DatabaseRequest::Renew { asked } => self.renew(member, asked),
            DatabaseRequest::Release(shards) => {
                self.leases.release(member, &shards);
                DatabaseAnswer::Released(shards)
            }
            DatabaseRequest::Scan(query) => DatabaseAnswer::Positions(self.table.positions(&query)),
            DatabaseRequest::Read(positions) => DatabaseAnswer::Rows(self.table.read(&positions)),
            DatabaseRequest::Delete(rows) => {
                for seq in &rows {
                    if self.table.delete(*seq) {
                        self.ledger.deleted(*seq);
                    }
                }
                DatabaseAnswer::Deleted(rows)
            }
            DatabaseRequest::Leave => {
                self.leases.leave(member);
                DatabaseAnswer::Left
            }
        };
        if let Some(delay) = answer_after {
            self.at(delay, SimulationEvent::Answered { sender, answer });
        }
    }

    pub(super) fn renew(&mut self, member: u64, asked: Instant) -> DatabaseAnswer {
        if !self.is_shared {
            let shards: Vec<_> = Shard::all().collect();
            return DatabaseAnswer::Renewed(LeaseGrant {
                fair_share: shards.len(),
                shards,
                ends: None,
            });
        }
        let (shards, fair_share) = self.leases.renew(member, self.now);
        DatabaseAnswer::Renewed(LeaseGrant::granted(asked, shards, fair_share))
    }

    pub(super) fn answered(&mut self, process: usize, answer: DatabaseAnswer) {
        let now = self.instant();
        let Some(planner) = &mut self.processes[process].planner else {
            return;
        };
        let is_fine = match answer {
            DatabaseAnswer::Renewed(grant) => planner.renewed(grant, now).is_ok(),
            DatabaseAnswer::Failed(DatabaseRequest::Renew { .. }) => planner.renewal_failed(now),
            DatabaseAnswer::Failed(DatabaseRequest::Scan(_) | DatabaseRequest::Read(_)) => {
                planner.read_failed(now)
            }
            DatabaseAnswer::Failed(DatabaseRequest::Delete(rows)) => {
                planner.delete_failed(rows, now)
            }
            DatabaseAnswer::Failed(DatabaseRequest::Leave) => false,
            DatabaseAnswer::Failed(DatabaseRequest::Release(shards))
            | DatabaseAnswer::Released(shards) => {
                planner.released(&shards);
                true
            }
            DatabaseAnswer::Positions(positions) => {
                planner.positions(&positions, now);
                true
            }
            DatabaseAnswer::Rows(rows) => {
                planner.rows(rows, now);
                true
            }
            DatabaseAnswer::Deleted(rows) => {
                planner.deleted(&rows);
                true
            }
            DatabaseAnswer::Left => return self.replace_process(process),
        };
        if is_fine {
            self.proceed(process);
        } else {
            self.break_session(process);
        }
    }
}

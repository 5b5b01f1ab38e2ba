//! Fault injection, and the checks once the faults have ended.

use std::collections::HashSet;

use super::Simulation;
use super::clock::SECOND;
use super::event::SimulationEvent;

impl Simulation {
    pub(super) fn inject_fault(&mut self) {
        if self.is_fault_free() {
            return;
        }
        let process = self.rng.index(self.processes.len());
        match self.rng.index(8) {
            0 | 1 => self.processes[process].is_asked_to_stop = true,
            _ if self.faults.is_fair => {}
            2 => self.crash(process),
            3 => {
                let thaw = self.now + self.rng.within(SECOND / 10..15 * SECOND);
                self.processes[process].frozen_until = thaw;
            }
            4 => {
                let end = self.now + self.rng.within(SECOND / 10..12 * SECOND);
                self.faults.outage_until = end;
            }
            // A fatal error of the producer.
            5 if self.processes[process].planner.is_some() => self.break_session(process),
            _ => {}
        }
        self.wake(process);
        self.after(SECOND / 20, 3 * SECOND, SimulationEvent::Fault);
    }

    pub(super) fn end_faults(&mut self) {
        self.faults.statements = 0;
        self.faults.broker = 0;
        for process in 0..self.processes.len() {
            let thaw = &mut self.processes[process].frozen_until;
            *thaw = self.now.min(*thaw);
        }
    }

    /// An operator fixes or deletes the events that the broker rejects.
    pub(super) fn fix_or_delete_poison(&mut self) {
        for seq in self.table.poison() {
            if self.rng.happens(500) {
                self.table.fix(seq);
            } else {
                self.ledger.skipped(seq);
                self.table.delete(seq);
            }
            self.poison.remove(&seq);
        }
    }

    pub(super) fn assert_recovered(&self) {
        self.ledger.assert_complete(&HashSet::new());
        let rows = self.table.rows.len();
        assert_eq!(rows, 0, "rows are left");
        if self.faults.is_fair {
            assert_eq!(self.ledger.duplicates, 0);
        }
        if self.is_shared {
            let shares = self.processes.iter();
            let shares = shares.map(|process| self.leases.shards_of(process.member).len());
            assert_eq!(shares.sum::<usize>(), 32, "shards have no owner");
        }
    }
}

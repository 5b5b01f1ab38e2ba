//! What goes wrong, and how it ends.

use std::collections::HashSet;

use super::{Event, SECOND, World};

impl World {
    pub(super) fn faults(&mut self) {
        if self.is_well() {
            return;
        }
        let process = self.rng.index(self.processes.len());
        match self.rng.index(8) {
            0 | 1 => self.processes[process].is_asked_to_stop = true,
            _ if self.weather.is_fair => {}
            2 => self.die(process),
            3 => {
                let thaw = self.now + self.rng.within(SECOND / 10..15 * SECOND);
                self.processes[process].frozen_until = thaw;
            }
            4 => {
                let end = self.now + self.rng.within(SECOND / 10..12 * SECOND);
                self.weather.outage_until = end;
            }
            // The producer fails for good.
            5 if self.processes[process].planner.is_some() => self.break_session(process),
            _ => {}
        }
        self.call(process);
        self.after(SECOND / 20, 3 * SECOND, Event::Misfortune);
    }

    pub(super) fn become_well(&mut self) {
        self.weather.statements = 0;
        self.weather.broker = 0;
        for process in 0..self.processes.len() {
            let thaw = &mut self.processes[process].frozen_until;
            *thaw = self.now.min(*thaw);
        }
    }

    /// Somebody mends the events that nobody takes, or deletes them.
    pub(super) fn mend_everything(&mut self) {
        for seq in self.table.poison() {
            if self.rng.happens(500) {
                self.table.mend(seq);
            } else {
                self.ledger.skipped(seq);
                self.table.delete(seq);
            }
            self.poison.remove(&seq);
        }
    }

    pub(super) fn assert_well(&self) {
        self.ledger.assert_complete(&HashSet::new());
        let rows = self.table.rows.len();
        assert_eq!(rows, 0, "rows are left");
        if self.weather.is_fair {
            assert_eq!(self.ledger.duplicates, 0);
        }
        if self.is_shared {
            let shares = self.processes.iter();
            let shares = shares.map(|process| self.leases.shards_of(process.member).len());
            assert_eq!(shares.sum::<usize>(), 32, "shards have no owner");
        }
    }
}

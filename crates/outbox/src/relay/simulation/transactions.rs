//! The writers: transactions that overlap, commit late or roll back.

use super::Simulation;
use super::clock::{MILLISECOND, SECOND};
use super::event::SimulationEvent;
use super::table::Stored;

impl Simulation {
    pub(super) fn begin_with_a_backlog(&mut self) {
        for number in 0..12_000 {
            let key = number % self.keys;
            let seq = self.table.insert(key).unwrap();
            self.commit(
                seq,
                Stored {
                    key,
                    is_poison: false,
                },
            );
        }
    }

    pub(super) fn begin_transaction(&mut self) {
        if self.is_fault_free() {
            return;
        }
        let mut rows = Vec::new();
        for _ in 0..=self.rng.index(4) {
            let key = self.rng.index(self.keys);
            let is_poison = self.rng.happens(self.faults.poison);
            let seq = self.table.insert(key);
            rows.extend(seq.map(|seq| (seq, Stored { key, is_poison })));
        }
        let is_rolled_back = self.rng.happens(self.faults.rollbacks);
        let commit = SimulationEvent::Commit {
            rows,
            is_rolled_back,
        };
        if !self.is_shared {
            self.happen(commit);
        } else if self.rng.happens(self.faults.late_commits) {
            self.after(SECOND / 10, 12 * SECOND, commit);
        } else {
            self.after(1, 5 * MILLISECOND, commit);
        }
        self.after(1, self.faults.transactions, SimulationEvent::Transaction);
    }

    pub(super) fn end_transaction(&mut self, rows: Vec<(i64, Stored)>, is_rolled_back: bool) {
        for (seq, row) in rows {
            if is_rolled_back {
                self.table.roll_back(row.key);
            } else {
                self.commit(seq, row);
            }
        }
        // One process gets the signal, which can be lost.
        let process = self.rng.index(self.processes.len());
        if self.rng.happens(900) {
            self.processes[process].has_signal = true;
            self.wake(process);
        }
    }

    pub(super) fn commit(&mut self, seq: i64, mut row: Stored) {
        // Poison is fixed once, at the end of the faults.
        row.is_poison &= !self.is_fault_free();
        if row.is_poison {
            self.poison.insert(seq);
        }
        self.table.commit(seq, row);
        self.ledger.committed(row.key, seq);
    }
}

//! The writers: transactions that overlap, commit late or roll back, and hand their rows over, late or not at all.

use tokio::time::Instant;

use super::Simulation;
use super::clock::{MILLISECOND, SECOND};
use super::event::SimulationEvent;
use super::table::{Inserted, Stored};
use crate::hand_over::InsertedRows;

/// The process that runs a transaction, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    process: usize,
    life: u64,
    began: Instant,
}

impl Simulation {
    pub(super) fn begin_with_a_backlog(&mut self) {
        for number in 0..12_000 {
            let row = Stored {
                key: number % self.keys,
                is_poison: false,
            };
            let Inserted { seq, row, .. } = self.table.insert(row).unwrap();
            self.commit(seq, row);
        }
    }

    pub(super) fn begin_transaction(&mut self) {
        if self.is_fault_free() {
            return;
        }
        let process = self.rng.index(self.processes.len());
        let writer = Writer {
            process,
            life: self.processes[process].life,
            began: self.instant(),
        };
        let mut rows = Vec::new();
        for _ in 0..=self.rng.index(4) {
            let key = self.rng.index(self.keys);
            let is_poison = self.rng.happens(self.faults.poison);
            rows.extend(self.table.insert(Stored { key, is_poison }));
        }
        let is_rolled_back = self.rng.happens(self.faults.rollbacks);
        let commit = SimulationEvent::Commit {
            writer,
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

    pub(super) fn end_transaction(
        &mut self,
        writer: Writer,
        rows: Vec<Inserted>,
        is_rolled_back: bool,
    ) {
        for Inserted { seq, row, .. } in &rows {
            if is_rolled_back {
                self.table.roll_back(row.key);
            } else {
                self.commit(*seq, *row);
            }
        }
        if is_rolled_back || self.rng.happens(self.faults.no_hand_over) {
            return;
        }
        let hand_over = SimulationEvent::HandOver { writer, rows };
        if self.rng.happens(self.faults.late_hand_overs) {
            self.after(1, 5 * SECOND, hand_over);
        } else {
            self.after(1, MILLISECOND, hand_over);
        }
    }

    /// Not if the process has died since, and only after the thaw of one that is frozen.
    pub(super) fn hand_over(&mut self, writer: Writer, rows: Vec<Inserted>) {
        let process = &mut self.processes[writer.process];
        if process.life != writer.life {
            return;
        }
        if process.frozen_until > self.now {
            let delay = process.frozen_until - self.now;
            return self.at(delay, SimulationEvent::HandOver { writer, rows });
        }
        let rows = rows.iter().map(|row| self.table.handed_over(row)).collect();
        let began = writer.began;
        process.hand_over.committed(InsertedRows { began, rows });
        process.has_arrival = true;
        self.wake(writer.process);
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

//! A deterministic simulation of many relays on one outbox, without threads, clocks and servers.
//!
//! Everything but [`super::planner`] is a model: a table whose transactions commit late and out of sequence; leases with
//! their own clock; writers that hand their rows over, late, to a queue that often overflows, or not at all; a broker that
//! delays, rejects, loses acknowledgements, and writes events that it reported as failed;
//! processes that freeze beyond their lease, die and restart; statements that fail, take effect although they failed, or
//! take effect long after their timeout. A seed decides which of these happens when.
//!
//! [`ledger`] checks the invariants at every step; [`Simulation::run`] checks that everything is published at the end.
//!
//! Not modelled: a process that is frozen between checking its lease and handing an event to the producer (the margin of
//! the lease covers that), and a monotonic clock that stands still while the machine sleeps.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::hand_over::HandOver;
use service::seeded_rng::{self, SeededRng};

mod clock;
mod event;
mod faults;

mod leases;
mod ledger;
mod process;
mod table;

mod broker;
mod injection;
mod processes;
mod statements;
mod transactions;

use clock::{Micros, SECOND};
use event::SimulationEvent;
use faults::Faults;
use leases::LeaseTable;
use ledger::{Ledger, Sender};
use process::RelayProcess;
use table::OutboxTable;

/// Steps of a run of all tests: a few seconds in a build without optimisation.
const STEPS: u64 = 500_000;

/// Once no more faults are injected, the next event is published within this time: leases expire, late statements and
/// events arrive, blocked keys are retried.
const MAX_WAIT: Micros = 90 * SECOND;

#[test]
fn relays_lose_nothing_and_keep_every_key_in_order_whatever_fails() {
    seeded_rng::seeds("relays", STEPS, |seed| Simulation::new(seed).run());
}

/// Processes, database and broker: one event after the other, in simulated time.
struct Simulation {
    rng: SeededRng,
    faults: Faults,
    is_shared: bool,
    keys: usize,
    start: Instant,
    now: Micros,
    events: BTreeMap<(Micros, u64), SimulationEvent>,
    table: OutboxTable,
    leases: LeaseTable,
    ledger: Ledger,
    processes: Vec<RelayProcess>,
    /// Events that the broker rejects until they are fixed.
    poison: HashSet<i64>,
    /// Last number given out: events, members and rests share the sequence.
    numbers: u64,
    steps: u64,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = SeededRng::new(seed);
        let is_shared = rng.happens(750);
        let keys = rng.index(100) + 1;
        let processes = if is_shared { rng.index(4) + 1 } else { 1 };
        let rate = rng.within(970..1_031);
        let faults = Faults::new(&mut rng);
        let hand_over = || HandOver::bounded(faults.hand_over_rows);
        Self {
            is_shared,
            keys,
            start: Instant::now(),
            now: 1,
            events: BTreeMap::new(),
            table: OutboxTable::new(keys, is_shared),
            leases: LeaseTable::new(rate),
            ledger: Ledger::default(),
            processes: (0..processes)
                .map(|at| RelayProcess::new(at, at as u64, hand_over()))
                .collect(),
            faults,
            poison: HashSet::new(),
            numbers: processes as u64,
            steps: 0,
            rng,
        }
    }

    /// Runs with faults, then without, and returns the number of steps.
    fn run(mut self) -> u64 {
        if self.rng.happens(10) {
            self.begin_with_a_backlog();
        }
        for process in 0..self.processes.len() {
            let sender = self.processes[process].sender;
            self.after(1, 2 * SECOND, SimulationEvent::Start(sender));
        }
        self.after(1, SECOND, SimulationEvent::Transaction);
        self.after(1, SECOND, SimulationEvent::Fault);
        let end = self.faults.end;
        self.run_until(end, |_| false);
        self.end_faults();

        self.drain();
        let blocked = self.table.poisoned_keys();
        self.ledger.assert_complete(&blocked);

        self.fix_or_delete_poison();
        self.drain();
        // Late events and statements arrive, and the whole table is read once more.
        self.run_until(self.now + 60 * SECOND, |_| false);
        self.assert_recovered();
        self.steps
    }

    /// Runs until the table is empty, or nothing more is published.
    fn drain(&mut self) {
        let mut published = u64::MAX;
        while published != self.ledger.published && !self.table.rows.is_empty() {
            published = self.ledger.published;
            self.run_until(self.now + MAX_WAIT, |simulation| {
                simulation.table.rows.is_empty()
            });
        }
    }

    fn run_until(&mut self, end: Micros, is_done: impl Fn(&Self) -> bool) {
        while let Some(((at, _), event)) = self.events.pop_first() {
            if at >= end {
                let number = self.number();
                self.events.insert((at, number), event);
                break;
            }
            self.now = at;
            self.steps += 1;
            self.happen(event);
            if is_done(self) {
                return;
            }
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, event: SimulationEvent) {
        match event {
            SimulationEvent::Transaction => self.begin_transaction(),
            SimulationEvent::Commit {
                writer,
                rows,
                is_rolled_back,
            } => self.end_transaction(writer, rows, is_rolled_back),
            SimulationEvent::HandOver { writer, rows } => self.hand_over(writer, rows),
            SimulationEvent::Fault => self.inject_fault(),
            SimulationEvent::Apply {
                sender,
                member,
                statement,
                answer_after,
            } => self.apply(sender, member, statement, answer_after),
            SimulationEvent::Write { sender, seq, key } => self.write(sender, seq, key),
            SimulationEvent::Start(sender)
            | SimulationEvent::Wake { sender, .. }
            | SimulationEvent::Answered { sender, .. }
            | SimulationEvent::Report { sender, .. } => self.deliver(sender, event),
        }
    }

    /// An event that a process sees: not while it is frozen, and not one of an earlier session.
    fn deliver(&mut self, sender: Sender, event: SimulationEvent) {
        let process = &mut self.processes[sender.process];
        if process.sender != sender {
            return;
        }
        if process.frozen_until > self.now {
            let thaw = process.frozen_until;
            let number = self.number();
            self.events.insert((thaw, number), event);
            return;
        }
        match event {
            SimulationEvent::Start(_) => self.start(sender.process),
            SimulationEvent::Wake { rest, .. } if process.is_woken_from(rest) => {
                self.proceed(sender.process);
            }
            SimulationEvent::Answered { answer, .. } => self.answered(sender.process, answer),
            SimulationEvent::Report {
                seq, is_success, ..
            } => {
                process.reports.push_back((seq, is_success));
                self.wake(sender.process);
            }
            _ => {}
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn at(&mut self, delay: Micros, event: SimulationEvent) {
        let number = self.number();
        self.events.insert((self.now + delay, number), event);
    }

    /// Schedules an event between the two delays.
    fn after(&mut self, min: Micros, max: Micros, event: SimulationEvent) {
        let delay = self.rng.within(min..max);
        self.at(delay, event);
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_micros(self.now)
    }

    fn is_fault_free(&self) -> bool {
        self.now >= self.faults.end
    }
}

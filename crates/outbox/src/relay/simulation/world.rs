//! The world: what happens, when, to whom. One event after the other, by the time of the world.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::leases::LeaseTable;
use super::ledger::{Ledger, Sender};
use super::process::{Answer, Process, Statement};
use super::table::{Stored, Table};
use service::seeded_rng::SeededRng;

type Micros = u64;
const MILLISECOND: Micros = 1_000;
const SECOND: Micros = 1_000_000;

/// Once nothing goes wrong any more, the next event is published within this time: leases end, late statements and events
/// arrive, keys that stand still are looked at again.
const MAX_WAIT: Micros = 90 * SECOND;

#[derive(Debug)]
enum Event {
    /// A transaction begins, and later another.
    Transaction,
    Commit {
        rows: Vec<(i64, Stored)>,
        is_rolled_back: bool,
    },
    /// Something goes wrong, and later something else.
    Misfortune,
    Start(Sender),
    Wake {
        sender: Sender,
        rest: u64,
    },
    /// A statement takes effect; its answer arrives after `answer_after`, if ever.
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

/// How bad this world is, in events of a thousand that go wrong.
#[derive(Debug)]
struct Weather {
    is_fair: bool,
    statements: u64,
    broker: u64,
    rollbacks: u64,
    late_commits: u64,
    poison: u64,
    /// Time between two transactions, at most.
    transactions: Micros,
    /// Until when no statement succeeds.
    outage_until: Micros,
    /// When everything becomes well for good.
    ends: Micros,
}

impl Weather {
    fn new(rng: &mut SeededRng) -> Self {
        let is_fair = rng.happens(150);
        // Long enough, now and then, for keys that stand still to be tried again while their events go on.
        let longest = if rng.happens(150) { 100 } else { 20 };
        let mut bad = |most: u64| {
            if is_fair || rng.happens(300) {
                0
            } else {
                rng.within(0..most)
            }
        };
        Self {
            is_fair,
            statements: bad(150),
            broker: bad(200),
            poison: bad(5),
            rollbacks: rng.within(0..100),
            late_commits: rng.within(0..100),
            transactions: rng.within(5 * MILLISECOND..100 * MILLISECOND),
            outage_until: 0,
            ends: rng.within(3 * SECOND..longest * SECOND),
        }
    }
}

mod transactions;

mod faults;

mod processes;

mod broker;
mod database;

pub(super) struct World {
    rng: SeededRng,
    weather: Weather,
    is_shared: bool,
    keys: usize,
    start: Instant,
    now: Micros,
    events: BTreeMap<(Micros, u64), Event>,
    table: Table,
    leases: LeaseTable,
    ledger: Ledger,
    processes: Vec<Process>,
    /// Events that no broker takes.
    poison: HashSet<i64>,
    /// Numbers given out: events, members and rests share them.
    numbers: u64,
    steps: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = SeededRng::new(seed);
        let is_shared = rng.happens(750);
        let keys = rng.index(100) + 1;
        let processes = if is_shared { rng.index(4) + 1 } else { 1 };
        let rate = rng.within(970..1_031);
        Self {
            weather: Weather::new(&mut rng),
            is_shared,
            keys,
            start: Instant::now(),
            now: 1,
            events: BTreeMap::new(),
            table: Table::new(keys, is_shared),
            leases: LeaseTable::new(rate),
            ledger: Ledger::default(),
            processes: (0..processes)
                .map(|at| Process::new(at, at as u64))
                .collect(),
            poison: HashSet::new(),
            numbers: processes as u64,
            steps: 0,
            rng,
        }
    }

    /// Lives through bad times and good ones; returns how many steps that took.
    pub(super) fn run(mut self) -> u64 {
        if self.rng.happens(10) {
            self.begin_with_a_backlog();
        }
        for process in 0..self.processes.len() {
            let sender = self.processes[process].sender;
            self.after(1, 2 * SECOND, Event::Start(sender));
        }
        self.after(1, SECOND, Event::Transaction);
        self.after(1, SECOND, Event::Misfortune);
        let ends = self.weather.ends;
        self.run_until(ends, |_| false);
        self.become_well();

        self.become_quiet();
        let stuck = self.table.poisoned_keys();
        self.ledger.assert_complete(&stuck);

        self.mend_everything();
        self.become_quiet();
        // What is still on its way arrives, and the whole table is looked at once more.
        self.run_until(self.now + 60 * SECOND, |_| false);
        self.assert_well();
        self.steps
    }

    /// Goes on until the table is empty, or nothing comes of it any more.
    fn become_quiet(&mut self) {
        let mut published = u64::MAX;
        while published != self.ledger.published && !self.table.rows.is_empty() {
            published = self.ledger.published;
            self.run_until(self.now + MAX_WAIT, |world| world.table.rows.is_empty());
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

    fn happen(&mut self, event: Event) {
        match event {
            Event::Transaction => self.begin_transaction(),
            Event::Commit {
                rows,
                is_rolled_back,
            } => self.end_transaction(rows, is_rolled_back),
            Event::Misfortune => self.faults(),
            Event::Apply {
                sender,
                member,
                statement,
                answer_after,
            } => self.apply(sender, member, statement, answer_after),
            Event::Write { sender, seq, key } => self.write(sender, seq, key),
            Event::Start(sender)
            | Event::Wake { sender, .. }
            | Event::Answered { sender, .. }
            | Event::Report { sender, .. } => self.happen_to(sender, event),
        }
    }

    /// Something that a process sees: not while it is frozen, and not if it is of a life before.
    fn happen_to(&mut self, sender: Sender, event: Event) {
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
            Event::Start(_) => self.start(sender.process),
            Event::Wake { rest, .. } if process.is_woken_from(rest) => {
                self.proceed(sender.process);
            }
            Event::Answered { answer, .. } => self.answered(sender.process, answer),
            Event::Report {
                seq, is_success, ..
            } => {
                process.reports.push_back((seq, is_success));
                self.call(sender.process);
            }
            _ => {}
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn at(&mut self, delay: Micros, event: Event) {
        let number = self.number();
        self.events.insert((self.now + delay, number), event);
    }

    /// Between the two delays.
    fn after(&mut self, least: Micros, most: Micros, event: Event) {
        let delay = self.rng.within(least..most);
        self.at(delay, event);
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_micros(self.now)
    }

    fn is_well(&self) -> bool {
        self.now >= self.weather.ends
    }
}

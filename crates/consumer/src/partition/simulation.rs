//! Simulation of lanes and tracker under random sequences of assignments, revokes, lost sessions, crashes and completions.
//!
//! [`Lanes`] and [`OffsetTracker`] are the real ones; the rules of [`crate::partition`] are repeated here without its tasks,
//! so that a run takes no time: one topic partition, members among which it moves, handlers of any duration. Invariants at
//! every step:
//!
//! * No offset is committed above the lowest unhandled record, so nothing is skipped.
//! * One handler per key at a time in a process, also with running handlers of earlier assignments.
//! * The first effects of a key come in the order of the partition.
//! * Memory is bounded.
//!
//! After the last fault, everything becomes handled and committed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::lanes::{Lanes, Turn};
use crate::tracker::OffsetTracker;
use kafka::record::Record;
use service::seeded_rng::{self, SeededRng};

/// Steps of a run of all tests: a second or two without optimisation.
const STEPS: u64 = 500_000;

/// Steps in the life of one group.
const LIFE: u64 = 3_000;

/// Limits of a partition, smaller than the real ones so that they are reached.
const MAX_RECORDS: usize = 12;
const MAX_SPAN: u64 = 40;
const READ_BATCH: usize = 4;

#[test]
fn records_are_handled_in_order_and_none_is_skipped_however_a_partition_moves() {
    seeded_rng::seeds("consumers", STEPS, |seed| Group::new(seed).live());
}

/// A running handler, or one that has ended and whose result was not taken yet.
struct Running {
    epoch: u64,
    record: Arc<Record>,
    has_ended: bool,
}

struct Assignment {
    epoch: u64,
    tracker: OffsetTracker,
    position: usize,
    own_in_flight: usize,
    is_draining: bool,
}

/// One process; its handlers outlive its assignments.
#[derive(Default)]
struct Member {
    assignment: Option<Assignment>,
    lanes: Lanes,
    running: Vec<Running>,
}

/// The members, the partition, and the records handled so far.
struct Group {
    rng: SeededRng,
    members: Vec<Member>,
    /// The key of each record, if it has one.
    log: Vec<Option<u8>>,
    committed: usize,
    /// The owner of the partition according to the broker, and its epoch.
    owner: Option<(usize, u64)>,
    epochs: u64,
    handled: HashSet<i64>,
}

impl Group {
    fn new(seed: u64) -> Self {
        let mut rng = SeededRng::new(seed);
        let members = 1 + rng.index(3);
        Self {
            rng,
            members: (0..members).map(|_| Member::default()).collect(),
            log: Vec::new(),
            committed: 0,
            owner: None,
            epochs: 0,
            handled: HashSet::new(),
        }
    }

    fn live(mut self) -> u64 {
        for _ in 0..LIFE {
            self.step();
            self.check();
        }
        let mut quiet = 0;
        while self.committed < self.log.len() {
            self.go_on();
            self.check();
            quiet += 1;
            assert!(quiet < 100 * LIFE, "records are left");
        }
        assert_eq!(self.handled.len(), self.log.len());
        LIFE + quiet
    }

    fn step(&mut self) {
        let member = self.rng.index(self.members.len());
        match self.rng.index(100) {
            0..20 => self.produce(),
            20..23 => self.revoke(),
            23..25 => self.lose_session(member),
            25 => self.members[member] = Member::default(),
            _ => self.go_on(),
        }
    }

    /// The steps without a fault.
    fn go_on(&mut self) {
        let member = self.rng.index(self.members.len());
        match self.rng.index(7) {
            0 => self.assign(member),
            1 => self.fetch(member),
            2 => self.end_handler(member),
            3 => self.take_result(member),
            4 => self.commit(member),
            5 => self.notice_loss(member),
            _ => self.finish_drain(member),
        }
    }

    fn produce(&mut self) {
        let key = u8::try_from(self.rng.index(6)).unwrap();
        self.log.push((key > 0).then_some(key));
    }

    fn record(&self, offset: usize) -> Record {
        Record {
            key: self.log[offset].map(|key| vec![key]),
            offset: i64::try_from(offset).unwrap(),
            ..Record::default()
        }
    }
}

/// Assignments.
impl Group {
    /// The broker assigns the partition if it has no owner, or if the owner has crashed.
    fn assign(&mut self, member: usize) {
        let is_gone = |(owner, epoch): (usize, u64)| !self.members[owner].has(epoch);
        if !self.owner.is_none_or(is_gone) || self.members[member].assignment.is_some() {
            return;
        }
        self.epochs += 1;
        self.owner = Some((member, self.epochs));
        self.members[member].assignment = Some(Assignment {
            epoch: self.epochs,
            tracker: OffsetTracker::default(),
            position: self.committed,
            own_in_flight: 0,
            is_draining: false,
        });
    }

    /// The owner drains: waiting records are dropped, running handlers may end.
    fn revoke(&mut self) {
        let Some((owner, _)) = self.owner else { return };
        self.members[owner].begin_drain();
    }

    /// The broker takes the partition away; the member does not know yet.
    fn lose_session(&mut self, member: usize) {
        if self.owner.is_some_and(|(owner, _)| owner == member) {
            self.owner = None;
        }
    }

    /// The member learns that its session is lost: it does not wait and does not commit.
    fn notice_loss(&mut self, member: usize) {
        let assignment = self.members[member].assignment.as_ref();
        let is_lost = assignment.is_some_and(|own| self.owner != Some((member, own.epoch)));
        if is_lost {
            self.members[member].begin_drain();
            self.members[member].assignment = None;
        }
    }

    /// The drain ends with the last handler or at its deadline; then the member commits.
    fn finish_drain(&mut self, member: usize) {
        let Some(assignment) = &self.members[member].assignment else {
            return;
        };
        let is_over = assignment.own_in_flight == 0 || self.rng.happens(200);
        if !assignment.is_draining || !is_over {
            return;
        }
        self.commit(member);
        let epoch = self.members[member].assignment.take().map(|own| own.epoch);
        if self.owner == epoch.map(|epoch| (member, epoch)) {
            self.owner = None;
        }
    }

    /// The broker accepts only commits of the owner.
    fn commit(&mut self, member: usize) {
        let Some(assignment) = &self.members[member].assignment else {
            return;
        };
        let offset = assignment.tracker.committable();
        if let Some(offset) = offset.filter(|_| self.owner == Some((member, assignment.epoch))) {
            let before = std::mem::replace(&mut self.committed, usize::try_from(offset).unwrap());
            self.assert_all_are_handled(before..self.committed);
        }
    }

    fn assert_all_are_handled(&self, mut offsets: std::ops::Range<usize>) {
        let is_handled = |offset| self.handled.contains(&i64::try_from(offset).unwrap());
        let skipped = offsets.find(|offset| !is_handled(*offset));
        assert!(
            skipped.is_none(),
            "record {skipped:?} is committed and not handled"
        );
    }
}

/// Records and handlers.
impl Group {
    fn fetch(&mut self, member: usize) {
        for _ in 0..READ_BATCH {
            let Some(assignment) = &mut self.members[member].assignment else {
                return;
            };
            // A record comes twice now and then, as a stray on another queue.
            let is_stray = assignment.position > 0 && self.rng.happens(20);
            let offset = assignment.position - usize::from(is_stray);
            if offset >= self.log.len() {
                return;
            }
            assignment.position = offset + 1;
            let record = self.record(offset);
            self.members[member].take_in(record, READ_BATCH);
        }
    }

    /// A handler ends with its effect, unless the inbox knows the record.
    fn end_handler(&mut self, member: usize) {
        let running = &mut self.members[member].running;
        let running_now: Vec<_> = running.iter_mut().filter(|one| !one.has_ended).collect();
        if running_now.is_empty() {
            return;
        }
        let pick = self.rng.index(running_now.len());
        let ended = running_now.into_iter().nth(pick).unwrap();
        ended.has_ended = true;
        let offset = ended.record.offset;
        if self.handled.insert(offset) {
            self.assert_nothing_is_overtaken(offset);
        }
    }

    fn assert_nothing_is_overtaken(&self, offset: i64) {
        let at = usize::try_from(offset).unwrap();
        let Some(key) = self.log[at] else { return };
        let before = self.log[..at].iter().rposition(|other| *other == Some(key));
        if let Some(before) = before {
            let is_handled = self.handled.contains(&i64::try_from(before).unwrap());
            assert!(is_handled, "record {offset} is handled before {before}");
        }
    }

    fn take_result(&mut self, member: usize) {
        let member = &mut self.members[member];
        // Handlers of ended assignments belong to the next assignment.
        if member.assignment.is_none() {
            return;
        }
        let ended = member.running.iter().position(|one| one.has_ended);
        if let Some(ended) = ended {
            let ended = member.running.swap_remove(ended);
            member.finish(&ended);
        }
    }

    fn check(&self) {
        self.members.iter().for_each(Member::check);
    }
}

/// The rules of [`crate::partition`].
impl Member {
    fn has(&self, epoch: u64) -> bool {
        let assignment = self.assignment.as_ref();
        assignment.is_some_and(|assignment| assignment.epoch == epoch)
    }

    fn take_in(&mut self, record: Record, batch: usize) {
        let Some(assignment) = &mut self.assignment else {
            return;
        };
        let has_room = self.lanes.len() < MAX_RECORDS + batch
            && assignment.tracker.span() < MAX_SPAN + batch as u64;
        if assignment.is_draining || !has_room {
            // Not read.
            assignment.position = usize::try_from(record.offset).unwrap();
            return;
        }
        if !assignment.tracker.receive(record.offset, None) {
            return;
        }
        let epoch = assignment.epoch;
        let mut own = self.running.iter().filter(|one| one.epoch == epoch);
        assert!(
            own.all(|one| one.record.offset != record.offset),
            "taken in twice"
        );
        if let Some(turn) = self.lanes.enter(record) {
            self.start(turn);
        }
    }

    fn start(&mut self, (record, _): Turn) {
        let Some(assignment) = &mut self.assignment else {
            return;
        };
        assignment.own_in_flight += 1;
        self.running.push(Running {
            epoch: assignment.epoch,
            record,
            has_ended: false,
        });
    }

    fn finish(&mut self, ended: &Running) {
        let own = self.assignment.as_mut();
        if let Some(own) = own.filter(|own| own.epoch == ended.epoch) {
            own.own_in_flight -= 1;
            own.tracker.complete(ended.record.offset);
        }
        if let Some(turn) = self.lanes.leave(&ended.record) {
            self.start(turn);
        }
    }

    fn begin_drain(&mut self) {
        if let Some(assignment) = &mut self.assignment {
            assignment.is_draining = true;
            self.lanes.drop_waiting();
        }
    }

    fn check(&self) {
        let mut running_now: HashMap<&[u8], i64> = HashMap::new();
        for one in self.running.iter().filter(|one| !one.has_ended) {
            let key = one.record.key.as_deref();
            let other = key.and_then(|key| running_now.insert(key, one.record.offset));
            assert!(other.is_none(), "two handlers of key {key:?}: {other:?}");
        }
        assert!(self.lanes.len() <= MAX_RECORDS + READ_BATCH);
        assert!(
            self.running.len() <= self.lanes.len(),
            "work without a lane"
        );
    }
}

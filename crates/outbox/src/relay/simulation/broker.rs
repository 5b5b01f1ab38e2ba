//! The producer and the broker: events are sent, written, and reported, with faults.

use super::Simulation;
use super::clock::{MILLISECOND, Micros, SECOND};
use super::event::SimulationEvent;
use super::ledger::Sender;
use super::process::RelayProcess;
use service::seeded_rng::SeededRng;

impl Simulation {
    pub(super) fn send(&mut self, process: usize, seq: i64) {
        let RelayProcess { sender, member, .. } = self.processes[process];
        let key = self.ledger.key_of(seq);
        let shard = self.table.shard(key);
        if self.is_shared {
            assert!(
                self.leases.holds(member, shard, self.now),
                "event {seq} is sent without a lease by {sender:?}"
            );
        }
        self.ledger.sent(seq, sender, self.leases.claims(shard));
        let fate = if self.poison.contains(&seq) {
            Fate::rejected(&mut self.rng)
        } else {
            Fate::of_event(&mut self.rng, self.faults.broker)
        };
        let Fate::Sent {
            written_after,
            reported_after,
            as_success: is_success,
        } = fate
        else {
            return self.publish_failed(process, seq);
        };
        if let Some(delay) = written_after {
            self.at(delay, SimulationEvent::Write { sender, seq, key });
        }
        let report = SimulationEvent::Report {
            sender,
            seq,
            is_success,
        };
        self.at(reported_after, report);
    }

    pub(super) fn publish_failed(&mut self, process: usize, seq: i64) {
        let now = self.instant();
        let process = &mut self.processes[process];
        self.ledger.failed(seq, process.sender);
        let planner = process.planner.as_mut();
        planner.into_iter().for_each(|planner| {
            planner.publish_failed(seq, now);
        });
    }

    pub(super) fn settle(&mut self, process: usize) {
        let now = self.instant();
        while let Some((seq, is_success)) = self.processes[process].reports.pop_front() {
            self.steps += 1;
            if !is_success {
                self.publish_failed(process, seq);
            } else if let Some(planner) = &mut self.processes[process].planner {
                planner.acknowledged(seq, now);
            }
        }
    }

    /// An event arrives at the broker. Of the unsent events of a session that ended, some never leave.
    pub(super) fn write(&mut self, sender: Sender, seq: i64, key: usize) {
        let process = &self.processes[sender.process];
        if process.sender != sender && self.rng.happens(500) {
            return;
        }
        if process.sender == sender && process.frozen_until > self.now && self.rng.happens(500) {
            let thaw = process.frozen_until;
            self.at(thaw - self.now, SimulationEvent::Write { sender, seq, key });
            return;
        }
        self.ledger.published(key, seq);
    }
}

/// The fate of one publish attempt.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// The producer does not accept it.
    NotAccepted,
    /// The broker writes it after `written_after`, if at all; the producer reports after `reported_after`.
    Sent {
        written_after: Option<Micros>,
        reported_after: Micros,
        as_success: bool,
    },
}

impl Fate {
    /// Something goes wrong with `faults` of a thousand events.
    fn of_event(rng: &mut SeededRng, faults: u64) -> Self {
        if !rng.happens(faults) {
            return Self::accepted(rng, 20 * MILLISECOND);
        }
        match rng.index(5) {
            0 => Self::NotAccepted,
            1 => Self::rejected(rng),
            // Slow, and successful in the end.
            2 => Self::accepted(rng, 20 * SECOND),
            // Written, but the acknowledgement is lost.
            3 => {
                let written = rng.within(1..100 * MILLISECOND);
                Self::Sent {
                    written_after: Some(written),
                    reported_after: written + rng.within(1..SECOND),
                    as_success: false,
                }
            }
            // Written long after it was reported as failed.
            _ => {
                let reported = rng.within(1..100 * MILLISECOND);
                Self::Sent {
                    written_after: Some(reported + rng.within(1..10 * SECOND)),
                    reported_after: reported,
                    as_success: false,
                }
            }
        }
    }

    fn accepted(rng: &mut SeededRng, max: Micros) -> Self {
        let written = rng.within(1..max);
        Self::Sent {
            written_after: Some(written),
            reported_after: written + rng.within(1..20 * MILLISECOND),
            as_success: true,
        }
    }

    fn rejected(rng: &mut SeededRng) -> Self {
        Self::Sent {
            written_after: None,
            reported_after: rng.within(1..100 * MILLISECOND),
            as_success: false,
        }
    }
}

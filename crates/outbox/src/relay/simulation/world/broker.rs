//! The way to the broker: events are sent, arrive, and are reported.

use super::super::broker::Fate;
use super::super::ledger::Sender;
use super::super::process::Process;
use super::{Event, World};

impl World {
    pub(super) fn send(&mut self, process: usize, seq: i64) {
        let Process { sender, member, .. } = self.processes[process];
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
            Fate::refused(&mut self.rng)
        } else {
            Fate::of_event(&mut self.rng, self.weather.broker)
        };
        let Fate::Sent {
            written_after,
            reported_after,
            as_success: is_success,
        } = fate
        else {
            return self.refuse(process, seq);
        };
        if let Some(delay) = written_after {
            self.at(delay, Event::Write { sender, seq, key });
        }
        let report = Event::Report {
            sender,
            seq,
            is_success,
        };
        self.at(reported_after, report);
    }

    pub(super) fn refuse(&mut self, process: usize, seq: i64) {
        let now = self.instant();
        let process = &mut self.processes[process];
        self.ledger.failed(seq, process.sender);
        let planner = process.planner.as_mut();
        planner.into_iter().for_each(|planner| {
            planner.refused(seq, now);
        });
    }

    pub(super) fn settle(&mut self, process: usize) {
        let now = self.instant();
        while let Some((seq, is_success)) = self.processes[process].reports.pop_front() {
            self.steps += 1;
            if !is_success {
                self.refuse(process, seq);
            } else if let Some(planner) = &mut self.processes[process].planner {
                planner.acknowledged(seq, now);
            }
        }
    }

    /// An event arrives at the broker. Of what a session had not sent when it ended, some never leaves.
    pub(super) fn write(&mut self, sender: Sender, seq: i64, key: usize) {
        let process = &self.processes[sender.process];
        if process.sender != sender && self.rng.happens(500) {
            return;
        }
        if process.sender == sender && process.frozen_until > self.now && self.rng.happens(500) {
            let thaw = process.frozen_until;
            self.at(thaw - self.now, Event::Write { sender, seq, key });
            return;
        }
        self.ledger.published(key, seq);
    }
}

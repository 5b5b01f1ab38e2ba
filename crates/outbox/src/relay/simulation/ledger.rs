//! All events that were written, sent and published, and the invariants at every step.
//!
//! * An event is published only if it was committed, and deleted only once it is published.
//! * Of each key, first occurrences are published in order, none left out.
//! * An event is sent again only for a reason: it was reported as failed, its session failed, or its lease expired.

use std::collections::{HashMap, HashSet};

/// A process and one session of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sender {
    pub(super) process: usize,
    pub(super) session: u64,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    by: Sender,
    /// Number of claims of the shard after an expired lease.
    claims: u64,
    failed: bool,
}

/// The state of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventState {
    Committed,
    Published,
    /// Deleted by an operator.
    Skipped,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Per key, in order, the positions of the committed events.
    keys: HashMap<usize, Vec<i64>>,
    events: HashMap<i64, EventState>,
    key_of: HashMap<i64, usize>,
    sent: HashMap<i64, Sent>,
    /// Sessions that failed.
    broken: HashSet<Sender>,
    pub(super) published: u64,
    pub(super) duplicates: u64,
}

impl Ledger {
    pub(super) fn key_of(&self, seq: i64) -> usize {
        self.key_of[&seq]
    }

    pub(super) fn committed(&mut self, key: usize, seq: i64) {
        self.key_of.insert(seq, key);
        let key = self.keys.entry(key).or_default();
        assert!(key.last().is_none_or(|last| *last < seq));
        key.push(seq);
        self.events.insert(seq, EventState::Committed);
    }

    pub(super) fn skipped(&mut self, seq: i64) {
        self.events.insert(seq, EventState::Skipped);
    }

    pub(super) fn sent(&mut self, seq: i64, by: Sender, claims: u64) {
        let sent = Sent {
            by,
            claims,
            failed: false,
        };
        if let Some(before) = self.sent.insert(seq, sent) {
            let has_reason =
                before.failed || before.claims != claims || self.broken.contains(&before.by);
            assert!(
                has_reason,
                "event {seq} is sent again: {before:?}, {sent:?}"
            );
        }
    }

    pub(super) fn failed(&mut self, seq: i64, by: Sender) {
        let sent = self.sent.get_mut(&seq).filter(|sent| sent.by == by);
        sent.into_iter().for_each(|sent| sent.failed = true);
    }

    pub(super) fn broken(&mut self, session: Sender) {
        self.broken.insert(session);
    }

    pub(super) fn published(&mut self, key: usize, seq: i64) {
        match self.events.insert(seq, EventState::Published) {
            Some(EventState::Published) => self.duplicates += 1,
            Some(EventState::Committed | EventState::Skipped) => self.published_first(key, seq),
            None => panic!("event {seq} is published and was never committed"),
        }
    }

    fn published_first(&mut self, key: usize, seq: i64) {
        self.published += 1;
        let before = self.keys[&key].iter().rev().skip_while(|at| **at >= seq);
        // Earlier events were checked when their successors were published.
        for earlier in before {
            match self.events[earlier] {
                EventState::Published => break,
                EventState::Skipped => {}
                EventState::Committed => panic!("event {seq} is published before {earlier}"),
            }
        }
    }

    pub(super) fn deleted(&mut self, seq: i64) {
        let event = self.events[&seq];
        assert!(
            event == EventState::Published,
            "event {seq} is deleted and not published"
        );
    }

    /// Every event is published, except those of `blocked` keys.
    pub(super) fn assert_complete(&self, blocked: &HashSet<usize>) {
        for (key, events) in &self.keys {
            let is_open = |seq: &&i64| self.events[seq] == EventState::Committed;
            if let Some(lost) = events.iter().find(is_open) {
                assert!(blocked.contains(key), "event {lost} of key {key} is lost");
            }
        }
    }
}

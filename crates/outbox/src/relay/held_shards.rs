//! The shards that this relay publishes, and for how long it may.
//!
//! Pure: the clock is an argument, and what the database said comes in as a [`Tenure`].

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::Shard;
use crate::lease::{RENEW_EVERY, Tenure};

/// A renewal that failed is tried again this soon.
const RENEW_AGAIN: Duration = Duration::from_millis(300);

/// Another relay may have claimed what this one held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the leases ran out, or another relay has claimed them")]
pub(super) struct LeaseEnded;

/// What one relay holds.
#[derive(Debug)]
pub(super) struct HeldShards {
    shards: BTreeSet<Shard>,
    /// Those of the shards that are handed over as soon as nothing of them is at the broker any more.
    leaving: BTreeSet<Shard>,
    ends: Option<Instant>,
    renew_at: Instant,
}

impl HeldShards {
    /// Nothing yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            shards: BTreeSet::new(),
            leaving: BTreeSet::new(),
            ends: None,
            renew_at: now,
        }
    }

    /// When the next renewal is due.
    pub(super) fn renew_at(&self) -> Instant {
        self.renew_at
    }

    /// Fails once the leases may have been claimed by another relay.
    pub(super) fn check(&self, now: Instant) -> Result<(), LeaseEnded> {
        match self.ends {
            Some(ends) if now >= ends => Err(LeaseEnded),
            _ => Ok(()),
        }
    }

    /// Notes a renewal. Returns whether there are shards that were not held before.
    ///
    /// It must have been heard of before the leases ended. Afterwards it says nothing of the time between: another relay may
    /// have claimed the same shards, published what is held here, and given them back.
    pub(super) fn renewed(&mut self, tenure: Tenure, now: Instant) -> Result<bool, LeaseEnded> {
        if !self.shards.is_empty() {
            self.check(now)?;
        }
        self.renew_at = now + RENEW_EVERY;
        self.ends = tenure.ends;
        let shards: BTreeSet<Shard> = tenure.shards.into_iter().collect();
        if !self.shards.is_subset(&shards) {
            return Err(LeaseEnded);
        }
        let has_more = shards.len() > self.shards.len();
        let surplus = shards.len().saturating_sub(tenure.fair_share);
        self.leaving = shards.iter().rev().take(surplus).copied().collect();
        if has_more {
            tracing::info!(shards = shards.len(), "relay took shards over");
        }
        self.shards = shards;
        Ok(has_more)
    }

    /// Notes that a renewal failed. Returns whether the leases last until it is tried again.
    pub(super) fn renewal_failed(&mut self, now: Instant) -> bool {
        self.renew_at = now + RENEW_AGAIN;
        !self.shards.is_empty() && self.check(now).is_ok()
    }

    /// The shards of which rows may be read.
    pub(super) fn readable(&self) -> Vec<Shard> {
        self.shards.difference(&self.leaving).copied().collect()
    }

    /// The shards that are to be handed over.
    pub(super) fn leaving(&self) -> impl Iterator<Item = Shard> {
        self.leaving.iter().copied()
    }

    /// Notes that these shards are another relay's business now.
    pub(super) fn handed_over(&mut self, shards: &[Shard]) {
        self.leaving.retain(|shard| !shards.contains(shard));
        self.shards.retain(|shard| !shards.contains(shard));
        tracing::info!(
            given = shards.len(),
            shards = self.shards.len(),
            "relay handed shards over"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::TERM;

    fn holding(shards: &[Shard], asked: Instant) -> HeldShards {
        let mut held_shards = HeldShards::new(asked);
        let has_more = held_shards.renewed(granted(shards, asked), asked);
        assert_eq!(has_more, Ok(!shards.is_empty()));
        held_shards
    }

    fn granted(shards: &[Shard], asked: Instant) -> Tenure {
        Tenure::granted(asked, shards.to_vec(), shards.len())
    }

    fn some_shards() -> Vec<Shard> {
        Shard::all().take(3).collect()
    }

    #[test]
    fn leases_that_are_renewed_in_time_go_on() {
        let start = Instant::now();
        let shards = some_shards();
        let mut held_shards = holding(&shards, start);

        let later = start + TERM / 2;

        assert_eq!(
            held_shards.renewed(granted(&shards, later), later),
            Ok(false)
        );
        assert_eq!(held_shards.check(start + TERM), Ok(()));
    }

    #[test]
    fn leases_that_ran_out_have_ended_although_a_late_renewal_brings_the_same_shards() {
        let start = Instant::now();
        let shards = some_shards();
        let mut held_shards = holding(&shards, start);

        let asked_in_time = start + TERM / 2;
        let too_late = start + TERM;

        let renewed = held_shards.renewed(granted(&shards, asked_in_time), too_late);
        assert_eq!(renewed, Err(LeaseEnded));
        let renewed = held_shards.renewed(granted(&shards, too_late), too_late);
        assert_eq!(renewed, Err(LeaseEnded));
    }

    #[test]
    fn leases_have_ended_when_a_renewal_leaves_a_shard_out() {
        let start = Instant::now();
        let shards = some_shards();
        let mut held_shards = holding(&shards, start);

        let fewer = granted(&shards[1..], start);

        assert_eq!(held_shards.renewed(fewer, start), Err(LeaseEnded));
    }

    #[test]
    fn a_relay_without_shards_takes_some_however_long_it_had_none() {
        let start = Instant::now();
        let mut held_shards = holding(&[], start);

        let later = start + 10 * TERM;

        let tenure = granted(&some_shards(), later);
        assert_eq!(held_shards.renewed(tenure, later), Ok(true));
    }
}

//! The shards that this relay holds, and until when.
//!
//! Pure: the clock is an argument, and each renewal comes in as a [`LeaseGrant`].

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::lease::{LeaseGrant, RENEW_EVERY};
use crate::shard::Shard;

/// Wait before a failed renewal is retried.
const RENEW_RETRY: Duration = Duration::from_millis(300);

/// Another relay may have claimed what this one held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("leases expired or claimed by another relay")]
pub(super) struct LeaseEnded;

#[derive(Debug)]
pub(super) struct HeldShards {
    shards: BTreeSet<Shard>,
    /// Surplus shards, to be released as soon as none of their rows is in the window.
    surplus: BTreeSet<Shard>,
    ends: Option<Instant>,
    renew_at: Instant,
}

impl HeldShards {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            shards: BTreeSet::new(),
            surplus: BTreeSet::new(),
            ends: None,
            renew_at: now,
        }
    }

    pub(super) fn renew_at(&self) -> Instant {
        self.renew_at
    }

    /// Fails once another relay may have claimed the leases.
    pub(super) fn check(&self, now: Instant) -> Result<(), LeaseEnded> {
        match self.ends {
            Some(ends) if now >= ends => Err(LeaseEnded),
            _ => Ok(()),
        }
    }

    /// Applies a renewal. Returns whether shards were claimed that were not held before.
    ///
    /// Fails if the answer arrives after the old leases ended: meanwhile another relay may have claimed the same shards,
    /// published the rows held here, and released the shards again.
    pub(super) fn renewed(&mut self, grant: LeaseGrant, now: Instant) -> Result<bool, LeaseEnded> {
        if !self.shards.is_empty() {
            self.check(now)?;
        }
        self.renew_at = now + RENEW_EVERY;
        self.ends = grant.ends;
        let shards: BTreeSet<Shard> = grant.shards.into_iter().collect();
        if !self.shards.is_subset(&shards) {
            return Err(LeaseEnded);
        }
        let has_more = shards.len() > self.shards.len();
        let excess = shards.len().saturating_sub(grant.fair_share);
        self.surplus = shards.iter().rev().take(excess).copied().collect();
        if has_more {
            tracing::info!(shards = shards.len(), "shards claimed");
        }
        self.shards = shards;
        Ok(has_more)
    }

    /// Schedules the retry of a failed renewal. Returns whether the leases still last.
    pub(super) fn renewal_failed(&mut self, now: Instant) -> bool {
        self.renew_at = now + RENEW_RETRY;
        !self.shards.is_empty() && self.check(now).is_ok()
    }

    /// The shards whose rows may be read.
    pub(super) fn readable(&self) -> Vec<Shard> {
        self.shards.difference(&self.surplus).copied().collect()
    }

    /// The shards to be released.
    pub(super) fn surplus(&self) -> impl Iterator<Item = Shard> {
        self.surplus.iter().copied()
    }

    /// These shards were released.
    pub(super) fn released(&mut self, shards: &[Shard]) {
        self.surplus.retain(|shard| !shards.contains(shard));
        self.shards.retain(|shard| !shards.contains(shard));
        tracing::info!(
            released = shards.len(),
            shards = self.shards.len(),
            "shards released"
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

    fn granted(shards: &[Shard], asked: Instant) -> LeaseGrant {
        LeaseGrant::granted(asked, shards.to_vec(), shards.len())
    }

    fn some_shards() -> Vec<Shard> {
        Shard::all().take(3).collect()
    }

    #[test]
    fn leases_that_are_renewed_in_time_last() {
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
    fn a_relay_without_shards_can_claim_some_after_any_time() {
        let start = Instant::now();
        let mut held_shards = holding(&[], start);

        let later = start + 10 * TERM;

        let grant = granted(&some_shards(), later);
        assert_eq!(held_shards.renewed(grant, later), Ok(true));
    }
}

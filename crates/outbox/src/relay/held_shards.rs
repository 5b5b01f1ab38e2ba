//! The shards that this relay holds, and until when.
//!
//! Pure: the clock is an argument, and each renewal comes in as a [`LeaseGrant`].

use std::collections::{BTreeMap, BTreeSet};
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
    /// With the time since which their rows may be read.
    shards: BTreeMap<Shard, Instant>,
    /// Surplus shards, to be released as soon as none of their rows is in the window.
    surplus: BTreeSet<Shard>,
    ends: Option<Instant>,
    renew_at: Instant,
}

impl HeldShards {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            shards: BTreeMap::new(),
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

    /// Applies a renewal. Returns whether there are shards that were not readable before.
    ///
    /// Fails if the answer arrives after the old leases ended: meanwhile another relay may have claimed the same shards,
    /// published the rows held here, and released the shards again.
    pub(super) fn renewed(&mut self, grant: LeaseGrant, now: Instant) -> Result<bool, LeaseEnded> {
        if !self.shards.is_empty() {
            self.check(now)?;
        }
        self.renew_at = now + RENEW_EVERY;
        self.ends = grant.ends;
        let granted: BTreeSet<Shard> = grant.shards.into_iter().collect();
        if !self.shards.keys().all(|shard| granted.contains(shard)) {
            return Err(LeaseEnded);
        }
        if granted.len() > self.shards.len() {
            tracing::info!(shards = granted.len(), "shards claimed");
        }
        let before = self.readable();
        let excess = granted.len().saturating_sub(grant.fair_share);
        self.surplus = granted.iter().rev().take(excess).copied().collect();
        let since = |shard: &Shard| {
            if before.contains(shard) {
                self.shards[shard]
            } else {
                now
            }
        };
        self.shards = granted.iter().map(|shard| (*shard, since(shard))).collect();
        Ok(self.readable().iter().any(|shard| !before.contains(shard)))
    }

    /// Schedules the retry of a failed renewal. Returns whether the leases still last.
    pub(super) fn renewal_failed(&mut self, now: Instant) -> bool {
        self.renew_at = now + RENEW_RETRY;
        !self.shards.is_empty() && self.check(now).is_ok()
    }

    /// The shards whose rows may be read.
    pub(super) fn readable(&self) -> Vec<Shard> {
        let shards = self.shards.keys().copied();
        shards
            .filter(|shard| !self.surplus.contains(shard))
            .collect()
    }

    /// The time since which no other relay has published rows of this shard and this one reads them; `None` if it may not.
    pub(super) fn readable_since(&self, shard: Shard) -> Option<Instant> {
        let since = self.shards.get(&shard)?;
        (!self.surplus.contains(&shard)).then_some(*since)
    }

    /// The shards to be released.
    pub(super) fn surplus(&self) -> impl Iterator<Item = Shard> {
        self.surplus.iter().copied()
    }

    /// These shards were released.
    pub(super) fn released(&mut self, shards: &[Shard]) {
        self.surplus.retain(|shard| !shards.contains(shard));
        self.shards.retain(|shard, _| !shards.contains(shard));
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

    /// Their rows were not read meanwhile.
    #[test]
    fn surplus_shards_that_are_kept_after_all_count_as_new() {
        let start = Instant::now();
        let shards = some_shards();
        let mut held_shards = holding(&shards, start);
        let fewer = LeaseGrant {
            fair_share: 2,
            ..granted(&shards, start)
        };
        assert_eq!(held_shards.renewed(fewer, start), Ok(false));
        assert_eq!(held_shards.readable_since(shards[2]), None);

        let later = start + TERM / 2;
        let renewed = held_shards.renewed(granted(&shards, later), later);

        assert_eq!(renewed, Ok(true));
        assert_eq!(held_shards.readable_since(shards[2]), Some(later));
        assert_eq!(held_shards.readable_since(shards[0]), Some(start));
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

//! The shards that this relay publishes, and for how long it may.
//!
//! Pure: the clock is an argument, and what the database said comes in as a [`Tenure`].

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::outbox::Shard;
use crate::outbox::lease::{RENEW_EVERY, Tenure};

/// A renewal that failed is tried again this soon.
const RENEW_AGAIN: Duration = Duration::from_millis(300);

/// Another relay may have claimed what this one held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the leases ran out, or another relay has claimed them")]
pub(super) struct LeaseEnded;

/// What one relay holds.
#[derive(Debug)]
pub(super) struct Holdings {
    shards: BTreeSet<Shard>,
    /// Those of the shards that are handed over as soon as nothing of them is at the broker any more.
    leaving: BTreeSet<Shard>,
    ends: Option<Instant>,
    renew_at: Instant,
}

impl Holdings {
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
    pub(super) fn renewed(&mut self, tenure: Tenure, now: Instant) -> Result<bool, LeaseEnded> {
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

//! The shards that this relay publishes, and for how long it may.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::RelayError;
use crate::error_chain::ErrorChain;
use crate::outbox::lease::{Leases, RENEW_EVERY};
use crate::outbox::{OutboxError, Shard};

/// A renewal that failed is tried again this soon.
const RENEW_AGAIN: Duration = Duration::from_millis(300);

/// What one relay holds.
pub(super) struct Holdings {
    leases: Arc<dyn Leases>,
    member: Uuid,
    shards: BTreeSet<Shard>,
    /// Those of the shards that are handed over as soon as nothing of them is at the broker any more.
    leaving: BTreeSet<Shard>,
    ends: Option<Instant>,
    renew_at: Instant,
}

impl Holdings {
    /// Nothing yet.
    pub(super) fn new(leases: Arc<dyn Leases>, member: Uuid) -> Self {
        Self {
            leases,
            member,
            shards: BTreeSet::new(),
            leaving: BTreeSet::new(),
            ends: None,
            renew_at: Instant::now(),
        }
    }

    /// When the next renewal is due.
    pub(super) fn renew_at(&self) -> Instant {
        self.renew_at
    }

    /// Fails once the leases may have been claimed by another relay.
    pub(super) fn check(&self, now: Instant) -> Result<(), RelayError> {
        match self.ends {
            Some(ends) if now >= ends => Err(RelayError::LeaseEnded),
            _ => Ok(()),
        }
    }

    /// Renews when it is due. Returns whether there are shards that were not held before.
    pub(super) async fn renew(&mut self) -> Result<bool, RelayError> {
        if Instant::now() < self.renew_at {
            return Ok(false);
        }
        let tenure = match self.leases.renew(self.member).await {
            Ok(tenure) => tenure,
            Err(error) => return self.put_off(error),
        };
        self.renew_at = Instant::now() + RENEW_EVERY;
        self.ends = tenure.ends;
        let shards: BTreeSet<Shard> = tenure.shards.into_iter().collect();
        if !self.shards.is_subset(&shards) {
            return Err(RelayError::LeaseEnded);
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

    /// A renewal may fail as long as the leases last.
    fn put_off(&mut self, error: OutboxError) -> Result<bool, RelayError> {
        let now = Instant::now();
        self.renew_at = now + RENEW_AGAIN;
        if self.shards.is_empty() || self.check(now).is_err() {
            return Err(error.into());
        }
        tracing::debug!(error = %ErrorChain(&error), "leases were not renewed, trying again");
        Ok(false)
    }

    /// The shards of which rows may be read.
    pub(super) fn readable(&self) -> Vec<Shard> {
        self.shards.difference(&self.leaving).copied().collect()
    }

    /// Hands over the surplus shards that are idle.
    pub(super) async fn hand_over(
        &mut self,
        is_idle: impl Fn(Shard) -> bool,
    ) -> Result<(), RelayError> {
        let idle: Vec<Shard> = self
            .leaving
            .iter()
            .copied()
            .filter(|&shard| is_idle(shard))
            .collect();
        if idle.is_empty() {
            return Ok(());
        }
        self.leases.release(self.member, &idle).await?;
        self.leaving.retain(|shard| !idle.contains(shard));
        self.shards.retain(|shard| !idle.contains(shard));
        tracing::info!(
            given = idle.len(),
            shards = self.shards.len(),
            "relay handed shards over"
        );
        Ok(())
    }

    /// Gives everything back.
    pub(super) async fn leave(self) -> Result<(), RelayError> {
        Ok(self.leases.leave(self.member).await?)
    }
}

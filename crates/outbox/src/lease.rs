//! Leases: which relay publishes which shard of the outbox, among the replicas of a service.
//!
//! * A lease lasts [`TERM`] by the database's clock and is renewed long before. Its holder stops earlier, by its own
//!   monotonic clock ([`Tenure::ends`]), so a process that was stopped for a while, or a clock that was set, does not make
//!   two owners: nobody publishes on a lease that another may have claimed.
//! * The shards are divided evenly among the relays that live. Who has more than its share gives the surplus back when
//!   nothing of it is at the broker any more; who has less claims what is free.
//! * A relay that dies loses its leases when they run out, one that stops gives them back.

use async_trait::async_trait;
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use super::{OutboxError, Shard};

pub mod postgres;

/// How long a lease lasts without being renewed: the time after which the shards of a dead relay are taken over.
pub const TERM: Duration = Duration::from_secs(5);

/// How often leases are renewed: two renewals may fail before one runs out.
pub(crate) const RENEW_EVERY: Duration = Duration::from_millis(1_500);

/// The holder's end of a lease comes this much before the database's: what was handed to the producer a moment before
/// still has time to leave.
const MARGIN: Duration = Duration::from_secs(1);

/// What a relay holds after a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The shards it may publish, in order.
    pub shards: Vec<Shard>,
    /// How many it should have when they are divided evenly.
    pub fair_share: usize,
    /// When it must stop unless it renews before; never, where there can be no other relay.
    pub ends: Option<Instant>,
}

impl Tenure {
    /// A tenure that was asked for at `asked` and granted for [`TERM`].
    pub(crate) fn granted(asked: Instant, shards: Vec<Shard>, fair_share: usize) -> Self {
        Self {
            shards,
            fair_share,
            ends: Some(asked + TERM - MARGIN),
        }
    }
}

/// The leases on the shards of one outbox.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Says that `member` lives, renews its leases and claims free ones up to its fair share.
    async fn renew(&self, member: Uuid) -> Result<Tenure, OutboxError>;

    /// Gives leases back. Nothing of these shards may be at the broker any more.
    async fn release(&self, member: Uuid, shards: &[Shard]) -> Result<(), OutboxError>;

    /// Gives everything back: `member` stops.
    async fn leave(&self, member: Uuid) -> Result<(), OutboxError>;
}

/// For an outbox that no other process can open: one relay holds everything, for good.
#[derive(Clone, Copy, Debug)]
pub struct SoleOwner;

#[async_trait]
impl Leases for SoleOwner {
    async fn renew(&self, _member: Uuid) -> Result<Tenure, OutboxError> {
        let shards: Vec<Shard> = Shard::all().collect();
        Ok(Tenure {
            fair_share: shards.len(),
            shards,
            ends: None,
        })
    }

    async fn release(&self, _member: Uuid, _shards: &[Shard]) -> Result<(), OutboxError> {
        Ok(())
    }

    async fn leave(&self, _member: Uuid) -> Result<(), OutboxError> {
        Ok(())
    }
}

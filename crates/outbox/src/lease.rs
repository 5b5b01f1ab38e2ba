//! Leases: which relay publishes which shard of the outbox, among the replicas of a service.
//!
//! * A lease lasts [`TERM`] by the database's clock and is renewed well before. Its holder stops earlier, by its own
//!   monotonic clock ([`LeaseGrant::ends`]), so neither a process that was suspended nor a clock that was set leads to two
//!   owners of a shard.
//! * The shards are divided evenly among the live relays. A relay with more than its share releases the surplus once none
//!   of its events are in flight; a relay with less claims free shards.
//! * The leases of a relay that dies expire; a relay that stops releases them.

use async_trait::async_trait;
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use crate::outbox::OutboxError;
use crate::shard::Shard;

pub mod postgres;

/// Duration of a lease without renewal: after it, another relay takes over the shards of a dead one.
pub const TERM: Duration = Duration::from_secs(5);

/// Interval of renewals: two may fail before a lease expires.
pub(crate) const RENEW_EVERY: Duration = Duration::from_millis(1_500);

/// The holder ends its lease this long before the database does: events just handed to the producer have time to leave.
const MARGIN: Duration = Duration::from_secs(1);

/// The shards that one renewal granted to a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseGrant {
    /// The shards it may publish, in order.
    pub shards: Vec<Shard>,
    /// How many shards it should hold when they are divided evenly.
    pub fair_share: usize,
    /// When it must stop publishing unless it renews before; `None` where no other relay can exist.
    pub ends: Option<Instant>,
}

impl LeaseGrant {
    /// Whether other relays are alive.
    pub(crate) fn has_others(&self) -> bool {
        self.fair_share < Shard::all().count()
    }

    /// A grant requested at `asked`, for [`TERM`].
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
    /// Registers `member` as alive, renews its leases and claims free ones up to its fair share.
    ///
    /// # Errors
    /// [`OutboxError`] when the database fails; the renewal may have taken effect or not.
    async fn renew(&self, member: Uuid) -> Result<LeaseGrant, OutboxError>;

    /// Releases these leases. No event of these shards may be in flight. No-op for leases of another member.
    ///
    /// # Errors
    /// [`OutboxError`] when the database fails; the leases then expire.
    async fn release(&self, member: Uuid, shards: &[Shard]) -> Result<(), OutboxError>;

    /// Releases all leases of `member` and unregisters it.
    ///
    /// # Errors
    /// [`OutboxError`] when the database fails; the leases then expire.
    async fn leave(&self, member: Uuid) -> Result<(), OutboxError>;
}

/// Leases for an outbox that no other process can open: one relay holds every shard without expiry.
#[derive(Clone, Copy, Debug)]
pub struct SoleOwner;

#[async_trait]
impl Leases for SoleOwner {
    async fn renew(&self, _member: Uuid) -> Result<LeaseGrant, OutboxError> {
        let shards: Vec<Shard> = Shard::all().collect();
        Ok(LeaseGrant {
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

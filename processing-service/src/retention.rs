//! How long this service keeps what it stores.
//!
//! A saga is what makes a redelivered `OrderPlaced` a no-op. So it is kept longer than the topic keeps its records, and
//! the handler refuses ([`may_be_forgotten`]) to begin one for an order as old as a deleted saga: whatever is delivered
//! again, and however late, no order is processed twice, and none is cancelled that was shipped.

use std::time::{Duration, SystemTime};

use consumer::ConsumerRetention;
use kafka::topics::redelivered_for;
use proto::topics::EVENT_RETENTION;
use service::config::Settings;
use sql::retention::{PruneConfig, RetentionKey, RetentionRule, lowest_id, read_retention};

use crate::domain::OrderId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    pub prune: PruneConfig,
    pub consumer: ConsumerRetention,
    /// Finished sagas with their payments and shipments, counted from their last change.
    pub sagas: Duration,
}

impl RetentionConfig {
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let redelivered_for = redelivered_for(EVENT_RETENTION);
        Self {
            prune: PruneConfig::read(settings),
            consumer: ConsumerRetention::read(settings, redelivered_for),
            sagas: read_retention(
                settings,
                "SAGA_RETENTION",
                "90d",
                redelivered_for,
                "how long a finished saga is kept with its payment and shipment; an older order that has none is not processed; at least 8d",
            ),
        }
    }

    /// The rules of every table of the service that is pruned.
    pub fn rules(&self) -> Vec<RetentionRule> {
        let sagas = RetentionRule {
            table: "sagas",
            key: RetentionKey::TimeOrderedId("order_id"),
            time: "updated_at",
            condition: "state IN ('FULFILLED', 'REJECTED', 'CANCELLED')",
            kept: self.sagas,
        };
        std::iter::once(sagas)
            .chain(self.consumer.rules())
            .collect()
    }
}

/// A replica whose clock is ahead prunes earlier: orders are refused this long before their sagas are deleted.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(3_600);

/// Whether a saga of this order may have been deleted by `now`: by the time in the order's id, which the rule of the table
/// compares too. An id that is no UUIDv7 has no time; its saga is kept for at least as long as its record.
pub fn may_be_forgotten(order_id: OrderId, kept: Duration, now: SystemTime) -> bool {
    let id = order_id.as_uuid();
    let expired = now.checked_sub(kept.saturating_sub(CLOCK_TOLERANCE));
    id.get_version_num() == 7 && expired.is_some_and(|expired| id < lowest_id(expired))
}

/// The order is so old that its saga may have been deleted: to process or cancel it could contradict what was done.
#[derive(Debug, thiserror::Error)]
#[error("order {0} is older than finished sagas are kept, and has none")]
pub struct Forgotten(pub OrderId);

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_order_may_be_forgotten_when_its_id_is_older_than_the_retention() {
        let kept = Duration::from_secs(90 * 86_400);
        let order_id = OrderId::new(Uuid::now_v7());
        let placed = SystemTime::now();
        let early = CLOCK_TOLERANCE + Duration::from_secs(60);

        assert!(!may_be_forgotten(order_id, kept, placed));
        assert!(!may_be_forgotten(order_id, kept, placed + kept - early));
        assert!(may_be_forgotten(order_id, kept, placed + kept));
        let without_time = OrderId::new(Uuid::from_u128(1));
        assert!(!may_be_forgotten(without_time, kept, placed + kept));
    }
}

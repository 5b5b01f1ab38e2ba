//! How long this service keeps what it stores.
//!
//! Orders are business data: they are kept for ten years unless configured otherwise, and only those in a final state are
//! ever deleted, with their history. A `request_id` is remembered as long as its order.

use std::time::Duration;

use consumer::ConsumerRetention;
use kafka::topics::redelivered_for;
use proto::topics::EVENT_RETENTION;
use service::config::Settings;
use sql::retention::{PruneConfig, RetentionKey, RetentionRule, read_retention};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    pub prune: PruneConfig,
    pub consumer: ConsumerRetention,
    /// Orders in a final state, with their history, counted from their last change.
    pub orders: Duration,
}

impl RetentionConfig {
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let redelivered_for = redelivered_for(EVENT_RETENTION);
        Self {
            prune: PruneConfig::read(settings),
            consumer: ConsumerRetention::read(settings, redelivered_for),
            // An outcome that comes again after its order was deleted would become a dead letter.
            orders: read_retention(
                settings,
                "ORDER_RETENTION",
                "3650d",
                redelivered_for,
                "how long an order in a final state is kept with its history, and its request_id is remembered; at least 8d",
            ),
        }
    }

    /// The rules of every table of the service that is pruned.
    pub fn rules(&self) -> Vec<RetentionRule> {
        let orders = RetentionRule {
            table: "orders",
            key: RetentionKey::TimeOrderedId("order_id"),
            time: "updated_at",
            condition: "status IN ('FULFILLED', 'REJECTED', 'CANCELLED')",
            kept: self.orders,
        };
        let audit = RetentionRule {
            table: "order_audit",
            key: RetentionKey::Columns("id"),
            time: "at",
            condition: "TRUE",
            kept: self.consumer.audit,
        };
        let of_consumer = self.consumer.rules().into_iter();
        [orders, audit].into_iter().chain(of_consumer).collect()
    }
}

//! The Kafka topics of this service: who writes a topic creates it.

use std::time::Duration;

use kafka::topics::TopicSpec;
use proto::topics::{ORDER_EVENTS, ORDER_EVENTS_DEAD_LETTERS, PROCESSING_EVENTS};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What this service writes: its events, and what it sets aside of those that it reads.
pub const WRITTEN: [TopicSpec; 2] = [
    TopicSpec {
        name: PROCESSING_EVENTS,
        // Longer than anybody needs to repair a consumer that stands still over a weekend.
        retention: DAY.saturating_mul(7),
    },
    TopicSpec {
        name: ORDER_EVENTS_DEAD_LETTERS,
        // Somebody has to look at them.
        retention: DAY.saturating_mul(30),
    },
];

/// What has to be there before the service is ready: what it reads, and what it writes.
pub const NEEDED: [&str; 3] = [ORDER_EVENTS, PROCESSING_EVENTS, ORDER_EVENTS_DEAD_LETTERS];

//! The Kafka topics of this service. The service that writes a topic creates it.

use std::time::Duration;

use kafka::topics::{DEAD_LETTER_BYTES, EVENT_BYTES, TopicSpec};
use proto::topics::{
    EVENT_RETENTION, ORDER_EVENTS, PROCESSING_EVENTS, PROCESSING_EVENTS_DEAD_LETTERS,
};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The topics that this service writes: its events, and its dead letters.
pub const WRITTEN: [TopicSpec; 2] = [
    TopicSpec {
        name: ORDER_EVENTS,
        retention: EVENT_RETENTION,
        max_message_bytes: EVENT_BYTES,
    },
    TopicSpec {
        name: PROCESSING_EVENTS_DEAD_LETTERS,
        // Operators need time to inspect dead letters.
        retention: DAY.saturating_mul(30),
        max_message_bytes: DEAD_LETTER_BYTES,
    },
];

/// The topics that must exist before the service is ready: those that it reads and those that it writes.
pub const NEEDED: [&str; 3] = [
    ORDER_EVENTS,
    PROCESSING_EVENTS,
    PROCESSING_EVENTS_DEAD_LETTERS,
];

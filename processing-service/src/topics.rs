//! The Kafka topics of this service. The service that writes a topic creates it.

use std::time::Duration;

use kafka::topics::{DEAD_LETTER_BYTES, EVENT_BYTES, TopicSpec};
use proto::topics::{EVENT_RETENTION, ORDER_EVENTS, ORDER_EVENTS_DEAD_LETTERS, PROCESSING_EVENTS};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Topics that this service writes: its events, and the dead letters of the events that it consumes.
pub const WRITTEN: [TopicSpec; 2] = [
    TopicSpec {
        name: PROCESSING_EVENTS,
        retention: EVENT_RETENTION,
        max_message_bytes: EVENT_BYTES,
    },
    TopicSpec {
        name: ORDER_EVENTS_DEAD_LETTERS,
        // Time for an operator to inspect them.
        retention: DAY.saturating_mul(30),
        max_message_bytes: DEAD_LETTER_BYTES,
    },
];

/// Topics that must exist before the service is ready: those it reads and those it writes.
pub const NEEDED: [&str; 3] = [ORDER_EVENTS, PROCESSING_EVENTS, ORDER_EVENTS_DEAD_LETTERS];

//! Topic names: `<domain>.<entity>.<kind>.v<major>`. A breaking change of the events is a new major, hence a new topic. At
//! Kafka the `KAFKA_TOPIC_PREFIX` of the installation stands in front of each name.

use std::time::Duration;

/// Published by order-service, consumed by processing-service. Key: order id.
pub const ORDER_EVENTS: &str = "orders.order.events.v1";

/// Published by processing-service, consumed by order-service. Key: order id.
pub const PROCESSING_EVENTS: &str = "processing.order.events.v1";

/// Records of [`ORDER_EVENTS`] that processing-service rejected or gave up.
pub const ORDER_EVENTS_DEAD_LETTERS: &str = "orders.order.events.v1.dlq";

/// Records of [`PROCESSING_EVENTS`] that order-service rejected or gave up.
pub const PROCESSING_EVENTS_DEAD_LETTERS: &str = "processing.order.events.v1.dlq";

/// Every topic of the pair.
pub const ALL: [&str; 4] = [
    ORDER_EVENTS,
    PROCESSING_EVENTS,
    ORDER_EVENTS_DEAD_LETTERS,
    PROCESSING_EVENTS_DEAD_LETTERS,
];

/// How long the topics of events keep a record: long enough to repair a consumer that stops over a weekend. What a
/// consumer remembers of handled events it must remember longer.
pub const EVENT_RETENTION: Duration = Duration::from_secs(7 * 24 * 3_600);

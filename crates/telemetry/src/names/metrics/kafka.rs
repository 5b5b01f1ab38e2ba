//! What is seen of messages, and of what became of them.

use opentelemetry_semantic_conventions::metric as conventions;

use super::{CALL_SECONDS, FAILED};
use crate::names::attributes as attr;
use crate::vocabulary::Instrument::{Counter, Gauge, Histogram};
use crate::vocabulary::{Metric, Source, always, sometimes};

/// What the broker takes.
pub const MESSAGING_CLIENT_OPERATION_DURATION: Metric = Metric {
    name: conventions::MESSAGING_CLIENT_OPERATION_DURATION,
    instrument: Histogram(CALL_SECONDS),
    unit: "s",
    brief: "Time of operations of the Kafka client: sends until they are acknowledged, polls of what was fetched before, commits, which are waited for only when a partition is given back",
    attributes: &[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_OPERATION_TYPE),
        always(attr::MESSAGING_DESTINATION_NAME),
        sometimes(attr::MESSAGING_CONSUMER_GROUP_NAME, "a consumer does it"),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: Source::Conventions,
};
/// What goes out.
pub const MESSAGING_CLIENT_SENT_MESSAGES: Metric = Metric {
    name: conventions::MESSAGING_CLIENT_SENT_MESSAGES,
    instrument: Counter,
    unit: "{message}",
    brief: "Messages that were to be sent, whether or not the broker took them",
    attributes: &[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_DESTINATION_NAME),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: Source::Conventions,
};
/// What comes in.
pub const MESSAGING_CLIENT_CONSUMED_MESSAGES: Metric = Metric {
    name: conventions::MESSAGING_CLIENT_CONSUMED_MESSAGES,
    instrument: Counter,
    unit: "{message}",
    brief: "Messages that were received, each delivery counted once",
    attributes: &[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    ],
    source: Source::Conventions,
};
/// What handlers take.
pub const MESSAGING_PROCESS_DURATION: Metric = Metric {
    name: conventions::MESSAGING_PROCESS_DURATION,
    instrument: Histogram(CALL_SECONDS),
    unit: "s",
    brief: "Time of one attempt to handle a message",
    attributes: &[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: Source::Conventions,
};
/// How far behind, in messages.
pub const KAFKA_CONSUMER_LAG: Metric = Metric {
    name: "kafka.consumer.lag",
    instrument: Gauge,
    unit: "{message}",
    brief: "Messages of an assigned partition that are not done yet, from the lowest offset that is not done to the end as it was last fetched",
    attributes: &[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
        always(attr::MESSAGING_DESTINATION_PARTITION_ID),
    ],
    source: Source::Own,
};
/// How far behind, in time.
pub const KAFKA_CONSUMER_OLDEST_AGE: Metric = Metric {
    name: "kafka.consumer.oldest.age",
    instrument: Gauge,
    unit: "s",
    brief: "Time since the oldest received message that is not done was published",
    attributes: &[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    ],
    source: Source::Own,
};
/// What is in work.
pub const KAFKA_CONSUMER_IN_FLIGHT: Metric = Metric {
    name: "kafka.consumer.in_flight",
    instrument: Gauge,
    unit: "{message}",
    brief: "Messages that a handler is at work on",
    attributes: &[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    ],
    source: Source::Own,
};
/// What had to be tried again.
pub const KAFKA_CONSUMER_RETRIES: Metric = Metric {
    name: "kafka.consumer.retries",
    instrument: Counter,
    unit: "{attempt}",
    brief: "Attempts to handle a message again, after one that failed",
    attributes: &[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    ],
    source: Source::Own,
};
/// What was given up.
pub const KAFKA_CONSUMER_DEAD_LETTERS: Metric = Metric {
    name: "kafka.consumer.dead_letters",
    instrument: Counter,
    unit: "{message}",
    brief: "Messages that were put on the dead-letter topic",
    attributes: &[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
        always(attr::FAULT),
    ],
    source: Source::Own,
};
/// Who came and went.
pub const KAFKA_CONSUMER_REBALANCES: Metric = Metric {
    name: "kafka.consumer.rebalances",
    instrument: Counter,
    unit: "{rebalance}",
    brief: "Times that partitions were assigned or taken away",
    attributes: &[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    ],
    source: Source::Own,
};
/// What waits for an operator or for its next attempt.
pub const PARKED_KEYS: Metric = Metric {
    name: "retry_store.blocked_keys",
    instrument: Gauge,
    unit: "{key}",
    brief: "Keys that stand still because events of theirs are parked, among the events that are counted",
    attributes: &[],
    source: Source::Own,
};
/// See [`PARKED_KEYS`].
pub const PARKED_EVENTS: Metric = Metric {
    name: "retry_store.events",
    instrument: Gauge,
    unit: "{event}",
    brief: "Events that are parked and not skipped, counted up to 10,000; every replica shows all of them, and none while the database cannot be read",
    attributes: &[],
    source: Source::Own,
};

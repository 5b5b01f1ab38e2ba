//! Metrics of the Kafka client, the consumer and the retry store.

use opentelemetry_semantic_conventions::metric as conventions;

use super::{CALL_SECONDS, FAILED};
use crate::names::attributes as attr;
use crate::vocabulary::Instrument::{Counter, Gauge, Histogram};
use crate::vocabulary::{Metric, NameOrigin, always, sometimes};

pub const MESSAGING_CLIENT_OPERATION_DURATION: Metric = Metric {
    name: conventions::MESSAGING_CLIENT_OPERATION_DURATION,
    instrument: Histogram(CALL_SECONDS),
    unit: "s",
    brief: "Duration of Kafka client operations: sends until the acknowledgement, polls of prefetched messages, and commits, which are awaited only when a partition is revoked",
    attributes: &[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_OPERATION_TYPE),
        always(attr::MESSAGING_DESTINATION_NAME),
        sometimes(
            attr::MESSAGING_CONSUMER_GROUP_NAME,
            "the client is a consumer",
        ),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: NameOrigin::Conventions,
};

pub const MESSAGING_CLIENT_SENT_MESSAGES: Metric = Metric {
    name: conventions::MESSAGING_CLIENT_SENT_MESSAGES,
    instrument: Counter,
    unit: "{message}",
    brief: "Messages sent, including those that the broker did not acknowledge",
    attributes: &[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_DESTINATION_NAME),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: NameOrigin::Conventions,
};

pub const MESSAGING_CLIENT_CONSUMED_MESSAGES: Metric = Metric {
    name: conventions::MESSAGING_CLIENT_CONSUMED_MESSAGES,
    instrument: Counter,
    unit: "{message}",
    brief: "Messages received, counted per delivery",
    attributes: &[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    ],
    source: NameOrigin::Conventions,
};

pub const MESSAGING_PROCESS_DURATION: Metric = Metric {
    name: conventions::MESSAGING_PROCESS_DURATION,
    instrument: Histogram(CALL_SECONDS),
    unit: "s",
    brief: "Duration of one attempt to handle a message",
    attributes: &[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: NameOrigin::Conventions,
};

pub const KAFKA_CONSUMER_LAG: Metric = Metric {
    name: "kafka.consumer.lag",
    instrument: Gauge,
    unit: "{message}",
    brief: "Consumer lag of an assigned partition: messages from the lowest unprocessed offset to the last fetched end offset",
    attributes: &[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
        always(attr::MESSAGING_DESTINATION_PARTITION_ID),
    ],
    source: NameOrigin::Own,
};

pub const KAFKA_CONSUMER_OLDEST_AGE: Metric = Metric {
    name: "kafka.consumer.oldest.age",
    instrument: Gauge,
    unit: "s",
    brief: "Age of the oldest received and unprocessed message, since it was published",
    attributes: &[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    ],
    source: NameOrigin::Own,
};

pub const KAFKA_CONSUMER_IN_FLIGHT: Metric = Metric {
    name: "kafka.consumer.in_flight",
    instrument: Gauge,
    unit: "{message}",
    brief: "Messages in flight in handlers",
    attributes: &[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    ],
    source: NameOrigin::Own,
};

pub const KAFKA_CONSUMER_RETRIES: Metric = Metric {
    name: "kafka.consumer.retries",
    instrument: Counter,
    unit: "{attempt}",
    brief: "Retries of messages after a failed attempt",
    attributes: &[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    ],
    source: NameOrigin::Own,
};

pub const KAFKA_CONSUMER_DEAD_LETTERS: Metric = Metric {
    name: "kafka.consumer.dead_letters",
    instrument: Counter,
    unit: "{message}",
    brief: "Messages sent to the dead-letter topic",
    attributes: &[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
        always(attr::FAULT),
    ],
    source: NameOrigin::Own,
};

pub const KAFKA_CONSUMER_REBALANCES: Metric = Metric {
    name: "kafka.consumer.rebalances",
    instrument: Counter,
    unit: "{rebalance}",
    brief: "Rebalances: assignments and revocations of partitions",
    attributes: &[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    ],
    source: NameOrigin::Own,
};

pub const RETRY_STORE_BLOCKED_KEYS: Metric = Metric {
    name: "retry_store.blocked_keys",
    instrument: Gauge,
    unit: "{key}",
    brief: "Blocked keys: keys with events in the retry store, among the counted events",
    attributes: &[],
    source: NameOrigin::Own,
};

pub const RETRY_STORE_EVENTS: Metric = Metric {
    name: "retry_store.events",
    instrument: Gauge,
    unit: "{event}",
    brief: "Events in the retry store that are not skipped, counted up to 10,000; every replica reports the total, and no value while the database is unreadable",
    attributes: &[],
    source: NameOrigin::Own,
};

//! Metrics of the Kafka client, the consumer, the retry store and the outbox.

use opentelemetry_semantic_conventions::metric as conventions;

use super::{CALL_SECONDS, FAILED};
use crate::names::attributes as attr;
use crate::vocabulary::{Metric, Use, always, counter, gauge, histogram, sometimes};

const OF_CONSUMER: &[Use] = &[
    always(attr::MESSAGING_DESTINATION_NAME),
    always(attr::MESSAGING_CONSUMER_GROUP_NAME),
];

pub const MESSAGING_CLIENT_OPERATION_DURATION: Metric = histogram(conventions::MESSAGING_CLIENT_OPERATION_DURATION, "s", CALL_SECONDS, "Duration of Kafka client operations: sends until the acknowledgement, polls of prefetched messages, and commits, which are awaited only when a partition is revoked").of_conventions().with(&[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_OPERATION_TYPE),
        always(attr::MESSAGING_DESTINATION_NAME),
        sometimes(
            attr::MESSAGING_CONSUMER_GROUP_NAME,
            "the client is a consumer",
        ),
        sometimes(attr::ERROR_TYPE, FAILED),
    ]);

pub const MESSAGING_CLIENT_SENT_MESSAGES: Metric = counter(
    conventions::MESSAGING_CLIENT_SENT_MESSAGES,
    "{message}",
    "Messages sent, including those that the broker did not acknowledge",
)
.of_conventions()
.with(&[
    always(attr::MESSAGING_SYSTEM),
    always(attr::MESSAGING_OPERATION_NAME),
    always(attr::MESSAGING_DESTINATION_NAME),
    sometimes(attr::ERROR_TYPE, FAILED),
]);

pub const MESSAGING_CLIENT_CONSUMED_MESSAGES: Metric = counter(
    conventions::MESSAGING_CLIENT_CONSUMED_MESSAGES,
    "{message}",
    "Messages received, counted per delivery",
)
.of_conventions()
.with(&[
    always(attr::MESSAGING_SYSTEM),
    always(attr::MESSAGING_OPERATION_NAME),
    always(attr::MESSAGING_DESTINATION_NAME),
    always(attr::MESSAGING_CONSUMER_GROUP_NAME),
]);

pub const MESSAGING_PROCESS_DURATION: Metric = histogram(
    conventions::MESSAGING_PROCESS_DURATION,
    "s",
    CALL_SECONDS,
    "Duration of one attempt to handle a message",
)
.of_conventions()
.with(&[
    always(attr::MESSAGING_SYSTEM),
    always(attr::MESSAGING_OPERATION_NAME),
    always(attr::MESSAGING_DESTINATION_NAME),
    always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    sometimes(attr::ERROR_TYPE, FAILED),
]);

pub const KAFKA_CONSUMER_LAG: Metric = gauge("kafka.consumer.lag", "{message}", "Consumer lag of an assigned partition: messages from the lowest unprocessed offset to the last fetched end offset").with(&[
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
        always(attr::MESSAGING_DESTINATION_PARTITION_ID),
    ]);

pub const KAFKA_CONSUMER_OLDEST_AGE: Metric = gauge(
    "kafka.consumer.oldest.age",
    "s",
    "Age of the oldest received and unprocessed message, since it was published",
)
.with(OF_CONSUMER);

pub const KAFKA_CONSUMER_IN_FLIGHT: Metric = gauge(
    "kafka.consumer.in_flight",
    "{message}",
    "Messages in flight in handlers",
)
.with(OF_CONSUMER);

pub const KAFKA_CONSUMER_RETRIES: Metric = counter(
    "kafka.consumer.retries",
    "{attempt}",
    "Retries of messages after a failed attempt",
)
.with(OF_CONSUMER);

pub const KAFKA_CONSUMER_DEAD_LETTERS: Metric = counter(
    "kafka.consumer.dead_letters",
    "{message}",
    "Messages given up: sent to the dead-letter topic or, with the fault `unpublished`, kept in the retry store only",
)
.with(&[
    always(attr::MESSAGING_DESTINATION_NAME),
    always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    always(attr::FAULT),
]);

pub const KAFKA_CONSUMER_DELETED_UNREAD: Metric = counter(
    "kafka.consumer.deleted_unread",
    "{message}",
    "Messages that were deleted from the topic before they were read",
)
.with(&[
    always(attr::MESSAGING_DESTINATION_NAME),
    always(attr::MESSAGING_CONSUMER_GROUP_NAME),
    always(attr::MESSAGING_DESTINATION_PARTITION_ID),
]);

pub const KAFKA_CONSUMER_REBALANCES: Metric = counter(
    "kafka.consumer.rebalances",
    "{rebalance}",
    "Rebalances: assignments and revocations of partitions",
)
.with(OF_CONSUMER);

pub const RETRY_STORE_BLOCKED_KEYS: Metric = gauge(
    "retry_store.blocked_keys",
    "{key}",
    "Blocked keys: keys with events in the retry store, among the counted events",
);

pub const RETRY_STORE_EVENTS: Metric = gauge(
    "retry_store.events",
    "{event}",
    "Events in the retry store that are not skipped, counted up to 10,000; every replica reports the total, and no value while the database is unreadable",
);

pub const OUTBOX_ROWS: Metric = gauge(
    "outbox.rows",
    "{event}",
    "Committed events not yet acknowledged by the broker, counted up to a limit; every replica reports the total, and no value while the database is unreadable",
);

pub const OUTBOX_OLDEST_AGE: Metric = gauge(
    "outbox.oldest.age",
    "s",
    "Age of the oldest unacknowledged event whose key is not blocked",
);

pub const OUTBOX_BLOCKED_KEYS: Metric = gauge(
    "outbox.blocked.keys",
    "{key}",
    "Blocked keys: the head event has exhausted its publish attempts",
);

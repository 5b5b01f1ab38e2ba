//! Metrics.

use opentelemetry_semantic_conventions::metric as conventions;

use super::attributes as the;
use crate::telemetry::vocabulary::Instrument::{Counter, Gauge, Histogram, UpDownCounter};
use crate::telemetry::vocabulary::{Metric, Source, always, sometimes};

/// Boundaries of the conventions for calls and for messages, in seconds: from what a fast confirmation takes to the
/// longest that anybody waits.
pub const CALL_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Boundaries of the conventions for databases, in seconds: finer below a millisecond, where a statement without an fsync
/// lies.
pub const DATABASE_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Boundaries for the size of a group commit: a batch has 200 commands at most, and twice as many callers mean twice as
/// large a batch, so each bucket is about twice the one before.
pub const BATCH_SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];

const FAILED: &str = "it failed";
const KNOWN: &str = "it is known";

// ---- gRPC

/// What a client waits for.
pub const RPC_SERVER_CALL_DURATION: Metric = Metric {
    name: conventions::RPC_SERVER_CALL_DURATION,
    instrument: Histogram(CALL_SECONDS),
    unit: "s",
    brief: "Time from the request to the end of the response, of calls that came in",
    attributes: &[
        always(the::RPC_SYSTEM_NAME),
        always(the::RPC_METHOD),
        always(the::RPC_RESPONSE_STATUS_CODE),
        sometimes(the::ERROR_TYPE, "the server is to blame for the status"),
    ],
    source: Source::Conventions,
};
/// What this process waits for.
pub const RPC_CLIENT_CALL_DURATION: Metric = Metric {
    name: conventions::RPC_CLIENT_CALL_DURATION,
    instrument: Histogram(CALL_SECONDS),
    unit: "s",
    brief: "Time of calls that went out, with all their attempts",
    attributes: &[
        always(the::RPC_SYSTEM_NAME),
        always(the::RPC_METHOD),
        always(the::RPC_RESPONSE_STATUS_CODE),
        sometimes(the::ERROR_TYPE, "the status is not `OK`"),
        always(the::SERVER_ADDRESS),
        always(the::SERVER_PORT),
    ],
    source: Source::Conventions,
};
/// What is in work.
pub const GRPC_SERVER_CALLS_ACTIVE: Metric = Metric {
    name: "grpc.server.calls.active",
    instrument: Gauge,
    unit: "{call}",
    brief: "Calls in work, open streams included",
    attributes: &[],
    source: Source::Own,
};
/// What was refused early.
pub const GRPC_SERVER_CALLS_SHED: Metric = Metric {
    name: "grpc.server.calls.shed",
    instrument: Counter,
    unit: "{call}",
    brief: "Calls that were refused before they were worked on, because there was too much to do",
    attributes: &[always(the::SHED_REASON)],
    source: Source::Own,
};
/// Who is connected.
pub const GRPC_SERVER_CONNECTIONS: Metric = Metric {
    name: "grpc.server.connections",
    instrument: Gauge,
    unit: "{connection}",
    brief: "Open connections of the gRPC server",
    attributes: &[],
    source: Source::Own,
};
/// Who had to go.
pub const GRPC_SERVER_CONNECTIONS_EVICTED: Metric = Metric {
    name: "grpc.server.connections.evicted",
    instrument: Counter,
    unit: "{connection}",
    brief: "Connections without a call that were closed to make room for another",
    attributes: &[],
    source: Source::Own,
};
/// Who was not let in.
pub const GRPC_SERVER_CONNECTIONS_REFUSED: Metric = Metric {
    name: "grpc.server.connections.refused",
    instrument: Counter,
    unit: "{connection}",
    brief: "Connections that were closed at once because all others had calls in work",
    attributes: &[],
    source: Source::Own,
};
/// Who did not get through TLS.
pub const GRPC_SERVER_HANDSHAKES_FAILED: Metric = Metric {
    name: "grpc.server.handshakes.failed",
    instrument: Counter,
    unit: "{handshake}",
    brief: "TLS handshakes that did not lead to a connection",
    attributes: &[],
    source: Source::Own,
};

// ---- the client of another service

/// 0, 1 or 2.
pub const CLIENT_BREAKER_STATE: Metric = Metric {
    name: "client.breaker.state",
    instrument: Gauge,
    unit: "{state}",
    brief: "State of the circuit breaker: 0 closed, 1 half open, 2 open",
    attributes: &[always(the::DEPENDENCY)],
    source: Source::Own,
};
/// How often it moved.
pub const CLIENT_BREAKER_TRANSITIONS: Metric = Metric {
    name: "client.breaker.transitions",
    instrument: Counter,
    unit: "{transition}",
    brief: "Transitions of the circuit breaker by the state that they lead to",
    attributes: &[always(the::DEPENDENCY), always(the::BREAKER_TO)],
    source: Source::Own,
};
/// What it kept away.
pub const CLIENT_BREAKER_REFUSED: Metric = Metric {
    name: "client.breaker.refused",
    instrument: Counter,
    unit: "{call}",
    brief: "Calls that the open circuit breaker answered itself",
    attributes: &[always(the::DEPENDENCY)],
    source: Source::Own,
};
/// Who can be called.
pub const CLIENT_ENDPOINTS: Metric = Metric {
    name: "client.endpoints",
    instrument: Gauge,
    unit: "{endpoint}",
    brief: "Known replicas by state",
    attributes: &[always(the::DEPENDENCY), always(the::ENDPOINT_STATE)],
    source: Source::Own,
};
/// Who was left out.
pub const CLIENT_ENDPOINT_EJECTIONS: Metric = Metric {
    name: "client.endpoint.ejections",
    instrument: Counter,
    unit: "{ejection}",
    brief: "How often a replica was left out because its calls failed",
    attributes: &[always(the::DEPENDENCY)],
    source: Source::Own,
};
/// What was asked again.
pub const CLIENT_RETRIES: Metric = Metric {
    name: "client.retries",
    instrument: Counter,
    unit: "{attempt}",
    brief: "Repeated calls, and those not repeated because too much failed",
    attributes: &[always(the::DEPENDENCY), always(the::RETRY_OUTCOME)],
    source: Source::Own,
};

// ---- Kafka

/// What the broker takes.
pub const MESSAGING_CLIENT_OPERATION_DURATION: Metric = Metric {
    name: conventions::MESSAGING_CLIENT_OPERATION_DURATION,
    instrument: Histogram(CALL_SECONDS),
    unit: "s",
    brief: "Time of operations of the Kafka client: sends until they are acknowledged, polls of what was fetched before, commits, which are waited for only when a partition is given back",
    attributes: &[
        always(the::MESSAGING_SYSTEM),
        always(the::MESSAGING_OPERATION_NAME),
        always(the::MESSAGING_OPERATION_TYPE),
        always(the::MESSAGING_DESTINATION_NAME),
        sometimes(the::MESSAGING_CONSUMER_GROUP_NAME, "a consumer does it"),
        sometimes(the::ERROR_TYPE, FAILED),
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
        always(the::MESSAGING_SYSTEM),
        always(the::MESSAGING_OPERATION_NAME),
        always(the::MESSAGING_DESTINATION_NAME),
        sometimes(the::ERROR_TYPE, FAILED),
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
        always(the::MESSAGING_SYSTEM),
        always(the::MESSAGING_OPERATION_NAME),
        always(the::MESSAGING_DESTINATION_NAME),
        always(the::MESSAGING_CONSUMER_GROUP_NAME),
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
        always(the::MESSAGING_SYSTEM),
        always(the::MESSAGING_OPERATION_NAME),
        always(the::MESSAGING_DESTINATION_NAME),
        always(the::MESSAGING_CONSUMER_GROUP_NAME),
        sometimes(the::ERROR_TYPE, FAILED),
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
        always(the::MESSAGING_DESTINATION_NAME),
        always(the::MESSAGING_CONSUMER_GROUP_NAME),
        always(the::MESSAGING_DESTINATION_PARTITION_ID),
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
        always(the::MESSAGING_DESTINATION_NAME),
        always(the::MESSAGING_CONSUMER_GROUP_NAME),
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
        always(the::MESSAGING_DESTINATION_NAME),
        always(the::MESSAGING_CONSUMER_GROUP_NAME),
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
        always(the::MESSAGING_DESTINATION_NAME),
        always(the::MESSAGING_CONSUMER_GROUP_NAME),
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
        always(the::MESSAGING_DESTINATION_NAME),
        always(the::MESSAGING_CONSUMER_GROUP_NAME),
        always(the::FAULT),
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
        always(the::MESSAGING_DESTINATION_NAME),
        always(the::MESSAGING_CONSUMER_GROUP_NAME),
    ],
    source: Source::Own,
};
/// What waits for an operator or for its next attempt.
pub const PARKED_KEYS: Metric = Metric {
    name: "parked.keys",
    instrument: Gauge,
    unit: "{key}",
    brief: "Keys that stand still because events of theirs are parked, among the events that are counted",
    attributes: &[],
    source: Source::Own,
};
/// See [`PARKED_KEYS`].
pub const PARKED_EVENTS: Metric = Metric {
    name: "parked.events",
    instrument: Gauge,
    unit: "{event}",
    brief: "Events that are parked and not skipped, counted up to 10,000; every replica shows all of them, and none while the database cannot be read",
    attributes: &[],
    source: Source::Own,
};

// ---- outbox

/// How much waits for the broker.
pub const OUTBOX_ROWS: Metric = Metric {
    name: "outbox.rows",
    instrument: Gauge,
    unit: "{event}",
    brief: "Committed events that the broker has not acknowledged, counted up to a bound; every replica shows all of them, and none while the database cannot be read",
    attributes: &[],
    source: Source::Own,
};
/// How long it waits.
pub const OUTBOX_OLDEST_AGE: Metric = Metric {
    name: "outbox.oldest.age",
    instrument: Gauge,
    unit: "s",
    brief: "How long the oldest of them has waited",
    attributes: &[],
    source: Source::Own,
};
/// What cannot be published.
pub const OUTBOX_BLOCKED_KEYS: Metric = Metric {
    name: "outbox.blocked.keys",
    instrument: Gauge,
    unit: "{key}",
    brief: "Keys that stand still because an event of theirs cannot be published",
    attributes: &[],
    source: Source::Own,
};

// ---- databases

/// What a database takes.
pub const DB_CLIENT_OPERATION_DURATION: Metric = Metric {
    name: conventions::DB_CLIENT_OPERATION_DURATION,
    instrument: Histogram(DATABASE_SECONDS),
    unit: "s",
    brief: "Time of statements and transactions, waiting for a connection included",
    attributes: &[
        always(the::DB_SYSTEM_NAME),
        always(the::DB_NAMESPACE),
        always(the::DB_QUERY_SUMMARY),
        sometimes(the::DB_OPERATION_NAME, "it is one operation"),
        sometimes(the::DB_COLLECTION_NAME, "it is one table"),
        sometimes(the::ERROR_TYPE, FAILED),
        sometimes(the::DB_RESPONSE_STATUS_CODE, "the database gave one"),
        sometimes(the::SERVER_ADDRESS, KNOWN),
        sometimes(the::SERVER_PORT, "it is not the usual one"),
    ],
    source: Source::Conventions,
};
/// How large a pool may be.
pub const DB_CLIENT_CONNECTION_MAX: Metric = Metric {
    name: conventions::DB_CLIENT_CONNECTION_MAX,
    instrument: UpDownCounter,
    unit: "{connection}",
    brief: "Most connections that the pool opens",
    attributes: &[always(the::DB_CLIENT_CONNECTION_POOL_NAME)],
    source: Source::Conventions,
};
/// How large it is.
pub const DB_CLIENT_CONNECTION_COUNT: Metric = Metric {
    name: conventions::DB_CLIENT_CONNECTION_COUNT,
    instrument: UpDownCounter,
    unit: "{connection}",
    brief: "Connections of the pool by state",
    attributes: &[
        always(the::DB_CLIENT_CONNECTION_POOL_NAME),
        always(the::DB_CLIENT_CONNECTION_STATE),
    ],
    source: Source::Conventions,
};

// ---- group commit

/// How many share an fsync.
pub const GROUP_COMMIT_BATCH_SIZE: Metric = Metric {
    name: "group_commit.batch.size",
    instrument: Histogram(BATCH_SIZES),
    unit: "{command}",
    brief: "Commands that were committed together",
    attributes: &[always(the::WRITER)],
    source: Source::Own,
};
/// What they wait for.
pub const GROUP_COMMIT_DURATION: Metric = Metric {
    name: "group_commit.duration",
    instrument: Histogram(DATABASE_SECONDS),
    unit: "s",
    brief: "Time of a commit of all its commands",
    attributes: &[always(the::WRITER), sometimes(the::ERROR_TYPE, FAILED)],
    source: Source::Own,
};
/// Who waits.
pub const GROUP_COMMIT_QUEUE: Metric = Metric {
    name: "group_commit.queue",
    instrument: Gauge,
    unit: "{command}",
    brief: "Commands that wait for a commit",
    attributes: &[always(the::WRITER)],
    source: Source::Own,
};

// ---- the process

/// What it costs.
pub const PROCESS_CPU_TIME: Metric = Metric {
    name: conventions::PROCESS_CPU_TIME,
    instrument: Counter,
    unit: "s",
    brief: "CPU time of the process",
    attributes: &[always(the::CPU_MODE)],
    source: Source::Conventions,
};
/// What it holds.
pub const PROCESS_MEMORY_USAGE: Metric = Metric {
    name: conventions::PROCESS_MEMORY_USAGE,
    instrument: UpDownCounter,
    unit: "By",
    brief: "Resident memory of the process",
    attributes: &[],
    source: Source::Conventions,
};
/// Its threads.
pub const PROCESS_THREAD_COUNT: Metric = Metric {
    name: conventions::PROCESS_THREAD_COUNT,
    instrument: UpDownCounter,
    unit: "{thread}",
    brief: "Threads of the process",
    attributes: &[],
    source: Source::Conventions,
};
/// Its files and connections.
pub const PROCESS_UNIX_FILE_DESCRIPTOR_COUNT: Metric = Metric {
    name: conventions::PROCESS_UNIX_FILE_DESCRIPTOR_COUNT,
    instrument: UpDownCounter,
    unit: "{file_descriptor}",
    brief: "Open file descriptors of the process",
    attributes: &[],
    source: Source::Conventions,
};
/// Its age.
pub const PROCESS_UPTIME: Metric = Metric {
    name: conventions::PROCESS_UPTIME,
    instrument: Gauge,
    unit: "s",
    brief: "Time since the process was started",
    attributes: &[],
    source: Source::Conventions,
};
/// The runtime's threads.
pub const TOKIO_WORKERS: Metric = Metric {
    name: "tokio.workers",
    instrument: Gauge,
    unit: "{thread}",
    brief: "Worker threads of the runtime",
    attributes: &[],
    source: Source::Own,
};
/// The runtime's work.
pub const TOKIO_TASKS_ALIVE: Metric = Metric {
    name: "tokio.tasks.alive",
    instrument: Gauge,
    unit: "{task}",
    brief: "Tasks that have begun and not ended",
    attributes: &[],
    source: Source::Own,
};
/// The runtime's backlog.
pub const TOKIO_GLOBAL_QUEUE: Metric = Metric {
    name: "tokio.global_queue",
    instrument: Gauge,
    unit: "{task}",
    brief: "Tasks that are ready and that no worker has taken yet",
    attributes: &[],
    source: Source::Own,
};
/// The runtime's load.
pub const TOKIO_BUSY_TIME: Metric = Metric {
    name: "tokio.busy.time",
    instrument: Counter,
    unit: "s",
    brief: "Time in which workers were not parked, of all workers together",
    attributes: &[],
    source: Source::Own,
};

/// All of them.
pub const ALL: &[Metric] = &[
    RPC_SERVER_CALL_DURATION,
    RPC_CLIENT_CALL_DURATION,
    GRPC_SERVER_CALLS_ACTIVE,
    GRPC_SERVER_CALLS_SHED,
    GRPC_SERVER_CONNECTIONS,
    GRPC_SERVER_CONNECTIONS_EVICTED,
    GRPC_SERVER_CONNECTIONS_REFUSED,
    GRPC_SERVER_HANDSHAKES_FAILED,
    CLIENT_BREAKER_STATE,
    CLIENT_BREAKER_TRANSITIONS,
    CLIENT_BREAKER_REFUSED,
    CLIENT_ENDPOINTS,
    CLIENT_ENDPOINT_EJECTIONS,
    CLIENT_RETRIES,
    MESSAGING_CLIENT_OPERATION_DURATION,
    MESSAGING_CLIENT_SENT_MESSAGES,
    MESSAGING_CLIENT_CONSUMED_MESSAGES,
    MESSAGING_PROCESS_DURATION,
    KAFKA_CONSUMER_LAG,
    KAFKA_CONSUMER_OLDEST_AGE,
    KAFKA_CONSUMER_IN_FLIGHT,
    KAFKA_CONSUMER_RETRIES,
    KAFKA_CONSUMER_DEAD_LETTERS,
    KAFKA_CONSUMER_REBALANCES,
    PARKED_KEYS,
    PARKED_EVENTS,
    OUTBOX_ROWS,
    OUTBOX_OLDEST_AGE,
    OUTBOX_BLOCKED_KEYS,
    DB_CLIENT_OPERATION_DURATION,
    DB_CLIENT_CONNECTION_MAX,
    DB_CLIENT_CONNECTION_COUNT,
    GROUP_COMMIT_BATCH_SIZE,
    GROUP_COMMIT_DURATION,
    GROUP_COMMIT_QUEUE,
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
    PROCESS_THREAD_COUNT,
    PROCESS_UNIX_FILE_DESCRIPTOR_COUNT,
    PROCESS_UPTIME,
    TOKIO_WORKERS,
    TOKIO_TASKS_ALIVE,
    TOKIO_GLOBAL_QUEUE,
    TOKIO_BUSY_TIME,
];

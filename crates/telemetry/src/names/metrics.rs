//! Metrics, one file per subject.

use crate::vocabulary::Metric;

mod database;
mod grpc;
mod kafka;
mod process;

pub use database::*;
pub use grpc::*;
pub use kafka::*;
pub use process::*;

/// Boundaries of the conventions for calls and messages, in seconds.
pub const CALL_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Boundaries of the conventions for databases, in seconds; the lowest one covers statements without an fsync.
pub const DATABASE_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Boundaries of batch sizes in commands, up to the maximum of 200. The size is proportional to the number of callers, so
/// each bucket is about twice the previous one.
pub const BATCH_SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];

pub(super) const FAILED: &str = "it failed";
pub(super) const KNOWN: &str = "it is known";

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
    KAFKA_CONSUMER_DELETED_UNREAD,
    KAFKA_CONSUMER_REBALANCES,
    RETRY_STORE_BLOCKED_KEYS,
    RETRY_STORE_EVENTS,
    OUTBOX_ROWS,
    OUTBOX_OLDEST_AGE,
    OUTBOX_BLOCKED_KEYS,
    DB_CLIENT_OPERATION_DURATION,
    DB_CLIENT_CONNECTION_MAX,
    DB_CLIENT_CONNECTION_COUNT,
    GROUP_COMMIT_BATCH_SIZE,
    GROUP_COMMIT_DURATION,
    GROUP_COMMIT_QUEUE,
    RETENTION_PRUNED_ROWS,
    RETENTION_OLDEST_AGE,
    PROCESS_CPU_TIME,
    PROCESS_MEMORY_USAGE,
    PROCESS_THREAD_COUNT,
    PROCESS_UNIX_FILE_DESCRIPTOR_COUNT,
    PROCESS_UPTIME,
    LOG_LINES_DROPPED,
    TOKIO_WORKERS,
    TOKIO_TASKS_ALIVE,
    TOKIO_GLOBAL_QUEUE,
    TOKIO_BUSY_TIME,
];

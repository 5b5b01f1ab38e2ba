//! Attributes of spans and metrics.

use opentelemetry_semantic_conventions::attribute as conventions;

use crate::vocabulary::Attribute;
use crate::vocabulary::ValueType::{Flag, Int, Text};

/// Of everything that can fail.
pub const ERROR_TYPE: Attribute = Attribute::of_conventions(
    conventions::ERROR_TYPE,
    Text,
    "How it failed: a status code, an SQLSTATE, an error of Kafka, or a kind of failure of this project",
);

/// Of everything that has somebody on the other end.
pub const SERVER_ADDRESS: Attribute = Attribute::of_conventions(
    conventions::SERVER_ADDRESS,
    Text,
    "The host, as it is configured",
);
/// See [`SERVER_ADDRESS`].
pub const SERVER_PORT: Attribute = Attribute::of_conventions(
    conventions::SERVER_PORT,
    Int,
    "The port, as it is configured",
);
/// Of a call.
pub const NETWORK_PEER_ADDRESS: Attribute = Attribute::of_conventions(
    conventions::NETWORK_PEER_ADDRESS,
    Text,
    "The address of the other end of the connection",
);
/// See [`NETWORK_PEER_ADDRESS`].
pub const NETWORK_PEER_PORT: Attribute = Attribute::of_conventions(
    conventions::NETWORK_PEER_PORT,
    Int,
    "The port of the other end of the connection",
);

// ---- gRPC

/// Always `grpc`.
pub const RPC_SYSTEM_NAME: Attribute = Attribute::of_conventions(
    conventions::RPC_SYSTEM_NAME,
    Text,
    "The protocol: always `grpc`",
);
/// Of a call.
pub const RPC_METHOD: Attribute = Attribute::of_conventions(
    conventions::RPC_METHOD,
    Text,
    "The method with its service, such as `orders.v1.OrderService/PlaceOrder`; `_OTHER` for one that there is not",
);
/// Of a call to a method that there is not.
pub const RPC_METHOD_ORIGINAL: Attribute = Attribute::of_conventions(
    conventions::RPC_METHOD_ORIGINAL,
    Text,
    "What was asked for instead of a method that there is",
);
/// Of a call.
pub const RPC_RESPONSE_STATUS_CODE: Attribute = Attribute::of_conventions(
    conventions::RPC_RESPONSE_STATUS_CODE,
    Text,
    "The status, such as `OK` or `DEADLINE_EXCEEDED`",
);
/// Of a refused call.
pub const SHED_REASON: Attribute = Attribute::own(
    "shed.reason",
    Text,
    "Why a call was refused before it was worked on: `concurrency`, `backlog`, `queue` or `customer_rate_limit`",
);
/// Of a client.
pub const DEPENDENCY: Attribute = Attribute::own("dependency", Text, "The service that is called");
/// Of a transition of the circuit breaker.
pub const BREAKER_TO: Attribute = Attribute::own(
    "to",
    Text,
    "The state that the circuit breaker got into: `closed`, `half_open` or `open`",
);
/// Of a replica that a client knows.
pub const ENDPOINT_STATE: Attribute = Attribute::own(
    "state",
    Text,
    "Whether calls go there: `in_use` or `ejected`",
);
/// Of a repetition of a call.
pub const RETRY_OUTCOME: Attribute = Attribute::own(
    "outcome",
    Text,
    "Whether the call was repeated: `made`, or `withheld` because too much failed",
);

// ---- Kafka

/// Always `kafka`.
pub const MESSAGING_SYSTEM: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_SYSTEM,
    Text,
    "The messaging system: always `kafka`",
);
/// Of an operation on messages.
pub const MESSAGING_OPERATION_NAME: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_OPERATION_NAME,
    Text,
    "`send`, `poll`, `process` or `commit`",
);
/// Of an operation on messages.
pub const MESSAGING_OPERATION_TYPE: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_OPERATION_TYPE,
    Text,
    "`send`, `receive`, `process` or `settle`",
);
/// Of a message.
pub const MESSAGING_DESTINATION_NAME: Attribute =
    Attribute::of_conventions(conventions::MESSAGING_DESTINATION_NAME, Text, "The topic");
/// Of a message.
pub const MESSAGING_DESTINATION_PARTITION_ID: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_DESTINATION_PARTITION_ID,
    Text,
    "The partition",
);
/// Of a consumer.
pub const MESSAGING_CONSUMER_GROUP_NAME: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_CONSUMER_GROUP_NAME,
    Text,
    "The consumer group",
);
/// Of a poll.
pub const MESSAGING_BATCH_MESSAGE_COUNT: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_BATCH_MESSAGE_COUNT,
    Int,
    "Messages that were received or sent at once",
);
/// Of one message.
pub const MESSAGING_MESSAGE_ID: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_MESSAGE_ID,
    Text,
    "The id of the event (`ce_id`)",
);
/// Of one message.
pub const MESSAGING_KAFKA_OFFSET: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_KAFKA_OFFSET,
    Int,
    "The offset of the message in its partition",
);
/// Of one message.
pub const MESSAGING_KAFKA_MESSAGE_KEY: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_KAFKA_MESSAGE_KEY,
    Text,
    "The key of the message, which is the id of the order",
);
/// Of one message without a value.
pub const MESSAGING_KAFKA_MESSAGE_TOMBSTONE: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_KAFKA_MESSAGE_TOMBSTONE,
    Flag,
    "Whether the message has no value",
);
/// Of one attempt at a message.
pub const ATTEMPT: Attribute = Attribute::own(
    "event.attempt",
    Int,
    "Which attempt at the event this is, from 1; attempts before it failed",
);
/// Of an event that was set aside.
pub const FAULT: Attribute = Attribute::own(
    "fault",
    Text,
    "Why the event was set aside: `rejected`, `panicked`, `killed_the_process` or `retries_spent`",
);

// ---- databases

/// Of a statement.
pub const DB_SYSTEM_NAME: Attribute = Attribute::of_conventions(
    conventions::DB_SYSTEM_NAME,
    Text,
    "`postgresql` or `sqlite`",
);
/// Of a statement.
pub const DB_NAMESPACE: Attribute = Attribute::of_conventions(
    conventions::DB_NAMESPACE,
    Text,
    "The database, and for PostgreSQL its schema after a bar",
);
/// Of a statement.
pub const DB_OPERATION_NAME: Attribute = Attribute::of_conventions(
    conventions::DB_OPERATION_NAME,
    Text,
    "What is done, such as `INSERT`",
);
/// Of a statement.
pub const DB_COLLECTION_NAME: Attribute = Attribute::of_conventions(
    conventions::DB_COLLECTION_NAME,
    Text,
    "The table, if it is one",
);
/// Of a statement.
pub const DB_QUERY_SUMMARY: Attribute = Attribute::of_conventions(
    conventions::DB_QUERY_SUMMARY,
    Text,
    "What the statement or the transaction does, such as `INSERT orders`",
);
/// Of several commands in one transaction.
pub const DB_OPERATION_BATCH_SIZE: Attribute = Attribute::of_conventions(
    conventions::DB_OPERATION_BATCH_SIZE,
    Int,
    "Commands in the transaction, if there are at least two",
);
/// Of a statement that failed.
pub const DB_RESPONSE_STATUS_CODE: Attribute = Attribute::of_conventions(
    conventions::DB_RESPONSE_STATUS_CODE,
    Text,
    "The SQLSTATE, or the extended result code of SQLite",
);
/// Of a pool.
pub const DB_CLIENT_CONNECTION_POOL_NAME: Attribute = Attribute::of_conventions(
    conventions::DB_CLIENT_CONNECTION_POOL_NAME,
    Text,
    "The pool, named after its database",
);
/// Of connections of a pool.
pub const DB_CLIENT_CONNECTION_STATE: Attribute = Attribute::of_conventions(
    conventions::DB_CLIENT_CONNECTION_STATE,
    Text,
    "`idle` or `used`",
);

// ---- group commit

/// Of a group commit.
pub const WRITER: Attribute = Attribute::own(
    "writer",
    Text,
    "Whose commands are committed together, such as `place` or `apply`",
);
/// Of a group commit.
pub const COMMANDS: Attribute = Attribute::own(
    "group_commit.commands",
    Int,
    "Commands that were committed together",
);

// ---- the process

/// Of CPU time.
pub const CPU_MODE: Attribute =
    Attribute::of_conventions(conventions::CPU_MODE, Text, "`user` or `system`");

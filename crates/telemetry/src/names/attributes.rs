//! Attributes of spans and metrics.

use opentelemetry_semantic_conventions::attribute as conventions;

use crate::vocabulary::Attribute;
use crate::vocabulary::ValueType::{Flag, Int, Text};

pub const ERROR_TYPE: Attribute = Attribute::of_conventions(
    conventions::ERROR_TYPE,
    Text,
    "The failure: a status code, an SQLSTATE, a Kafka error code, or an error type of this project",
);

pub const SERVER_ADDRESS: Attribute =
    Attribute::of_conventions(conventions::SERVER_ADDRESS, Text, "The configured host");

pub const SERVER_PORT: Attribute =
    Attribute::of_conventions(conventions::SERVER_PORT, Int, "The configured port");

pub const NETWORK_PEER_ADDRESS: Attribute = Attribute::of_conventions(
    conventions::NETWORK_PEER_ADDRESS,
    Text,
    "The address of the peer",
);

pub const NETWORK_PEER_PORT: Attribute =
    Attribute::of_conventions(conventions::NETWORK_PEER_PORT, Int, "The port of the peer");

// ---- gRPC

pub const RPC_SYSTEM_NAME: Attribute = Attribute::of_conventions(
    conventions::RPC_SYSTEM_NAME,
    Text,
    "The protocol: always `grpc`",
);

pub const RPC_METHOD: Attribute = Attribute::of_conventions(
    conventions::RPC_METHOD,
    Text,
    "The method with its service, such as `orders.v1.OrderService/PlaceOrder`; `_OTHER` for an unknown method",
);

pub const RPC_METHOD_ORIGINAL: Attribute = Attribute::of_conventions(
    conventions::RPC_METHOD_ORIGINAL,
    Text,
    "The requested name of an unknown method",
);

pub const RPC_RESPONSE_STATUS_CODE: Attribute = Attribute::of_conventions(
    conventions::RPC_RESPONSE_STATUS_CODE,
    Text,
    "The status, such as `OK` or `DEADLINE_EXCEEDED`",
);

pub const SHED_REASON: Attribute = Attribute::own(
    "shed.reason",
    Text,
    "The reason of load shedding: `concurrency`, `backlog`, `queue` or `customer_rate_limit`",
);

pub const DEPENDENCY: Attribute = Attribute::own("dependency", Text, "The service that is called");

pub const BREAKER_TO: Attribute = Attribute::own(
    "to",
    Text,
    "The new state of the circuit breaker: `closed`, `half_open` or `open`",
);

pub const ENDPOINT_STATE: Attribute = Attribute::own(
    "state",
    Text,
    "The state of the replica: `in_use` or `ejected`",
);

pub const RETRY_OUTCOME: Attribute = Attribute::own(
    "outcome",
    Text,
    "Whether the call was retried: `made`, or `withheld` because the retry budget was exhausted",
);

// ---- Kafka

pub const MESSAGING_SYSTEM: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_SYSTEM,
    Text,
    "The messaging system: always `kafka`",
);

pub const MESSAGING_OPERATION_NAME: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_OPERATION_NAME,
    Text,
    "`send`, `poll`, `process` or `commit`",
);

pub const MESSAGING_OPERATION_TYPE: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_OPERATION_TYPE,
    Text,
    "`send`, `receive`, `process` or `settle`",
);

pub const MESSAGING_DESTINATION_NAME: Attribute =
    Attribute::of_conventions(conventions::MESSAGING_DESTINATION_NAME, Text, "The topic");

pub const MESSAGING_DESTINATION_PARTITION_ID: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_DESTINATION_PARTITION_ID,
    Text,
    "The partition",
);

pub const MESSAGING_CONSUMER_GROUP_NAME: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_CONSUMER_GROUP_NAME,
    Text,
    "The consumer group",
);

pub const MESSAGING_BATCH_MESSAGE_COUNT: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_BATCH_MESSAGE_COUNT,
    Int,
    "Messages in the batch",
);

pub const MESSAGING_MESSAGE_ID: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_MESSAGE_ID,
    Text,
    "The id of the event (`ce_id`)",
);

pub const MESSAGING_KAFKA_OFFSET: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_KAFKA_OFFSET,
    Int,
    "The offset of the message in its partition",
);

pub const MESSAGING_KAFKA_MESSAGE_KEY: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_KAFKA_MESSAGE_KEY,
    Text,
    "The key of the message: the order id",
);

pub const MESSAGING_KAFKA_MESSAGE_TOMBSTONE: Attribute = Attribute::of_conventions(
    conventions::MESSAGING_KAFKA_MESSAGE_TOMBSTONE,
    Flag,
    "Whether the message has no value",
);

pub const ATTEMPT: Attribute = Attribute::own(
    "event.attempt",
    Int,
    "The number of the attempt, from 1; the earlier ones failed",
);

pub const FAULT: Attribute = Attribute::own(
    "fault",
    Text,
    "The reason of the dead letter: `rejected`, `panicked`, `killed_the_process` or `retries_spent`",
);

// ---- databases

pub const DB_SYSTEM_NAME: Attribute = Attribute::of_conventions(
    conventions::DB_SYSTEM_NAME,
    Text,
    "`postgresql` or `sqlite`",
);

pub const DB_NAMESPACE: Attribute = Attribute::of_conventions(
    conventions::DB_NAMESPACE,
    Text,
    "The database; for PostgreSQL followed by `|` and the schema",
);

pub const DB_OPERATION_NAME: Attribute = Attribute::of_conventions(
    conventions::DB_OPERATION_NAME,
    Text,
    "The operation, such as `INSERT`",
);

pub const DB_COLLECTION_NAME: Attribute = Attribute::of_conventions(
    conventions::DB_COLLECTION_NAME,
    Text,
    "The table, if there is a single one",
);

pub const DB_QUERY_SUMMARY: Attribute = Attribute::of_conventions(
    conventions::DB_QUERY_SUMMARY,
    Text,
    "The statement or transaction in short, such as `INSERT orders`",
);

pub const DB_OPERATION_BATCH_SIZE: Attribute = Attribute::of_conventions(
    conventions::DB_OPERATION_BATCH_SIZE,
    Int,
    "Commands in the transaction, if there are at least two",
);

pub const DB_RESPONSE_STATUS_CODE: Attribute = Attribute::of_conventions(
    conventions::DB_RESPONSE_STATUS_CODE,
    Text,
    "The SQLSTATE, or the extended result code of SQLite",
);

pub const DB_CLIENT_CONNECTION_POOL_NAME: Attribute = Attribute::of_conventions(
    conventions::DB_CLIENT_CONNECTION_POOL_NAME,
    Text,
    "The pool, named after its database",
);

pub const DB_CLIENT_CONNECTION_STATE: Attribute = Attribute::of_conventions(
    conventions::DB_CLIENT_CONNECTION_STATE,
    Text,
    "`idle` or `used`",
);

// ---- group commit

pub const WRITER: Attribute = Attribute::own(
    "writer",
    Text,
    "The group commit writer, such as `place` or `apply`",
);

pub const COMMANDS: Attribute =
    Attribute::own("group_commit.commands", Int, "Commands in the transaction");

// ---- the process

pub const CPU_MODE: Attribute =
    Attribute::of_conventions(conventions::CPU_MODE, Text, "`user` or `system`");

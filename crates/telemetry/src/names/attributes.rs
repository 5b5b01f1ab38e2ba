//! Attributes of spans and metrics.

use opentelemetry_semantic_conventions::attribute as conventions;

use crate::vocabulary::Attribute;
use crate::vocabulary::ValueType::{Flag, Int, Text};

const fn text(name: &'static str, brief: &'static str) -> Attribute {
    Attribute::of_conventions(name, Text, brief)
}

const fn int(name: &'static str, brief: &'static str) -> Attribute {
    Attribute::of_conventions(name, Int, brief)
}

pub const ERROR_TYPE: Attribute = text(
    conventions::ERROR_TYPE,
    "The failure: a status code, an SQLSTATE, a Kafka error code, or an error type of this project",
);

pub const SERVER_ADDRESS: Attribute = text(conventions::SERVER_ADDRESS, "The configured host");

pub const SERVER_PORT: Attribute = int(conventions::SERVER_PORT, "The configured port");

pub const NETWORK_PEER_ADDRESS: Attribute =
    text(conventions::NETWORK_PEER_ADDRESS, "The address of the peer");

pub const NETWORK_PEER_PORT: Attribute =
    int(conventions::NETWORK_PEER_PORT, "The port of the peer");

// ---- gRPC

pub const RPC_SYSTEM_NAME: Attribute =
    text(conventions::RPC_SYSTEM_NAME, "The protocol: always `grpc`");

pub const RPC_METHOD: Attribute = text(
    conventions::RPC_METHOD,
    "The method with its service, such as `orders.v1.OrderService/PlaceOrder`; `_OTHER` for an unknown method",
);

pub const RPC_METHOD_ORIGINAL: Attribute = text(
    conventions::RPC_METHOD_ORIGINAL,
    "The requested name of an unknown method",
);

pub const RPC_RESPONSE_STATUS_CODE: Attribute = text(
    conventions::RPC_RESPONSE_STATUS_CODE,
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

pub const MESSAGING_SYSTEM: Attribute = text(
    conventions::MESSAGING_SYSTEM,
    "The messaging system: always `kafka`",
);

pub const MESSAGING_OPERATION_NAME: Attribute = text(
    conventions::MESSAGING_OPERATION_NAME,
    "`send`, `poll`, `process` or `commit`",
);

pub const MESSAGING_OPERATION_TYPE: Attribute = text(
    conventions::MESSAGING_OPERATION_TYPE,
    "`send`, `receive`, `process` or `settle`",
);

pub const MESSAGING_DESTINATION_NAME: Attribute =
    text(conventions::MESSAGING_DESTINATION_NAME, "The topic");

pub const MESSAGING_DESTINATION_PARTITION_ID: Attribute = text(
    conventions::MESSAGING_DESTINATION_PARTITION_ID,
    "The partition",
);

pub const MESSAGING_CONSUMER_GROUP_NAME: Attribute = text(
    conventions::MESSAGING_CONSUMER_GROUP_NAME,
    "The consumer group",
);

pub const MESSAGING_BATCH_MESSAGE_COUNT: Attribute = int(
    conventions::MESSAGING_BATCH_MESSAGE_COUNT,
    "Messages in the batch",
);

pub const MESSAGING_MESSAGE_ID: Attribute = text(
    conventions::MESSAGING_MESSAGE_ID,
    "The id of the event (`ce_id`)",
);

pub const MESSAGING_KAFKA_OFFSET: Attribute = int(
    conventions::MESSAGING_KAFKA_OFFSET,
    "The offset of the message in its partition",
);

pub const MESSAGING_KAFKA_MESSAGE_KEY: Attribute = text(
    conventions::MESSAGING_KAFKA_MESSAGE_KEY,
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
    "The reason of the dead letter: `rejected`, `panicked`, `killed-the-process`, `retries-spent`, or `unpublished` if the broker refuses it permanently",
);

// ---- databases

pub const DB_SYSTEM_NAME: Attribute = text(conventions::DB_SYSTEM_NAME, "`postgresql` or `sqlite`");

pub const DB_NAMESPACE: Attribute = text(
    conventions::DB_NAMESPACE,
    "The database; for PostgreSQL followed by `|` and the schema",
);

pub const DB_OPERATION_NAME: Attribute = text(
    conventions::DB_OPERATION_NAME,
    "The operation, such as `INSERT`",
);

pub const DB_COLLECTION_NAME: Attribute = text(
    conventions::DB_COLLECTION_NAME,
    "The table, if there is a single one",
);

pub const DB_QUERY_SUMMARY: Attribute = text(
    conventions::DB_QUERY_SUMMARY,
    "The statement or transaction in short, such as `INSERT orders`",
);

pub const DB_OPERATION_BATCH_SIZE: Attribute = int(
    conventions::DB_OPERATION_BATCH_SIZE,
    "Commands in the transaction, if there are at least two",
);

pub const DB_RESPONSE_STATUS_CODE: Attribute = text(
    conventions::DB_RESPONSE_STATUS_CODE,
    "The SQLSTATE, or the extended result code of SQLite",
);

pub const DB_CLIENT_CONNECTION_POOL_NAME: Attribute = text(
    conventions::DB_CLIENT_CONNECTION_POOL_NAME,
    "The pool, named after its database",
);

pub const DB_CLIENT_CONNECTION_STATE: Attribute =
    text(conventions::DB_CLIENT_CONNECTION_STATE, "`idle` or `used`");

// ---- group commit

pub const WRITER: Attribute = Attribute::own(
    "writer",
    Text,
    "The group commit writer, such as `place` or `apply`",
);

pub const COMMANDS: Attribute =
    Attribute::own("group_commit.commands", Int, "Commands in the transaction");

// ---- the process

pub const CPU_MODE: Attribute = text(conventions::CPU_MODE, "`user` or `system`");

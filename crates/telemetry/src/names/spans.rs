//! Spans.

use opentelemetry::trace::SpanKind;

use super::attributes as attr;
use super::metrics::{FAILED, KNOWN};
use crate::vocabulary::{NameOrigin, SpanType, always, sometimes};

pub static RPC_SERVER: SpanType = SpanType {
    name: "{rpc.method}",
    kind: SpanKind::Server,
    brief: "An incoming call until the end of its response or stream. The name is `grpc` for an unknown method",
    relations: "A child of the span of the caller, if there is one",
    attributes: &[
        always(attr::RPC_SYSTEM_NAME),
        always(attr::RPC_METHOD),
        sometimes(attr::RPC_METHOD_ORIGINAL, "the method does not exist"),
        always(attr::RPC_RESPONSE_STATUS_CODE),
        sometimes(attr::ERROR_TYPE, "the status is a server error"),
        sometimes(attr::NETWORK_PEER_ADDRESS, KNOWN),
        sometimes(attr::NETWORK_PEER_PORT, KNOWN),
    ],
    source: NameOrigin::Conventions,
};

pub static RPC_CLIENT: SpanType = SpanType {
    name: "{rpc.method}",
    kind: SpanKind::Client,
    brief: "An outgoing call, including all attempts",
    relations: "A child of the current span; the span of the server is its child",
    attributes: &[
        always(attr::RPC_SYSTEM_NAME),
        always(attr::RPC_METHOD),
        always(attr::RPC_RESPONSE_STATUS_CODE),
        sometimes(attr::ERROR_TYPE, "the status is not `OK`"),
        always(attr::SERVER_ADDRESS),
        always(attr::SERVER_PORT),
    ],
    source: NameOrigin::Conventions,
};

pub static SEND: SpanType = SpanType {
    name: "{messaging.operation.name} {messaging.destination.name}",
    kind: SpanKind::Client,
    brief: "One event, from the outbox to the acknowledgement by the broker",
    relations: "A child of the span that created the event, with a link to it. The header of the event contains that span, not this one",
    attributes: &[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_OPERATION_TYPE),
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::SERVER_ADDRESS),
        sometimes(attr::SERVER_PORT, KNOWN),
        sometimes(attr::MESSAGING_DESTINATION_PARTITION_ID, KNOWN),
        sometimes(attr::MESSAGING_KAFKA_OFFSET, KNOWN),
        sometimes(attr::MESSAGING_KAFKA_MESSAGE_KEY, "there is one"),
        sometimes(attr::MESSAGING_MESSAGE_ID, KNOWN),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: NameOrigin::Conventions,
};

pub static POLL: SpanType = SpanType {
    name: "{messaging.operation.name} {messaging.destination.name}",
    kind: SpanKind::Client,
    brief: "One poll of a partition",
    relations: "A separate trace with a link to the span that created each event; sampled if one of those is",
    attributes: &[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_OPERATION_TYPE),
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
        always(attr::MESSAGING_DESTINATION_PARTITION_ID),
        always(attr::MESSAGING_BATCH_MESSAGE_COUNT),
        always(attr::SERVER_ADDRESS),
        sometimes(attr::SERVER_PORT, KNOWN),
    ],
    source: NameOrigin::Conventions,
};

pub static PROCESS: SpanType = SpanType {
    name: "{messaging.operation.name} {messaging.destination.name}",
    kind: SpanKind::Consumer,
    brief: "One attempt to handle an event",
    relations: "Linked to the span that created the event, and by default (TRACE_PROCESSING) its child",
    attributes: &[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_OPERATION_TYPE),
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
        always(attr::MESSAGING_DESTINATION_PARTITION_ID),
        always(attr::MESSAGING_KAFKA_OFFSET),
        sometimes(attr::MESSAGING_KAFKA_MESSAGE_KEY, "there is one"),
        sometimes(attr::MESSAGING_KAFKA_MESSAGE_TOMBSTONE, "it has no value"),
        sometimes(attr::MESSAGING_MESSAGE_ID, KNOWN),
        always(attr::ATTEMPT),
        always(attr::SERVER_ADDRESS),
        sometimes(attr::SERVER_PORT, KNOWN),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: NameOrigin::Conventions,
};

pub static COMMIT: SpanType = SpanType {
    name: "{messaging.operation.name} {messaging.destination.name}",
    kind: SpanKind::Client,
    brief: "The offset commit of all partitions; awaited only when a partition is revoked",
    relations: "A separate trace, sampled by ratio: an offset covers all events below it",
    attributes: &[
        always(attr::MESSAGING_SYSTEM),
        always(attr::MESSAGING_OPERATION_NAME),
        always(attr::MESSAGING_OPERATION_TYPE),
        always(attr::MESSAGING_DESTINATION_NAME),
        always(attr::MESSAGING_CONSUMER_GROUP_NAME),
        always(attr::SERVER_ADDRESS),
        sometimes(attr::SERVER_PORT, KNOWN),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: NameOrigin::Conventions,
};

pub static DATABASE: SpanType = SpanType {
    name: "{db.query.summary}",
    kind: SpanKind::Client,
    brief: "A statement or a transaction",
    relations: "A child of the current span",
    attributes: &[
        always(attr::DB_SYSTEM_NAME),
        always(attr::DB_NAMESPACE),
        always(attr::DB_QUERY_SUMMARY),
        sometimes(attr::DB_OPERATION_NAME, "it is one operation"),
        sometimes(attr::DB_COLLECTION_NAME, "it is one table"),
        sometimes(
            attr::DB_OPERATION_BATCH_SIZE,
            "it contains at least two commands",
        ),
        sometimes(attr::SERVER_ADDRESS, KNOWN),
        sometimes(attr::SERVER_PORT, "it is not the default port"),
        sometimes(attr::DB_RESPONSE_STATUS_CODE, "the database reported one"),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: NameOrigin::Conventions,
};

pub static GROUP_COMMIT: SpanType = SpanType {
    name: "commit {writer}",
    kind: SpanKind::Internal,
    brief: "One command, from its submission to its reply",
    relations: "A child of the call or attempt that submits it, with a link to its batch",
    attributes: &[always(attr::WRITER), sometimes(attr::ERROR_TYPE, FAILED)],
    source: NameOrigin::Own,
};

pub static GROUP_COMMIT_BATCH: SpanType = SpanType {
    name: "commit {writer} batch",
    kind: SpanKind::Internal,
    brief: "One transaction with the commands of a batch",
    relations: "Links to its commands. A child of the sampled command if there is one; with several, a separate trace",
    attributes: &[
        always(attr::WRITER),
        always(attr::COMMANDS),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: NameOrigin::Own,
};

pub static ALL: [&SpanType; 9] = [
    &RPC_SERVER,
    &RPC_CLIENT,
    &SEND,
    &POLL,
    &PROCESS,
    &COMMIT,
    &DATABASE,
    &GROUP_COMMIT,
    &GROUP_COMMIT_BATCH,
];

//! Spans.

use opentelemetry::trace::SpanKind;

use super::attributes as attr;
use crate::vocabulary::{Source, SpanType, always, sometimes};

const FAILED: &str = "it failed";
const KNOWN: &str = "it is known";

/// A call that came in.
pub static RPC_SERVER: SpanType = SpanType {
    name: "{rpc.method}",
    kind: SpanKind::Server,
    brief: "A call that came in, to the end of its response; a stream for as long as it is open. `grpc` for a method that there is not",
    relations: "A child of the caller's span, if there is one",
    attributes: &[
        always(attr::RPC_SYSTEM_NAME),
        always(attr::RPC_METHOD),
        sometimes(attr::RPC_METHOD_ORIGINAL, "the method does not exist"),
        always(attr::RPC_RESPONSE_STATUS_CODE),
        sometimes(attr::ERROR_TYPE, "the server is to blame for the status"),
        sometimes(attr::NETWORK_PEER_ADDRESS, KNOWN),
        sometimes(attr::NETWORK_PEER_PORT, KNOWN),
    ],
    source: Source::Conventions,
};
/// A call that went out.
pub static RPC_CLIENT: SpanType = SpanType {
    name: "{rpc.method}",
    kind: SpanKind::Client,
    brief: "A call that went out, with all its attempts",
    relations: "A child of whatever needs the answer; what is asked is its child",
    attributes: &[
        always(attr::RPC_SYSTEM_NAME),
        always(attr::RPC_METHOD),
        always(attr::RPC_RESPONSE_STATUS_CODE),
        sometimes(attr::ERROR_TYPE, "the status is not `OK`"),
        always(attr::SERVER_ADDRESS),
        always(attr::SERVER_PORT),
    ],
    source: Source::Conventions,
};
/// An event on its way to the broker.
pub static SEND: SpanType = SpanType {
    name: "{messaging.operation.name} {messaging.destination.name}",
    kind: SpanKind::Client,
    brief: "One event from the outbox to the broker's acknowledgement",
    relations: "A child of the span that decided the event, with a link to it. The event's header names that span, not this one",
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
    source: Source::Conventions,
};
/// Records that were taken in.
pub static POLL: SpanType = SpanType {
    name: "{messaging.operation.name} {messaging.destination.name}",
    kind: SpanKind::Client,
    brief: "Records taken from a partition at once",
    relations: "A trace of its own, with a link to the span that decided each event; recorded if one of them is",
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
    source: Source::Conventions,
};
/// One attempt at an event.
pub static PROCESS: SpanType = SpanType {
    name: "{messaging.operation.name} {messaging.destination.name}",
    kind: SpanKind::Consumer,
    brief: "One attempt to handle an event",
    relations: "A link to the span that decided the event, and by default (TRACE_PROCESSING) its child",
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
    source: Source::Conventions,
};
/// Offsets on their way to the broker.
pub static COMMIT: SpanType = SpanType {
    name: "{messaging.operation.name} {messaging.destination.name}",
    kind: SpanKind::Client,
    brief: "Offsets of all partitions, committed at once; waited for when a partition is given back",
    relations: "A trace of its own, recorded by chance: an offset stands for all events below it",
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
    source: Source::Conventions,
};
/// A statement or a transaction.
pub static DATABASE: SpanType = SpanType {
    name: "{db.query.summary}",
    kind: SpanKind::Client,
    brief: "A statement, or a transaction of several",
    relations: "A child of what it is done for",
    attributes: &[
        always(attr::DB_SYSTEM_NAME),
        always(attr::DB_NAMESPACE),
        always(attr::DB_QUERY_SUMMARY),
        sometimes(attr::DB_OPERATION_NAME, "it is one operation"),
        sometimes(attr::DB_COLLECTION_NAME, "it is one table"),
        sometimes(
            attr::DB_OPERATION_BATCH_SIZE,
            "at least two commands are in it",
        ),
        sometimes(attr::SERVER_ADDRESS, KNOWN),
        sometimes(attr::SERVER_PORT, "it is not the usual one"),
        sometimes(attr::DB_RESPONSE_STATUS_CODE, "the database gave one"),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: Source::Conventions,
};
/// A caller that waits for its commit.
pub static GROUP_COMMIT: SpanType = SpanType {
    name: "commit {writer}",
    kind: SpanKind::Internal,
    brief: "One command, from its place in the queue to its answer",
    relations: "A child of the call or the attempt that it belongs to, with a link to the batch that it was committed in",
    attributes: &[always(attr::WRITER), sometimes(attr::ERROR_TYPE, FAILED)],
    source: Source::Own,
};
/// A commit for many.
pub static GROUP_COMMIT_BATCH: SpanType = SpanType {
    name: "commit {writer} batch",
    kind: SpanKind::Internal,
    brief: "The commands that were committed together",
    relations: "Links to its commands; a child of the command that is recorded if only one is, else a trace of its own",
    attributes: &[
        always(attr::WRITER),
        always(attr::COMMANDS),
        sometimes(attr::ERROR_TYPE, FAILED),
    ],
    source: Source::Own,
};

/// All of them.
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

//! Spans.

use opentelemetry::trace::SpanKind;

use super::attributes as the;
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
        always(the::RPC_SYSTEM_NAME),
        always(the::RPC_METHOD),
        sometimes(the::RPC_METHOD_ORIGINAL, "the method does not exist"),
        always(the::RPC_RESPONSE_STATUS_CODE),
        sometimes(the::ERROR_TYPE, "the server is to blame for the status"),
        sometimes(the::NETWORK_PEER_ADDRESS, KNOWN),
        sometimes(the::NETWORK_PEER_PORT, KNOWN),
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
        always(the::RPC_SYSTEM_NAME),
        always(the::RPC_METHOD),
        always(the::RPC_RESPONSE_STATUS_CODE),
        sometimes(the::ERROR_TYPE, "the status is not `OK`"),
        always(the::SERVER_ADDRESS),
        always(the::SERVER_PORT),
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
        always(the::MESSAGING_SYSTEM),
        always(the::MESSAGING_OPERATION_NAME),
        always(the::MESSAGING_OPERATION_TYPE),
        always(the::MESSAGING_DESTINATION_NAME),
        always(the::SERVER_ADDRESS),
        sometimes(the::SERVER_PORT, KNOWN),
        sometimes(the::MESSAGING_DESTINATION_PARTITION_ID, KNOWN),
        sometimes(the::MESSAGING_KAFKA_OFFSET, KNOWN),
        sometimes(the::MESSAGING_KAFKA_MESSAGE_KEY, "there is one"),
        sometimes(the::MESSAGING_MESSAGE_ID, KNOWN),
        sometimes(the::ERROR_TYPE, FAILED),
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
        always(the::MESSAGING_SYSTEM),
        always(the::MESSAGING_OPERATION_NAME),
        always(the::MESSAGING_OPERATION_TYPE),
        always(the::MESSAGING_DESTINATION_NAME),
        always(the::MESSAGING_CONSUMER_GROUP_NAME),
        always(the::MESSAGING_DESTINATION_PARTITION_ID),
        always(the::MESSAGING_BATCH_MESSAGE_COUNT),
        always(the::SERVER_ADDRESS),
        sometimes(the::SERVER_PORT, KNOWN),
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
        always(the::MESSAGING_SYSTEM),
        always(the::MESSAGING_OPERATION_NAME),
        always(the::MESSAGING_OPERATION_TYPE),
        always(the::MESSAGING_DESTINATION_NAME),
        always(the::MESSAGING_CONSUMER_GROUP_NAME),
        always(the::MESSAGING_DESTINATION_PARTITION_ID),
        always(the::MESSAGING_KAFKA_OFFSET),
        sometimes(the::MESSAGING_KAFKA_MESSAGE_KEY, "there is one"),
        sometimes(the::MESSAGING_KAFKA_MESSAGE_TOMBSTONE, "it has no value"),
        sometimes(the::MESSAGING_MESSAGE_ID, KNOWN),
        always(the::ATTEMPT),
        always(the::SERVER_ADDRESS),
        sometimes(the::SERVER_PORT, KNOWN),
        sometimes(the::ERROR_TYPE, FAILED),
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
        always(the::MESSAGING_SYSTEM),
        always(the::MESSAGING_OPERATION_NAME),
        always(the::MESSAGING_OPERATION_TYPE),
        always(the::MESSAGING_DESTINATION_NAME),
        always(the::MESSAGING_CONSUMER_GROUP_NAME),
        always(the::SERVER_ADDRESS),
        sometimes(the::SERVER_PORT, KNOWN),
        sometimes(the::ERROR_TYPE, FAILED),
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
        always(the::DB_SYSTEM_NAME),
        always(the::DB_NAMESPACE),
        always(the::DB_QUERY_SUMMARY),
        sometimes(the::DB_OPERATION_NAME, "it is one operation"),
        sometimes(the::DB_COLLECTION_NAME, "it is one table"),
        sometimes(
            the::DB_OPERATION_BATCH_SIZE,
            "at least two commands are in it",
        ),
        sometimes(the::SERVER_ADDRESS, KNOWN),
        sometimes(the::SERVER_PORT, "it is not the usual one"),
        sometimes(the::DB_RESPONSE_STATUS_CODE, "the database gave one"),
        sometimes(the::ERROR_TYPE, FAILED),
    ],
    source: Source::Conventions,
};
/// A caller that waits for its commit.
pub static GROUP_COMMIT: SpanType = SpanType {
    name: "commit {writer}",
    kind: SpanKind::Internal,
    brief: "One command, from its place in the queue to its answer",
    relations: "A child of the call or the attempt that it belongs to, with a link to the batch that it was committed in",
    attributes: &[always(the::WRITER), sometimes(the::ERROR_TYPE, FAILED)],
    source: Source::Own,
};
/// A commit for many.
pub static GROUP_COMMIT_BATCH: SpanType = SpanType {
    name: "commit {writer} batch",
    kind: SpanKind::Internal,
    brief: "The commands that were committed together",
    relations: "Links to its commands; a child of the command that is recorded if only one is, else a trace of its own",
    attributes: &[
        always(the::WRITER),
        always(the::COMMANDS),
        sometimes(the::ERROR_TYPE, FAILED),
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

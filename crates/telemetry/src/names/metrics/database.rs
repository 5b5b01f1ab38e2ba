//! What is seen of databases.

use opentelemetry_semantic_conventions::metric as conventions;

use super::{DATABASE_SECONDS, FAILED, KNOWN};
use crate::names::attributes as the;
use crate::vocabulary::Instrument::{Histogram, UpDownCounter};
use crate::vocabulary::{Metric, Source, always, sometimes};

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

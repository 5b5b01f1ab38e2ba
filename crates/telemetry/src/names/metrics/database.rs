//! Metrics of database statements and connection pools.

use opentelemetry_semantic_conventions::metric as conventions;

use super::{DATABASE_SECONDS, FAILED, KNOWN};
use crate::names::attributes as attr;
use crate::vocabulary::Instrument::{Histogram, UpDownCounter};
use crate::vocabulary::{Metric, NameOrigin, always, sometimes};

pub const DB_CLIENT_OPERATION_DURATION: Metric = Metric {
    name: conventions::DB_CLIENT_OPERATION_DURATION,
    instrument: Histogram(DATABASE_SECONDS),
    unit: "s",
    brief: "Duration of statements and transactions, including the wait for a connection",
    attributes: &[
        always(attr::DB_SYSTEM_NAME),
        always(attr::DB_NAMESPACE),
        always(attr::DB_QUERY_SUMMARY),
        sometimes(attr::DB_OPERATION_NAME, "it is one operation"),
        sometimes(attr::DB_COLLECTION_NAME, "it is one table"),
        sometimes(attr::ERROR_TYPE, FAILED),
        sometimes(attr::DB_RESPONSE_STATUS_CODE, "the database reported one"),
        sometimes(attr::SERVER_ADDRESS, KNOWN),
        sometimes(attr::SERVER_PORT, "it is not the default port"),
    ],
    source: NameOrigin::Conventions,
};

pub const DB_CLIENT_CONNECTION_MAX: Metric = Metric {
    name: conventions::DB_CLIENT_CONNECTION_MAX,
    instrument: UpDownCounter,
    unit: "{connection}",
    brief: "Maximum connections of the pool",
    attributes: &[always(attr::DB_CLIENT_CONNECTION_POOL_NAME)],
    source: NameOrigin::Conventions,
};

pub const DB_CLIENT_CONNECTION_COUNT: Metric = Metric {
    name: conventions::DB_CLIENT_CONNECTION_COUNT,
    instrument: UpDownCounter,
    unit: "{connection}",
    brief: "Connections of the pool, by state",
    attributes: &[
        always(attr::DB_CLIENT_CONNECTION_POOL_NAME),
        always(attr::DB_CLIENT_CONNECTION_STATE),
    ],
    source: NameOrigin::Conventions,
};

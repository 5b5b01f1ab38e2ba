//! Metrics of database statements, connection pools and group commits.

use opentelemetry_semantic_conventions::metric as conventions;

use super::{BATCH_SIZES, DATABASE_SECONDS, FAILED, KNOWN};
use crate::names::attributes as attr;
use crate::vocabulary::{Metric, always, counter, gauge, histogram, sometimes, up_down_counter};

pub const DB_CLIENT_OPERATION_DURATION: Metric = histogram(
    conventions::DB_CLIENT_OPERATION_DURATION,
    "s",
    DATABASE_SECONDS,
    "Duration of statements and transactions, including the wait for a connection",
)
.of_conventions()
.with(&[
    always(attr::DB_SYSTEM_NAME),
    always(attr::DB_NAMESPACE),
    always(attr::DB_QUERY_SUMMARY),
    sometimes(attr::DB_OPERATION_NAME, "it is one operation"),
    sometimes(attr::DB_COLLECTION_NAME, "it is one table"),
    sometimes(attr::ERROR_TYPE, FAILED),
    sometimes(attr::DB_RESPONSE_STATUS_CODE, "the database reported one"),
    sometimes(attr::SERVER_ADDRESS, KNOWN),
    sometimes(attr::SERVER_PORT, "it is not the default port"),
]);

pub const DB_CLIENT_CONNECTION_MAX: Metric = up_down_counter(
    conventions::DB_CLIENT_CONNECTION_MAX,
    "{connection}",
    "Maximum connections of the pool",
)
.of_conventions()
.with(&[always(attr::DB_CLIENT_CONNECTION_POOL_NAME)]);

pub const DB_CLIENT_CONNECTION_COUNT: Metric = up_down_counter(
    conventions::DB_CLIENT_CONNECTION_COUNT,
    "{connection}",
    "Connections of the pool, by state",
)
.of_conventions()
.with(&[
    always(attr::DB_CLIENT_CONNECTION_POOL_NAME),
    always(attr::DB_CLIENT_CONNECTION_STATE),
]);

pub const GROUP_COMMIT_BATCH_SIZE: Metric = histogram(
    "group_commit.batch.size",
    "{command}",
    BATCH_SIZES,
    "Commands per transaction",
)
.with(&[always(attr::WRITER)]);

pub const GROUP_COMMIT_DURATION: Metric = histogram(
    "group_commit.duration",
    "s",
    DATABASE_SECONDS,
    "Duration of a commit",
)
.with(&[always(attr::WRITER), sometimes(attr::ERROR_TYPE, FAILED)]);

pub const GROUP_COMMIT_QUEUE: Metric =
    gauge("group_commit.queue", "{command}", "Queued commands").with(&[always(attr::WRITER)]);

pub const RETENTION_PRUNED_ROWS: Metric = counter(
    "retention.pruned.rows",
    "{row}",
    "Rows deleted because their retention has passed; rows of other tables that are deleted with them are not counted",
)
.with(&[always(attr::DB_COLLECTION_NAME)]);

pub const RETENTION_OLDEST_AGE: Metric = gauge(
    "retention.oldest_age",
    "s",
    "Age of the oldest row that its retention will delete; above the retention, pruning does not keep up",
)
.with(&[always(attr::DB_COLLECTION_NAME)]);

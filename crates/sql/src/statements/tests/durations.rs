//! The labels of query durations. Each test uses its own database name, which identifies its measurements.

use std::convert::Infallible;

use crate::postgres::Postgres;
use crate::url::DatabaseUrl;
use service::config::FromSetting;
use telemetry::names::metrics::DATABASE_SECONDS;
use telemetry::testing::{all_spans, distribution, measured, record_spans};

use super::*;

const DURATION: &str = "db.client.operation.duration";

const OF_INSERT: &str = "db.collection.name=things db.operation.name=INSERT \
    db.query.summary=INSERT things db.system.name=sqlite";

fn statements(file: &str) -> Statements {
    record_spans();
    let url = format!("sqlite:///some/where/{file}");
    Statements::of_sqlite(&SqliteConnectOptions::from_str(&url).unwrap())
}

/// The label sets measured for this database, without its name, and their counts.
fn measured_of(namespace: &str) -> Vec<(String, u64)> {
    measured(DURATION, attributes::DB_NAMESPACE.name, namespace)
}

/// Runs a statement that fails on a server; returns its labels without the port.
async fn refused(database: &str, sql: &'static str) -> String {
    record_spans();
    let server = postgres_server::shared();
    server.create_database(database).unwrap();
    let url = DatabaseUrl::from_setting(&server.url(database)).unwrap();
    let postgres = Postgres::new(&url, 1).unwrap();

    let query = sqlx::query(sql).execute(postgres.pool());
    let done = postgres.statements().prepare(INSERT).run(query).await;

    done.unwrap_err();
    let measured = measured_of(&format!("{database}|public"));
    let [(labels, 1)] = measured.as_slice() else {
        panic!("{measured:?}");
    };
    let port = format!(" server.port={}", server.port());
    labels.strip_suffix(&port).unwrap().to_owned()
}

#[tokio::test]
async fn a_query_is_measured_with_its_operation_and_its_table() {
    let statement = statements("plain.db").prepare(INSERT);

    for _ in 0..2 {
        let done = statement.run(async { Ok::<_, Infallible>(()) });
        done.await.unwrap();
    }

    assert_eq!(measured_of("plain.db"), [(OF_INSERT.to_owned(), 2)]);
    let namespace = attributes::DB_NAMESPACE.of("plain.db");
    let (_, boundaries) = distribution(DURATION, &namespace).unwrap();
    assert_eq!(boundaries, DATABASE_SECONDS);
}

#[tokio::test]
async fn a_transaction_is_measured_by_its_summary_alone() {
    let statement = statements("transaction.db").prepare(Query::transaction("store event"));

    let done = statement.run(async { Ok::<_, Infallible>(()) });
    done.await.unwrap();

    let labels = "db.query.summary=store event db.system.name=sqlite".to_owned();
    assert_eq!(measured_of("transaction.db"), [(labels, 1)]);
}

#[tokio::test]
async fn a_query_outside_a_trace_is_measured_and_has_no_span() {
    let statement = statements("polls.db").prepare(INSERT);

    let done = statement.run(async { Ok::<_, Infallible>(()) });
    done.await.unwrap();

    assert_eq!(measured_of("polls.db"), [(OF_INSERT.to_owned(), 1)]);
    let namespace = attributes::DB_NAMESPACE.of("polls.db");
    let of_polls = |span: &SpanData| span.attributes.contains(&namespace);
    assert!(!all_spans().iter().any(of_polls));
}

#[tokio::test]
async fn a_query_that_its_caller_drops_is_measured_as_cancelled() {
    let statement = statements("cancelled.db").prepare(INSERT);
    {
        let query = statement.run(std::future::pending::<Result<(), Infallible>>());
        tokio::pin!(query);
        assert!(futures::poll!(&mut query).is_pending());
    }

    let labels = format!("{OF_INSERT} error.type=cancelled");
    assert_eq!(measured_of("cancelled.db"), [(labels, 1)]);
}

#[tokio::test]
async fn a_driver_error_has_a_type_and_no_code() {
    for (error, kind) in [
        (sqlx::Error::PoolTimedOut, "pool_timeout"),
        (sqlx::Error::PoolClosed, "pool_closed"),
        (sqlx::Error::RowNotFound, "unexpected_rows"),
        (sqlx::Error::WorkerCrashed, "_OTHER"),
        (
            sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
            "timeout",
        ),
        (
            sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()),
            "io",
        ),
    ] {
        let file = format!("{kind}.db");
        let statement = statements(&file).prepare(INSERT);

        let done = statement.run(async { Err::<(), _>(StoreError::from(error)) });
        done.await.unwrap_err();

        let labels = format!("{OF_INSERT} error.type={kind}");
        assert_eq!(measured_of(&file), [(labels, 1)]);
    }
}

#[tokio::test]
async fn unexpected_rows_are_distinguished_from_a_database_error() {
    let statement = statements("rows.db").prepare(INSERT);

    let done = statement.run(async { Err::<(), _>(std::fmt::Error) });
    done.await.unwrap_err();

    let labels = format!("{OF_INSERT} error.type=unexpected_rows");
    assert_eq!(measured_of("rows.db"), [(labels, 1)]);
}

#[tokio::test]
async fn a_server_error_is_measured_with_its_sqlstate() {
    for (database, sql, code) in [
        ("durations_of_a_division", "SELECT 1 / 0", "22012"),
        (
            "durations_of_no_table",
            "INSERT INTO things VALUES (1)",
            "42P01",
        ),
    ] {
        let labels = refused(database, sql).await;

        let expected = format!(
            "db.collection.name=things db.operation.name=INSERT db.query.summary=INSERT things \
             db.response.status_code={code} db.system.name=postgresql error.type={code} server.address=127.0.0.1"
        );
        assert_eq!(labels, expected);
    }
}

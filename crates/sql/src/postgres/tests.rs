//! The metrics of a connection pool, a pool after a failover, and one behind PgBouncer.

use super::*;
use service::config::FromSetting;
use sqlx::migrate::Migrator;
use telemetry::testing::{measured, record_spans};

mod failover;
mod pgbouncer;

static MIGRATOR: Migrator = sqlx::migrate!("tests/migrations_postgres");
const MIGRATIONS: Migrations = &[MigrationSet {
    owner: "things",
    sqlite: &MIGRATOR,
    postgres: &MIGRATOR,
}];

const DATABASE: &str = "gauges_of_a_pool";

/// The values of this metric for the pool: connections by state, or the maximum.
fn shown(metric: &str) -> Vec<(String, u64)> {
    measured(metric, "db.client.connection.pool.name", DATABASE)
}

fn connections(idle: u64, used: u64) -> [(String, u64); 2] {
    [("idle", idle), ("used", used)]
        .map(|(state, count)| (format!("db.client.connection.state={state}"), count))
}

#[tokio::test]
async fn a_pool_reports_its_maximum_and_its_used_connections() {
    record_spans();
    let server = postgres_server::shared();
    server.create_database(DATABASE).unwrap();
    let url = DatabaseUrl::from_setting(&server.url(DATABASE)).unwrap();
    let postgres = Postgres::new(&url, 3).unwrap();

    postgres.observe();
    assert_eq!(shown("db.client.connection.max"), [(String::new(), 3)]);
    assert_eq!(shown("db.client.connection.count"), connections(0, 0));

    let connection = postgres.pool().acquire().await.unwrap();
    assert_eq!(shown("db.client.connection.count"), connections(0, 1));

    drop(connection);
    // It returns to the pool asynchronously.
    while postgres.pool().num_idle() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(shown("db.client.connection.count"), connections(1, 0));

    postgres.close().await;
    assert_eq!(shown("db.client.connection.count"), connections(0, 0));
}

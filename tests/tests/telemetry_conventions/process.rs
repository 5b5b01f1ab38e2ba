//! Telemetry of the process and of its PostgreSQL pool.

use std::sync::Arc;

use opentelemetry::Context;
use outbox::Shard;
use service::config::FromSetting;
use sql::database::Database;
use sql::postgres::Postgres;
use sql::url::DatabaseUrl;
use telemetry::names::spans;
use telemetry::process;
use tokio::runtime::Handle;

use crate::recording::{self, CALLER};

#[tokio::test]
async fn the_telemetry_of_a_process_and_its_pool_conforms_to_the_names() {
    recording::start();
    let server = postgres_server::shared();
    server.create_database("telemetry").unwrap();
    let url = DatabaseUrl::from_setting(&server.url("telemetry")).unwrap();
    let postgres = Postgres::new(&url, 2).unwrap();
    postgres.migrate(mock_kafka::MIGRATIONS).await.unwrap();
    let database = Database::Postgres(Arc::new(postgres));
    process::observe(&Handle::current());
    database.observe();

    let caller = spans::RPC_SERVER.continuing(CALLER, &Context::new(), Vec::new());
    let shards: Vec<Shard> = Shard::all().collect();
    let outbox = outbox::database::outbox(&database);
    let read = caller.carry(outbox.positions(&shards, 0, 1));
    read.await.unwrap();

    recording::assert_conforming(&[
        "db.client.operation.duration",
        "db.client.connection.count",
        "db.client.connection.max",
        "process.cpu.time",
        "process.memory.usage",
        "process.uptime",
    ]);
}

//! The owner of a database: a service refuses the database of another service or installation, and changes nothing in it.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use service::command_line::{EXIT_CONFIG, ExitError};
use service::config::FromSetting;
use sql::database::{Database, DatabaseConfig, migrate};
use sql::migrations::{MigrationSet, Migrations};
use sql::owner::Owner;
use sql::url::DatabaseUrl;
use sqlx::migrate::Migrator;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tempfile::TempDir;

static MIGRATOR: Migrator = sqlx::migrate!("tests/owner/migrations");
const MIGRATIONS: Migrations = &[MigrationSet {
    owner: "things",
    sqlite: &MIGRATOR,
    postgres: &MIGRATOR,
}];

/// Names and definitions of everything in a SQLite file, and its owner.
const SQLITE_CONTENT: &str = "
    SELECT (SELECT group_concat(type || name || coalesce(sql, ''), ';') FROM sqlite_schema)
        || (SELECT group_concat(service || '/' || kafka_topic_prefix, ';') FROM installation)";

const POSTGRES_CONTENT: &str = "
    SELECT (SELECT string_agg(table_name || '.' || column_name, ';' ORDER BY table_name, column_name)
            FROM information_schema.columns WHERE table_schema = 'public')
        || (SELECT string_agg(service || '/' || kafka_topic_prefix, ';') FROM installation)";

/// An empty database on either engine.
struct TestDatabase {
    url: String,
    _directory: Option<TempDir>,
}

impl TestDatabase {
    fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            url: format!("sqlite://{}/a.db", directory.path().display()),
            _directory: Some(directory),
        }
    }

    fn postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("owner_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let server = postgres_server::shared();
        server.create_database(&name).unwrap();
        Self {
            url: server.url(&name),
            _directory: None,
        }
    }

    fn of(&self, service: &str, prefix: &str) -> DatabaseConfig {
        DatabaseConfig {
            url: DatabaseUrl::from_setting(&self.url).unwrap(),
            connections: 4,
            migrate_at_start: false,
            owner: Owner::new(service, prefix),
        }
    }

    async fn content(&self) -> String {
        if self.url.starts_with("sqlite") {
            let options: sqlx::sqlite::SqliteConnectOptions = self.url.parse().unwrap();
            let mut connection = options.connect().await.unwrap();
            let content = sqlx::query_scalar(SQLITE_CONTENT);
            return content.fetch_one(&mut connection).await.unwrap();
        }
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let content = sqlx::query_scalar(POSTGRES_CONTENT);
        content.fetch_one(&mut connection).await.unwrap()
    }
}

/// Opens the database and waits until it is ready, as a service does at its start.
async fn start(config: &DatabaseConfig) -> Result<(), ExitError> {
    let database = Database::open(config, MIGRATIONS).await?;
    let service = &config.owner.service;
    let ready = database.ready(config, MIGRATIONS, service);
    let ready = tokio::time::timeout(Duration::from_secs(30), ready).await;
    database.close().await;
    // A database of another owner is no reason to wait.
    Ok(ready.unwrap()?)
}

fn is_refused(refused: impl Into<ExitError>, config: &DatabaseConfig) {
    let error = refused.into();
    let message = error.to_string();
    assert_eq!(error.code(), EXIT_CONFIG, "{message}");
    let named = format!(
        "belongs to orders with KAFKA_TOPIC_PREFIX \"a.\", not to {}",
        config.owner
    );
    assert!(message.contains(&named), "{message}");
    assert!(message.contains("correct DATABASE_URL"), "{message}");
}

async fn another_owner_is_refused(database: TestDatabase) {
    let own = database.of("orders", "a.");
    migrate(&own, MIGRATIONS).await.unwrap();
    let before = database.content().await;

    let others = [("payments", "a."), ("orders", "b."), ("orders", "")];
    for (service, prefix) in others {
        for migrate_at_start in [false, true] {
            let config = DatabaseConfig {
                migrate_at_start,
                ..database.of(service, prefix)
            };
            is_refused(start(&config).await.unwrap_err(), &config);
            is_refused(migrate(&config, MIGRATIONS).await.unwrap_err(), &config);
            let inspected = Database::inspect(&config, MIGRATIONS, service).await;
            let refused = inspected.map(drop).unwrap_err();
            assert!(refused.is_configuration());
            is_refused(ExitError::configuration(refused), &config);
        }
    }

    assert_eq!(database.content().await, before);
    start(&own).await.unwrap();
    Database::inspect(&own, MIGRATIONS, "orders").await.unwrap();
}

#[tokio::test]
async fn a_sqlite_file_of_another_owner_is_refused_and_left_unchanged() {
    another_owner_is_refused(TestDatabase::sqlite()).await;
}

#[tokio::test]
async fn a_postgres_database_of_another_owner_is_refused_and_left_unchanged() {
    another_owner_is_refused(TestDatabase::postgres()).await;
}

#[tokio::test]
async fn of_two_services_that_migrate_one_database_at_the_same_time_one_gets_it() {
    for _ in 0..5 {
        let database = TestDatabase::postgres();
        let services = ["orders", "payments"].map(|service| database.of(service, ""));

        let [orders, payments] = &services;
        let (orders, payments) =
            tokio::join!(migrate(orders, MIGRATIONS), migrate(payments, MIGRATIONS));

        assert_ne!(orders.is_ok(), payments.is_ok());
        let refused = orders.err().or(payments.err()).unwrap();
        let message = refused.to_string();
        assert!(message.contains("the database belongs to"), "{message}");
        let content = database.content().await;
        let owner = usize::from(content.ends_with("payments/"));
        start(&services[owner]).await.unwrap();
    }
}

#[tokio::test]
async fn a_migrated_database_without_an_owner_gets_one_at_the_next_migration() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres()] {
        let config = database.of("orders", "a.");
        migrate(&config, MIGRATIONS).await.unwrap();
        let with_owner = database.content().await;
        forget_the_owner(&database.url).await;

        migrate(&config, MIGRATIONS).await.unwrap();

        assert_eq!(database.content().await.len(), with_owner.len());
        start(&config).await.unwrap();
    }
}

/// As a release before the table of the owner has left the database.
async fn forget_the_owner(url: &str) {
    let forget = "DROP TABLE installation; DROP TABLE _sql_migrations";
    if url.starts_with("sqlite") {
        let options: sqlx::sqlite::SqliteConnectOptions = url.parse().unwrap();
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(forget)
            .execute(&mut connection)
            .await
            .unwrap();
        return;
    }
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(forget)
        .execute(&mut connection)
        .await
        .unwrap();
}

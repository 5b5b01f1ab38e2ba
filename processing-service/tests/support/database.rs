//! The databases that rules are checked on, each fresh and of its own, and what a test does behind the store's back.

#![allow(
    dead_code,
    reason = "each test target uses its own part of the database"
)]

use processing_service::store::MIGRATIONS;
use service::config::FromSetting;
use sql::database::{self, Database, DatabaseConfig};
use sql::url::DatabaseUrl;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// A database with the service's schema and nothing in it.
pub(crate) struct TestDatabase {
    config: DatabaseConfig,
    database: Database,
    _directory: Option<TempDir>,
}

impl TestDatabase {
    /// A SQLite file.
    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/processing.db", directory.path().display());
        Self {
            _directory: Some(directory),
            ..Self::open(&url).await
        }
    }

    /// A database on the PostgreSQL server that all tests of this binary share.
    pub(crate) async fn postgres() -> Self {
        Self::open(&postgres_url().await).await
    }

    async fn open(url: &str) -> Self {
        let config = config(url);
        Self {
            database: Database::open(&config, MIGRATIONS).await.unwrap(),
            config,
            _directory: None,
        }
    }

    /// As the service has it.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The same database as another process has it: over connections of its own.
    pub(crate) async fn open_again(&self) -> Database {
        Database::open(&self.config, MIGRATIONS).await.unwrap()
    }

    /// The connections of a PostgreSQL database.
    pub(crate) fn pool(&self) -> &PgPool {
        match &self.database {
            Database::Postgres(server) => server.pool(),
            Database::Sqlite(_) => panic!("not on PostgreSQL"),
        }
    }

    /// All rows that a query finds.
    pub(crate) async fn rows<T>(&self, query: &'static str) -> Vec<T>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        match &self.database {
            Database::Sqlite(file) => sqlx::query_as(query).fetch_all(file.reader()).await,
            Database::Postgres(server) => sqlx::query_as(query).fetch_all(server.pool()).await,
        }
        .unwrap()
    }

    /// Changes the database.
    pub(crate) async fn tamper(&self, statement: impl Into<String>) {
        let statement = AssertSqlSafe(statement.into());
        match &self.database {
            Database::Sqlite(file) => {
                let mut transaction = file.begin().await.unwrap();
                sqlx::raw_sql(statement)
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                transaction.commit().await.unwrap();
            }
            Database::Postgres(server) => {
                sqlx::raw_sql(statement)
                    .execute(server.pool())
                    .await
                    .unwrap();
            }
        }
    }

    /// From now on no row can be added to the table.
    pub(crate) async fn refuse_rows(&self, table: &str) {
        let statement = match &self.database {
            Database::Sqlite(_) => format!(
                "CREATE TRIGGER no_more_rows BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            ),
            Database::Postgres(_) => format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql \
                 AS $$ BEGIN RAISE EXCEPTION 'disk full'; END $$; \
                 CREATE TRIGGER no_more_rows BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
            ),
        };
        self.tamper(statement).await;
    }

    /// Rows can be added again.
    pub(crate) async fn take_rows_again(&self, table: &str) {
        let statement = match &self.database {
            Database::Sqlite(_) => "DROP TRIGGER no_more_rows".to_owned(),
            Database::Postgres(_) => format!("DROP TRIGGER no_more_rows ON {table}"),
        };
        self.tamper(statement).await;
    }

    /// Makes what every saga keeps of its order unreadable.
    pub(crate) async fn damage_sagas(&self) {
        let statement = match &self.database {
            Database::Sqlite(_) => r"UPDATE sagas SET lines = x'FF'",
            Database::Postgres(_) => r"UPDATE sagas SET lines = '\xFF'::bytea",
        };
        self.tamper(statement).await;
    }
}

/// The address of a PostgreSQL database of its own: a copy of one that was migrated once.
pub(crate) async fn postgres_url() -> String {
    static TEMPLATE: OnceCell<()> = OnceCell::const_new();
    let server = postgres_server::shared();
    TEMPLATE
        .get_or_init(async || {
            server.create_database("template").unwrap();
            let template = config(&server.url("template"));
            database::migrate(&template, MIGRATIONS).await.unwrap();
        })
        .await;
    server.copy_of("template").unwrap()
}

fn config(url: &str) -> DatabaseConfig {
    DatabaseConfig {
        url: DatabaseUrl::from_setting(url).unwrap(),
        connections: 10,
        migrate_at_start: false,
    }
}

//! A fresh database per test, and direct SQL on it that bypasses the store.

use processing_service::store::MIGRATIONS;
use service::config::FromSetting;
use sql::database::{self, Database, DatabaseConfig};
use sql::owner::Owner;
use sql::url::DatabaseUrl;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// An empty database with the service's schema.
pub(crate) struct TestDatabase {
    config: DatabaseConfig,
    database: Database,
    _directory: Option<TempDir>,
}

impl TestDatabase {
    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/processing.db", directory.path().display());
        Self {
            _directory: Some(directory),
            ..Self::open(&url).await
        }
    }

    /// A database on the PostgreSQL server that the tests of this binary share.
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

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The same database over other connections, like another process.
    pub(crate) async fn open_again(&self) -> Database {
        Database::open(&self.config, MIGRATIONS).await.unwrap()
    }

    /// # Panics
    /// On SQLite.
    pub(crate) fn pool(&self) -> &PgPool {
        match &self.database {
            Database::Postgres(server) => server.pool(),
            Database::Sqlite(_) => panic!("not on PostgreSQL"),
        }
    }

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

    /// Makes every INSERT into the table fail.
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

    /// Makes every statement on the table fail, as before the migration that creates it.
    pub(crate) async fn hide(&self, table: &str) {
        self.tamper(format!("ALTER TABLE {table} RENAME TO hidden"))
            .await;
    }

    /// Reverts [`Self::hide`].
    pub(crate) async fn show(&self, table: &str) {
        self.tamper(format!("ALTER TABLE hidden RENAME TO {table}"))
            .await;
    }

    /// Makes the column `lines` of every saga unreadable.
    pub(crate) async fn damage_sagas(&self) {
        let statement = match &self.database {
            Database::Sqlite(_) => r"UPDATE sagas SET lines = x'FF'",
            Database::Postgres(_) => r"UPDATE sagas SET lines = '\xFF'::bytea",
        };
        self.tamper(statement).await;
    }
}

/// The URL of a new PostgreSQL database: a copy of a template that is migrated once.
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
        owner: Owner::new("processing-service", ""),
    }
}

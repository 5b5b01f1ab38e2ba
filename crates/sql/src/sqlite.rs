//! SQLite as a durable store with one writer.
//!
//! Guarantees: what is committed survives a power loss (WAL with `synchronous=FULL`), and there is never more than one
//! writer, so commits have one order and `SQLITE_BUSY` cannot come from within the process. Readers use connections
//! of their own and never wait for the writer.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite as Driver, Transaction};

use crate::database::instrumentation::Statements;
use crate::migrations::Migrations;
use crate::url::DatabaseUrl;

/// The one write transaction, a `SqliteConnection` by dereference. Dropped without `commit`, it is rolled back.
pub type WriteTransaction = Transaction<'static, Driver>;

/// Another process (a backup, an auditor) may hold the lock for a moment; longer than this is an error.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads are short and the page cache is shared by the operating system: more connections only cost memory.
const READERS: u32 = 4;

/// A program beside the service waits longer: the service takes the lock for one commit after the other, and who asks for it
/// from outside is not told when it is free but looks ten times a second.
const BUSY_TIMEOUT_BESIDE: Duration = Duration::from_secs(30);

/// Work waits this long for a connection before it fails; the writer's queue is bounded by group commit.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages in the write-ahead log before SQLite copies them back: 16 MiB, so that a burst of commits is not interrupted
/// by a checkpoint every 4 MiB.
const CHECKPOINT_PAGES: &str = "4000";

/// One database file.
#[derive(Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    statements: Statements,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or is no database.
    #[error("opening the database")]
    Open(#[from] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("migrating the database")]
    Migrate(#[from] MigrateError),
}

impl Sqlite {
    /// Opens the file, creating it if need be, and brings its schema up to date.
    pub async fn open(url: &DatabaseUrl, migrations: Migrations) -> Result<Self, OpenError> {
        Self::open_with(options(url)?, migrations).await
    }

    /// Opens the file of a service that may be running, and has the patience for it.
    pub async fn open_beside(url: &DatabaseUrl, migrations: Migrations) -> Result<Self, OpenError> {
        let options = options(url)?.busy_timeout(BUSY_TIMEOUT_BESIDE);
        Self::open_with(options, migrations).await
    }

    async fn open_with(
        options: SqliteConnectOptions,
        migrations: Migrations,
    ) -> Result<Self, OpenError> {
        let writer = pool(1)
            .before_acquire(|connection, _| Box::pin(has_no_transaction(connection)))
            .connect_with(options.clone())
            .await?;
        for set in migrations {
            set.for_sqlite().run(&writer).await?;
        }
        let statements = Statements::of_sqlite(&options);
        let readers = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self {
            writer,
            readers,
            statements,
        })
    }

    /// Connections for reading: they see the last commit and cannot write.
    pub fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    /// What observes its statements.
    pub fn statements(&self) -> &Statements {
        &self.statements
    }

    /// Begins the one write transaction, waiting for the one before it.
    pub async fn begin(&self) -> Result<WriteTransaction, sqlx::Error> {
        // IMMEDIATE takes the write lock now: a lock taken later can fail with SQLITE_BUSY in the middle.
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// Closes all connections; the last one folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The file that a URL names.
pub fn file(url: &DatabaseUrl) -> Result<PathBuf, sqlx::Error> {
    let options = SqliteConnectOptions::from_str(url.expose())?;
    Ok(options.get_filename().to_owned())
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection to a local file does not go stale: a ping per use would double the cost of a small read.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Whether the connection can begin a transaction. SQLite itself rolls one back that finds the disk full; the driver's
/// rollback then fails, the driver takes the transaction to be open for ever, and refuses every further one. Such
/// a connection is replaced.
async fn has_no_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // A rollback may be on its way to the driver's thread: this waits for its turn.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

fn options(url: &DatabaseUrl) -> Result<SqliteConnectOptions, sqlx::Error> {
    Ok(SqliteConnectOptions::from_str(url.expose())?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL would lose the last commits on power loss, and a confirmation is a promise.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .statement_cache_capacity(256))
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::config::FromSetting;
    use sqlx::migrate::Migrator;

    use crate::migrations::MigrationSet;

    static MIGRATOR: Migrator = sqlx::migrate!("tests/migrations");
    const MIGRATIONS: Migrations = &[MigrationSet {
        owner: "things",
        sqlite: &MIGRATOR,
        postgres: &MIGRATOR,
    }];

    #[tokio::test]
    async fn a_transaction_that_finds_the_disk_full_does_not_stop_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/a.db", directory.path().display());
        let url = DatabaseUrl::from_setting(&url).unwrap();
        let file = Sqlite::open(&url, MIGRATIONS).await.unwrap();
        let mut transaction = file.begin().await.unwrap();
        // As many pages as there are: to SQLite, a full disk.
        sqlx::raw_sql("PRAGMA max_page_count = 1;")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let too_much = sqlx::query("INSERT INTO things VALUES (zeroblob(1000000))")
            .execute(&mut *transaction)
            .await;
        assert!(too_much.unwrap_err().to_string().contains("full"));
        drop(transaction);

        for _ in 0..2 {
            let transaction = file.begin().await.unwrap();
            transaction.commit().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_program_beside_the_service_waits_longer_for_the_lock_than_the_service() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/a.db", directory.path().display());
        let url = DatabaseUrl::from_setting(&url).unwrap();
        let service = Sqlite::open(&url, MIGRATIONS).await.unwrap();
        let beside = Sqlite::open_beside(&url, MIGRATIONS).await.unwrap();

        let [busy_timeout, more] = [busy_timeout(&service).await, busy_timeout(&beside).await];

        assert!(busy_timeout < more, "{busy_timeout} ms, {more} ms");
    }

    async fn busy_timeout(file: &Sqlite) -> i64 {
        let busy_timeout = sqlx::query_scalar("PRAGMA busy_timeout");
        busy_timeout.fetch_one(&file.writer).await.unwrap()
    }

    #[tokio::test]
    async fn a_file_that_a_newer_release_has_migrated_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/a.db", directory.path().display());
        let url = DatabaseUrl::from_setting(&url).unwrap();
        let file = Sqlite::open(&url, MIGRATIONS).await.unwrap();
        let mut transaction = file.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO _things_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'of a later release', true, x'', 0)",
        )
        .execute(&mut *transaction)
        .await
        .unwrap();
        transaction.commit().await.unwrap();
        file.close().await;

        assert!(Sqlite::open(&url, MIGRATIONS).await.is_ok());
    }
}

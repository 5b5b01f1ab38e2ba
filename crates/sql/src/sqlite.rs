//! SQLite: a durable database file with a single writer.
//!
//! Guarantees: a commit survives a power loss (WAL with `synchronous=FULL`). The process has one writer connection, so
//! commits are totally ordered and the process never causes `SQLITE_BUSY` itself. Readers use separate connections and
//! do not wait for the writer.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::query_builder::Separated;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Connection as _, Encode, QueryBuilder, Sqlite as Driver, Transaction, Type};

use crate::migrations::Migrations;
use crate::owner::{Owner, WrongOwner};
use crate::statements::Statements;
use crate::url::DatabaseUrl;

mod owner;

/// The write transaction; dereferences to `SqliteConnection`. Dropping it without `commit` rolls it back.
pub type WriteTransaction = Transaction<'static, Driver>;

/// Another process (a backup, an auditor) can hold the lock briefly; a longer wait is an error.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads are short and the operating system shares the page cache: more connections only cost memory.
const READERS: u32 = 4;

/// For a program beside the service. The service takes the lock for one commit after the other, and SQLite polls a held
/// lock ten times a second, so another process gets it late.
const BUSY_TIMEOUT_BESIDE: Duration = Duration::from_secs(30);

/// Maximum wait for a connection; group commit bounds the queue of the writer.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages in the write-ahead log before a checkpoint: 16 MiB instead of the default 4 MiB, so that a burst of commits has
/// fewer interruptions.
const CHECKPOINT_PAGES: &str = "4000";

#[derive(Debug)]
pub struct Sqlite {
    place: FilePlace,
    writer: SqlitePool,
    readers: SqlitePool,
    statements: Statements,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or is not a database.
    #[error("opening the database")]
    Open(#[from] sqlx::Error),
    #[error("migrating the database")]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Owner(#[from] WrongOwner),
}

impl Sqlite {
    /// Opens the file, creates it if it is missing, and migrates it.
    pub async fn open(url: &DatabaseUrl, migrations: Migrations) -> Result<Self, OpenError> {
        Self::open_with(options(url)?, None, migrations).await
    }

    /// As [`Sqlite::open`]; a file of another owner is refused and left unchanged.
    pub async fn open_owned(
        url: &DatabaseUrl,
        owner: &Owner,
        migrations: Migrations,
    ) -> Result<Self, OpenError> {
        Self::open_with(options(url)?, Some(owner), migrations).await
    }

    /// As [`Sqlite::open_owned`], for a program beside a running service: waits longer for the lock.
    pub async fn open_beside(
        url: &DatabaseUrl,
        owner: &Owner,
        migrations: Migrations,
    ) -> Result<Self, OpenError> {
        let options = options(url)?.busy_timeout(BUSY_TIMEOUT_BESIDE);
        Self::open_with(options, Some(owner), migrations).await
    }

    async fn open_with(
        options: SqliteConnectOptions,
        owner: Option<&Owner>,
        migrations: Migrations,
    ) -> Result<Self, OpenError> {
        let writer = pool(1)
            .before_acquire(|connection, _| Box::pin(has_no_transaction(connection)))
            .connect_with(options.clone())
            .await?;
        if let Some(owner) = owner {
            owner::claim(&writer, owner).await?;
        }
        for set in migrations {
            set.tolerant(set.sqlite).run(&writer).await?;
        }
        let place = FilePlace::of(options.get_filename().to_owned());
        let statements = Statements::of_sqlite(&options);
        let readers = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self {
            place,
            writer,
            readers,
            statements,
        })
    }

    /// Read-only connections; they see the last commit.
    pub fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    pub fn statements(&self) -> &Statements {
        &self.statements
    }

    /// Begins a write transaction; waits for the previous one to end.
    ///
    /// # Errors
    /// Also when the file is no longer at its path.
    pub async fn begin(&self) -> Result<WriteTransaction, sqlx::Error> {
        self.place.check().map_err(sqlx::Error::Io)?;
        // IMMEDIATE takes the write lock now: a deferred transaction can fail with SQLITE_BUSY at its first write.
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// Closes all connections; the last one checkpoints the write-ahead log.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The path of the file, and which file was there when it was opened. With a write-ahead log SQLite does not notice that the
/// file was moved, deleted or replaced: commits would go to a file that the next start does not find.
#[derive(Debug)]
struct FilePlace {
    path: PathBuf,
    /// Device and inode; `None` without a file.
    opened: Option<(u64, u64)>,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the database file was moved, deleted or replaced while it is in use: put it back, or restart on the other one"
)]
struct FileReplaced;

impl FilePlace {
    fn of(path: PathBuf) -> Self {
        let opened = Self::file_at(&path);
        Self { path, opened }
    }

    /// Costs one system call, a thousandth of a commit.
    fn check(&self) -> io::Result<()> {
        if Self::file_at(&self.path) == self.opened {
            return Ok(());
        }
        Err(io::Error::other(FileReplaced))
    }

    fn file_at(path: &Path) -> Option<(u64, u64)> {
        let file = fs::metadata(path).ok()?;
        Some((file.dev(), file.ino()))
    }
}

pub fn file(url: &DatabaseUrl) -> Result<PathBuf, sqlx::Error> {
    let options = SqliteConnectOptions::from_str(url.expose())?;
    Ok(options.get_filename().to_owned())
}

/// The values of one row of [`multi_row`].
pub type Row<'q> = Separated<'q, Driver, &'static str>;

/// One statement per 1,000 rows: `before` VALUES (…), (…), … `after`. A row has at most eleven parameters, so a statement
/// stays well below SQLite's limit of 32,766.
pub fn multi_row<'r, R>(
    before: &'static str,
    rows: &'r [R],
    mut bind: impl FnMut(Row<'_>, &'r R),
    after: &'static str,
) -> impl Iterator<Item = QueryBuilder<Driver>> {
    rows.chunks(1_000).map(move |chunk| {
        let mut statement = QueryBuilder::new(before);
        statement.push_values(chunk, &mut bind).push(after);
        statement
    })
}

/// One statement per 5,000 keys: `before` (key, key, …).
pub fn for_keys<'k, K, V>(
    before: &'static str,
    keys: &'k [K],
    value: impl Fn(&'k K) -> V,
) -> impl Iterator<Item = QueryBuilder<Driver>>
where
    V: Encode<'k, Driver> + Type<Driver>,
{
    keys.chunks(5_000).map(move |chunk| {
        let mut statement = QueryBuilder::new(before);
        let mut list = statement.push(" (").separated(", ");
        for key in chunk {
            list.push_bind(value(key));
        }
        statement.push(")");
        statement
    })
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection to a local file does not break: a ping per use would double the cost of a small read.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Whether the connection can begin a transaction. On a full disk SQLite rolls the transaction back itself; the rollback
/// of the driver then fails, so the driver considers the transaction open and rejects all later ones. The pool replaces
/// such a connection.
async fn has_no_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // A rollback may still be queued at the thread of the driver; the ping waits behind it.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

fn options(url: &DatabaseUrl) -> Result<SqliteConnectOptions, sqlx::Error> {
    Ok(SqliteConnectOptions::from_str(url.expose())?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL can lose acknowledged commits on a power loss.
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

    use crate::error::{ErrorClass, classify};
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
        // No page can be added: SQLite reports a full disk.
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
    async fn a_file_that_is_not_at_its_path_any_more_takes_no_commit() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("a.db"), directory.path().join("b.db"));
        let url = DatabaseUrl::from_setting(&format!("sqlite://{}", path.display())).unwrap();
        let file = Sqlite::open(&url, MIGRATIONS).await.unwrap();
        file.begin().await.unwrap().commit().await.unwrap();

        fs::rename(&path, &moved).unwrap();
        assert!(file.begin().await.is_err(), "the file is gone");
        fs::copy(&moved, &path).unwrap();
        let replaced = file.begin().await.unwrap_err();

        assert!(replaced.to_string().contains("replaced"), "{replaced}");
        assert_eq!(classify(&replaced), ErrorClass::Unavailable);
        fs::rename(&moved, &path).unwrap();
        file.begin().await.unwrap().commit().await.unwrap();
    }

    #[tokio::test]
    async fn a_program_beside_the_service_waits_longer_for_the_lock_than_the_service() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/a.db", directory.path().display());
        let url = DatabaseUrl::from_setting(&url).unwrap();
        let service = Sqlite::open(&url, MIGRATIONS).await.unwrap();
        let owner = Owner::new("things", "");
        let beside = Sqlite::open_beside(&url, &owner, MIGRATIONS);
        let beside = beside.await.unwrap();

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

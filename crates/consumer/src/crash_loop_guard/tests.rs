//! The guard of a process that starts after crashes, on a real database.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::*;
use crate::retry_store::database::{self, MIGRATIONS};

use service::config::FromSetting;
use sql::database::Database;
use sql::sqlite::Sqlite;
use sql::url::DatabaseUrl;

/// Conditions come true within this time, or never.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// A process that may run two attempts at once, after crashes of others.
struct Process {
    limit: ConcurrencyLimit,
    drain: DrainTokens,
    retry_store: Arc<dyn RetryStore>,
    database: Arc<Sqlite>,
    record: Record,
    _directory: TempDir,
}

impl Process {
    async fn after_deaths(deaths: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/retry_store.db", directory.path().display());
        let url = DatabaseUrl::from_setting(&url).unwrap();
        let database = Sqlite::open(&url, &[MIGRATIONS]).await;
        let database = Arc::new(database.unwrap());
        let retry_store = database::retry_store(
            &Database::Sqlite(Arc::clone(&database)),
            &TaskTracker::new(),
        );
        let record = Record::default();
        for _ in 0..deaths {
            retry_store.count_attempt(&record).await.unwrap();
        }
        Self {
            limit: ConcurrencyLimit::new(2),
            drain: DrainTokens::default(),
            retry_store,
            database,
            record,
            _directory: directory,
        }
    }

    fn guard(&self) -> CrashLoopGuard {
        self.guard_of(true)
    }

    fn guard_of(&self, is_guarded: bool) -> CrashLoopGuard {
        let retry_store = Arc::clone(&self.retry_store);
        CrashLoopGuard::new(
            retry_store,
            self.limit.clone(),
            self.drain.clone(),
            is_guarded,
        )
    }

    /// The counts that a crash would leave now.
    async fn counted(&self) -> i64 {
        sqlx::query_scalar("SELECT coalesce(sum(attempts), 0) FROM record_attempts")
            .fetch_one(self.database.reader())
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn an_attempt_is_counted_while_it_lasts() {
    let process = Process::after_deaths(0).await;
    let mut guard = process.guard();

    let decision = guard.admit(&process.record).await.unwrap();
    assert!(matches!(decision, GuardDecision::Granted(_)));
    assert_eq!(process.counted().await, 1);

    guard.ended(&process.record).await;
    assert_eq!(process.counted().await, 0);
}

#[tokio::test]
async fn unguarded_attempts_are_not_counted() {
    let process = Process::after_deaths(0).await;
    let mut guard = process.guard_of(false);

    let decision = guard.admit(&process.record).await.unwrap();

    assert!(matches!(decision, GuardDecision::Granted(_)));
    assert_eq!(process.counted().await, 0);
}

#[tokio::test]
async fn a_record_in_flight_in_two_crashes_is_handled_alone_and_not_counted_while_it_waits() {
    let process = Process::after_deaths(2).await;
    let beside = process.limit.acquire(&process.drain).await.unwrap();
    let mut guard = process.guard();
    let decision = guard.admit(&process.record);
    tokio::pin!(decision);
    let until_it_waits = async {
        while process.counted().await != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = &mut decision => panic!("it was not alone"),
        () = until_it_waits => {}
        () = tokio::time::sleep(WAIT_LIMIT) => panic!("it is counted while it waits"),
    }

    drop(beside);

    let decision = decision.await.unwrap();
    assert!(matches!(decision, GuardDecision::Granted(permit) if permit.num_permits() == 2));
    assert_eq!(process.counted().await, i64::from(ALONE));
}

#[tokio::test]
async fn a_record_that_was_alone_in_a_crash_is_refused() {
    let process = Process::after_deaths(ALONE).await;

    let decision = process.guard().admit(&process.record).await.unwrap();

    assert!(matches!(decision, GuardDecision::Refused { deaths: ALONE }));
}

#[tokio::test]
async fn a_count_that_was_not_removed_in_time_does_not_add_to_the_next_attempt() {
    let process = Process::after_deaths(0).await;
    let mut guard = process.guard();

    for _ in 0..5 {
        // The count of each attempt is not removed, as when the database is unreachable at its end.
        let decision = guard.admit(&process.record).await.unwrap();
        assert!(matches!(decision, GuardDecision::Granted(_)));
        assert_eq!(process.counted().await, 1);
    }

    guard.close(&process.record).await;
    assert_eq!(process.counted().await, 0);
}

#[test]
fn the_guard_covers_as_many_offsets_as_may_have_been_in_flight() {
    let mut guarded = Guarded::Next { span: 10 };
    guarded.receive(100);
    guarded.receive(105);

    assert!(guarded.covers(100) && guarded.covers(109));
    assert!(!guarded.covers(110));
    assert!(!Guarded::None.covers(100));
}

//! What is noted in the database, by a process that comes after others that died.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::dead_letters::DeadLetters;
use crate::instrumentation::ConsumerTelemetry;
use crate::retry_store::RetryStore;
use crate::retry_store::sqlite::SqliteRetryStore;
use crate::{ConsumerConfig, Delivery, Failure, Handler, RetryPolicy, TraceProcessing};
use kafka::KafkaConfig;
use service::config::FromSetting;
use sql::sqlite::Sqlite;
use sql::url::DatabaseUrl;

const CONFIG: ConsumerConfig = ConsumerConfig {
    group: "group",
    topic: "events",
    dead_letter_topic: "events.dlq",
    max_in_flight: 2,
    retry_policy: RetryPolicy {
        retry_for: Duration::from_secs(1),
        retry_store_delay: Duration::from_secs(1),
        reject_limit: 1,
    },
    trace_processing: TraceProcessing::Parent,
    service: "service",
    version: "1",
};

/// Conditions come true within this time, or never.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

struct Nothing;

#[async_trait]
impl Handler for Nothing {
    async fn handle(&self, _: &Delivery) -> Result<(), Failure> {
        Ok(())
    }
}

/// A process at work, after others that died.
struct Process {
    scope: Arc<Scope>,
    retry_store: Arc<SqliteRetryStore>,
    database: Arc<Sqlite>,
    record: Record,
    _directory: TempDir,
}

impl Process {
    async fn after_deaths(deaths: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/parking.db", directory.path().display());
        let url = DatabaseUrl::from_setting(&url).unwrap();
        let database = Sqlite::open(&url, &[crate::MIGRATIONS]).await;
        let database = Arc::new(database.unwrap());
        let retry_store = Arc::new(SqliteRetryStore::new(Arc::clone(&database)));
        let record = Record::default();
        for _ in 0..deaths {
            retry_store.note_attempt(&record).await.unwrap();
        }
        let kafka = KafkaConfig::plaintext("127.0.0.1:1");
        let letters = DeadLetters::new(&kafka, &CONFIG);
        let telemetry = Arc::new(ConsumerTelemetry::new(&kafka, &CONFIG));
        let (fatal, _) = mpsc::channel(1);
        let handler = Arc::new(Nothing);
        let for_scope = Arc::clone(&retry_store) as Arc<dyn RetryStore>;
        Self {
            scope: Scope::new(handler, for_scope, letters.unwrap(), telemetry, fatal)
                .for_partition(),
            retry_store,
            database,
            record,
            _directory: directory,
        }
    }

    fn guard(&self) -> CrashLoopGuard {
        CrashLoopGuard::new(Arc::clone(&self.scope), true)
    }

    /// What would be known if the process died now.
    async fn noted(&self) -> i64 {
        sqlx::query_scalar("SELECT coalesce(sum(attempts), 0) FROM record_attempts")
            .fetch_one(self.database.reader())
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn an_attempt_is_noted_while_it_lasts() {
    let process = Process::after_deaths(0).await;
    let mut guard = process.guard();

    let admission = guard.admit(&process.record).await.unwrap();
    assert!(matches!(admission, Admission::Granted(_)));
    assert_eq!(process.noted().await, 1);

    guard.ended(&process.record).await;
    assert_eq!(process.noted().await, 0);
}

#[tokio::test]
async fn without_care_nothing_is_noted() {
    let process = Process::after_deaths(0).await;
    let mut guard = CrashLoopGuard::new(Arc::clone(&process.scope), false);

    let admission = guard.admit(&process.record).await.unwrap();

    assert!(matches!(admission, Admission::Granted(_)));
    assert_eq!(process.noted().await, 0);
}

#[tokio::test]
async fn who_was_in_work_in_two_deaths_is_handled_beside_nobody_and_not_blamed_while_it_waits() {
    let process = Process::after_deaths(2).await;
    let beside = process.scope.permit().await.unwrap();
    let mut guard = process.guard();
    let admission = guard.admit(&process.record);
    tokio::pin!(admission);
    let until_it_waits = async {
        while process.noted().await != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = &mut admission => panic!("it was not alone"),
        () = until_it_waits => {}
        () = tokio::time::sleep(WAIT_LIMIT) => panic!("it is blamed while it waits"),
    }

    drop(beside);

    let admission = admission.await.unwrap();
    assert!(matches!(admission, Admission::Granted(permit) if permit.num_permits() == 2));
    assert_eq!(process.noted().await, i64::from(ALONE));
}

#[tokio::test]
async fn who_was_alone_when_the_process_died_is_refused() {
    let process = Process::after_deaths(ALONE).await;

    let admission = process.guard().admit(&process.record).await.unwrap();

    assert!(matches!(admission, Admission::Refused { deaths: ALONE }));
}

#[tokio::test]
async fn a_note_that_was_not_removed_in_time_does_not_count_for_the_next_attempt() {
    let process = Process::after_deaths(0).await;
    let mut guard = process.guard();

    for _ in 0..5 {
        // Each of these attempts ends without a word, as when the database was away just then.
        let admission = guard.admit(&process.record).await.unwrap();
        assert!(matches!(admission, Admission::Granted(_)));
        assert_eq!(process.noted().await, 1);
    }

    guard.close(&process.record).await;
    assert_eq!(process.noted().await, 0);
    drop(process.retry_store);
}

#[test]
fn care_covers_as_many_offsets_as_may_have_been_in_work() {
    let mut care = CrashSpan::of_next(10);
    care.receive(100);
    care.receive(105);

    assert!(care.covers(100) && care.covers(109));
    assert!(!care.covers(110));
    assert!(!CrashSpan::None.covers(100));
}

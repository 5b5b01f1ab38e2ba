//! A partition's task on records in memory, without a broker.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use kafka::KafkaConfig;
use service::config::FromSetting;
use sql::database::Database;
use sql::sqlite::Sqlite;
use sql::url::DatabaseUrl;
use tempfile::TempDir;
use tokio::sync::Barrier;
use tokio_util::task::TaskTracker;

use super::*;
use crate::concurrency::ConcurrencyLimit;
use crate::config::{ConsumerConfig, TraceProcessing};
use crate::dead_letters::DeadLetterSink;
use crate::handler::{Delivery, Failure, Handler};
use crate::instrumentation::ConsumerTelemetry;
use crate::poll::ConsumerError;
use crate::retry_policy::RetryPolicy;
use crate::retry_store::database::{self, MIGRATIONS};

/// Events come to an end within this time, or never.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

const TOPIC: &str = "events";

/// A running partition.
struct Running {
    progress: Arc<Progress>,
    commands: mpsc::UnboundedSender<Command>,
    task: PartitionTask,
    fatal: mpsc::Receiver<ConsumerError>,
    _directory: TempDir,
}

impl Running {
    async fn start(handler: Arc<dyn Handler>, records: Vec<Record>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (fatal_sender, fatal) = mpsc::channel(1);
        let shared = shared(handler, &directory, fatal_sender).await;
        let progress = Arc::<Progress>::default();
        let (commands, receiver) = mpsc::unbounded_channel();
        let links = PollLinks {
            queue: Arc::new(RecordQueue::of(records)),
            commands: receiver,
            progress: Arc::clone(&progress),
        };
        let partition = Partition::new(Arc::clone(&shared), 0, links);
        let task = supervised("partition", shared.fatal.clone(), partition.run(None));
        Self {
            progress,
            commands,
            task: tokio::spawn(task),
            fatal,
            _directory: directory,
        }
    }

    async fn until_committable(&self, offset: usize) {
        let expected = i64::try_from(offset).ok();
        let reached = async {
            while self.progress.offsets().committable != expected {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(WAIT_LIMIT, reached).await;
        assert!(in_time.is_ok(), "{:?}", self.progress.offsets());
    }

    /// Drains without waiting for handlers, and returns what is left.
    async fn revoke(self) -> InFlight {
        let (drained, _) = std::sync::mpsc::sync_channel(1);
        let deadline = tokio::time::Instant::now();
        let drain = Drain { deadline, drained };
        self.commands.send(Command::Drain(drain)).unwrap();
        self.task.await.unwrap().unwrap()
    }
}

async fn shared(
    handler: Arc<dyn Handler>,
    directory: &TempDir,
    fatal: mpsc::Sender<ConsumerError>,
) -> Arc<Shared> {
    let url = format!("sqlite://{}/retry_store.db", directory.path().display());
    let url = DatabaseUrl::from_setting(&url).unwrap();
    let database = Sqlite::open(&url, &[MIGRATIONS]).await.unwrap();
    let kafka = KafkaConfig::plaintext("127.0.0.1:1");
    let config = config();
    let telemetry = Arc::new(ConsumerTelemetry::new(&kafka, &config));
    Arc::new(Shared {
        handler,
        retry_store: database::retry_store(
            &Database::Sqlite(Arc::new(database)),
            &TaskTracker::new(),
        ),
        dead_letters: DeadLetterSink::new(&kafka, Arc::clone(&telemetry)).unwrap(),
        limit: ConcurrencyLimit::new(config.max_in_flight),
        telemetry,
        fatal,
    })
}

fn config() -> ConsumerConfig {
    ConsumerConfig {
        group: "group".into(),
        topic: TOPIC.into(),
        dead_letter_topic: "events.dlq".into(),
        max_in_flight: 1_000,
        retry_policy: RetryPolicy {
            retry_for: Duration::from_secs(120),
            retry_store_delay: Duration::from_secs(1_800),
            reject_limit: 50,
        },
        trace_processing: TraceProcessing::Parent,
        service: "consumer-tests",
        version: "1.2.3",
    }
}

fn record(key: usize, offset: usize) -> Record {
    Record {
        key: Some(key.to_string().into_bytes()),
        offset: i64::try_from(offset).unwrap(),
        ..Record::default()
    }
}

/// One record for each of so many keys.
fn records(count: usize) -> Vec<Record> {
    (0..count).map(|number| record(number, number)).collect()
}

/// Succeeds at once.
struct Immediate;

#[async_trait]
impl Handler for Immediate {
    async fn handle(&self, _: &Delivery) -> Result<(), Failure> {
        Ok(())
    }
}

/// Records with headers as those of an event of an unsampled trace.
fn events(count: usize) -> Vec<Record> {
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let headers = [("ce_id", "event-1"), ("traceparent", traceparent)];
    let header = |(name, value): (&str, &str)| (name.into(), Some(value.into()));
    let event = |record| Record {
        headers: headers.into_iter().map(header).collect(),
        ..record
    };
    records(count).into_iter().map(event).collect()
}

/// Allocations of this thread, which runs the partition's task, until so many records are complete.
fn allocations(count: usize) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let running = runtime.block_on(Running::start(Arc::new(Immediate), events(count)));
    let run = || runtime.block_on(running.until_committable(count));
    allocation_counter::measure(run).count_total
}

/// The shared record, its lane, its trace context (two), its work (two), its task, and the future of the handler; and the growth of
/// collections, below one per record.
const MAX_ALLOCATIONS: u64 = 9;

#[test]
fn a_record_costs_few_allocations_from_its_queue_to_its_complete_offset() {
    const RECORDS: usize = 10 * READ_BATCH;
    // What a start costs is in both.
    let (start, all) = (allocations(READ_BATCH), allocations(READ_BATCH + RECORDS));

    let growth = all - start;

    let allowed = MAX_ALLOCATIONS * RECORDS as u64;
    assert!(growth < allowed, "{growth} of less than {allowed}");
}

/// Ends when all of a read are in flight.
struct Together(Barrier);

#[async_trait]
impl Handler for Together {
    async fn handle(&self, _: &Delivery) -> Result<(), Failure> {
        self.0.wait().await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_read_are_in_flight_together() {
    let handler = Arc::new(Together(Barrier::new(READ_BATCH)));

    let running = Running::start(handler, records(READ_BATCH)).await;

    running.until_committable(READ_BATCH).await;
}

/// Waits until it is told to go on, then notes the offset.
#[derive(Default)]
struct Slow {
    go: tokio::sync::Notify,
    begun: tokio::sync::Notify,
    ended: Mutex<Vec<i64>>,
}

#[async_trait]
impl Handler for Slow {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        self.begun.notify_one();
        self.go.notified().await;
        self.ended.lock().unwrap().push(delivery.offset);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_runs_on_after_its_assignment_and_reports_to_the_next_one() {
    let handler = Arc::new(Slow::default());
    let running = Running::start(handler.clone(), records(1)).await;
    handler.begun.notified().await;
    let progress = Arc::clone(&running.progress);

    let mut left = running.revoke().await;

    assert!(left.own.is_empty());
    handler.go.notify_one();
    let finished = left.earlier.recv().await.unwrap();
    assert_eq!(finished.record.offset, 0);
    assert_eq!(progress.offsets().committable, None, "an old completion");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_runs_on_after_its_consumer_is_dropped() {
    let handler = Arc::new(Slow::default());
    let running = Running::start(handler.clone(), records(1)).await;
    handler.begun.notified().await;

    drop(running);

    handler.go.notify_one();
    let ended = async {
        while handler.ended.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT_LIMIT, ended).await.unwrap();
}

/// An error that cannot be shown: a defect outside of the handler call.
#[derive(Debug)]
struct Unprintable;

impl std::error::Error for Unprintable {}

impl std::fmt::Display for Unprintable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("unprintable")
    }
}

/// Fails with a defect for one event; the others wait until they are let go.
struct Defect {
    of: i64,
    all: Barrier,
    go: tokio::sync::Semaphore,
}

#[async_trait]
impl Handler for Defect {
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure> {
        self.all.wait().await;
        if delivery.offset == self.of {
            return Err(Failure::retry(Unprintable));
        }
        self.go.acquire().await.unwrap().forget();
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_outside_of_a_handler_stops_the_consumer_and_the_other_events_end() {
    const OTHERS: usize = 9;
    let handler = Arc::new(Defect {
        of: i64::try_from(OTHERS).unwrap(),
        all: Barrier::new(OTHERS + 1),
        go: tokio::sync::Semaphore::new(0),
    });
    let mut running = Running::start(handler.clone(), records(OTHERS + 1)).await;

    let fatal = tokio::time::timeout(WAIT_LIMIT, running.fatal.recv()).await;

    assert!(
        matches!(fatal, Ok(Some(ConsumerError::Panicked("event")))),
        "{fatal:?}"
    );
    handler.go.add_permits(OTHERS);
    running.until_committable(OTHERS).await;
}

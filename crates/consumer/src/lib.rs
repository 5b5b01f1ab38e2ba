//! The Kafka consumer: events of one key in order, different keys at once, nothing committed before it is done.
//!
//! ```text
//!  thread kafka-poll          one task per partition and assignment                  one task per event in work
//! ┌───────────────────┐ assign ┌────────────────────────────────────┐ head of lane ┌───────────────────────────┐
//! │ poll: rebalances, │───────▶│ queue ─▶ tracker ─▶ lane of the key│─────────────▶│ attempts for a while ─▶   │
//! │ errors, commits   │ drain  │          ▲          fenced keys    │◀─────────────│ handled, parked, or dead  │
//! └───────────────────┘◀──────▶└──────────┼─────────────────────────┘  finished    └────────┬────────┬─────────┘
//!          ▲                              │ progress: the lowest offset                     │ parked │ dead letter
//!          └──────────────────────────────┘ that is not done                                ▼        ▼
//!                                                             one sweeper ◀──claims── database   dead-letter topic
//! ```
//!
//! * **Order**: one event per key is in work; the next starts when it is done, also when it had to be retried. What comes
//!   for a key with parked events is parked behind them, unseen by the handler ([`crate::retry_store`], [`blocked_keys`]).
//! * **Nothing waits for ever, nothing vanishes** ([`work`]): what fails is tried again in place for a bounded time, then
//!   parked and tried by the [`sweeper`]; what cannot succeed is on the dead-letter topic before it is parked, and parked
//!   before its offset is done. If the database is away, nothing is parked and everything is tried on. If nearly
//!   everything is rejected, the partition stops ([`reject_gate`]).
//! * **A record that kills the process** is found out after a few crashes, alone, and set aside ([`crash_loop_guard`]).
//! * **Offsets**: what is committed lies never above the lowest offset that is not done ([`tracker`]).
//! * **Back-pressure**: a partition that has enough in work is not read; librdkafka stops fetching by itself.
//! * **Rebalance and shutdown are one path**: stop reading, drop what has not begun, finish what has up to a deadline,
//!   commit synchronously, give the partition back. What finishes later moves no offset and gives nothing up, and the
//!   inbox makes it harmless. If the same partition comes back first, the keys of such work wait for it ([`partition`]).
//! * **A lost session commits nothing**: others may have the partitions already ([`rebalance`]).
//! * **Delivery is at least once**: effects are made idempotent by the handler, with an inbox row in its transaction.

use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::error::KafkaError;
use service::command_line::ExitError;
use sql::migrations::MigrationSet;
use sqlx::migrate::Migrator;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::retry_store::RetryStore;
use kafka::KafkaConfig;

pub mod inbox;
pub mod operator;
pub mod retry_store;

mod delivery;
mod retry_policy;

mod poll;
mod rebalance;

mod assignment;
mod command;
mod in_flight;
mod partition;
mod progress;
mod source;
mod tenure;
mod tracker;

mod blocked_keys;
mod lanes;

mod attempts;
mod crash_loop_guard;
mod dead_letters;
mod failures;
mod reject_gate;
mod scope;
mod work;

mod sweeper;

mod consumer_lag;
mod instrumentation;

#[cfg(test)]
mod simulation;

pub use delivery::Delivery;
pub use instrumentation::TraceProcessing;
pub use retry_policy::RetryPolicy;

use dead_letters::DeadLetters;
use instrumentation::ConsumerTelemetry;
use scope::Scope;
use sweeper::Sweeper;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The tables of the retry store and the inbox.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "consumer",
    sqlite: &SQLITE,
    postgres: &POSTGRES,
};

/// Any error, as a handler gives it to the consumer.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Carries out events.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Makes the event's effect durable. Must be idempotent: every event may come again.
    async fn handle(&self, delivery: &Delivery) -> Result<(), Failure>;
}

/// Why an event could not be carried out, and what is to be done about it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The cause may pass (a database that is away): try again, and only this key waits; park it if that lasts.
    #[error("event is to be retried")]
    Retry(#[source] BoxError),
    /// The cause will not pass (bytes that are no event): put it on the dead-letter topic, fence its key, and go on. The
    /// error goes with it, so it must not quote the payload.
    #[error("event is to be set aside")]
    Reject(#[source] BoxError),
    /// Nothing can be carried out any more: stop the service.
    #[error("events cannot be handled")]
    Fatal(#[source] BoxError),
}

impl Failure {
    /// The cause may pass.
    pub fn retry(cause: impl Into<BoxError>) -> Self {
        Self::Retry(cause.into())
    }

    /// The cause will not pass.
    pub fn reject(cause: impl Into<BoxError>) -> Self {
        Self::Reject(cause.into())
    }

    /// Nothing can be carried out any more.
    pub fn fatal(cause: impl Into<BoxError>) -> Self {
        Self::Fatal(cause.into())
    }
}

/// What a consumer reads, as whom, and where it puts what it cannot read.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerConfig {
    /// The consumer group: members share the partitions.
    pub group: &'static str,
    /// The topic.
    pub topic: &'static str,
    /// Where rejected records go, with their provenance.
    pub dead_letter_topic: &'static str,
    /// Events in work at once, over all partitions and what was parked.
    pub max_in_flight: usize,
    /// How long what fails is tried again, and when a partition stops.
    pub retry_policy: RetryPolicy,
    /// How attempts stand to the trace of their event.
    pub trace_processing: TraceProcessing,
    /// Name of the service, for its dead letters.
    pub service: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// Why a consumer ended other than by its shutdown.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The client could not be created or subscribed.
    #[error("setting up the kafka client")]
    Client(#[from] KafkaError),
    /// librdkafka or the broker reported an error that a client does not survive.
    #[error("the kafka client failed for good: {0}")]
    Broken(String),
    /// The handler gave up.
    #[error("a handler gave up")]
    Handler(#[source] BoxError),
    /// The thread that polls Kafka could not be started.
    #[error("starting the poll thread")]
    Thread(#[source] std::io::Error),
    /// The thread that polls Kafka ended without a word.
    #[error("the poll thread ended unexpectedly")]
    ThreadGone,
}

impl From<ConsumerError> for ExitError {
    fn from(error: ConsumerError) -> Self {
        Self::failed(error)
    }
}

/// A consumer, ready to run.
pub struct Consumer {
    kafka: KafkaConfig,
    config: ConsumerConfig,
    handler: Arc<dyn Handler>,
    retry_store: Arc<dyn RetryStore>,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Consumer")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Consumer {
    /// A consumer of `config.topic` that hands each record to `handler`, and parks in `retry_store` what fails.
    pub fn new(
        kafka: &KafkaConfig,
        config: ConsumerConfig,
        handler: Arc<dyn Handler>,
        retry_store: Arc<dyn RetryStore>,
    ) -> Self {
        Self {
            kafka: kafka.clone(),
            config,
            handler,
            retry_store,
        }
    }

    /// Consumes until `shutdown`, then drains, commits and leaves the group.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ConsumerError> {
        let dead_letters = DeadLetters::new(&self.kafka, &self.config)?;
        let (fatal_sender, fatal) = mpsc::channel(1);
        let scope = Scope::new(
            self.handler,
            self.retry_store,
            dead_letters,
            Arc::new(ConsumerTelemetry::new(&self.kafka, &self.config)),
            fatal_sender,
        );
        let sweeper = Sweeper::new(scope.for_partition(), self.kafka.group.drain);
        let stop_sweeping = shutdown.child_token();
        let polling = async {
            let polled = poll::run(&self.kafka, &self.config, scope, fatal, shutdown).await;
            stop_sweeping.cancel();
            polled
        };
        let (polled, ()) = tokio::join!(polling, sweeper.run(stop_sweeping.clone()));
        polled
    }
}

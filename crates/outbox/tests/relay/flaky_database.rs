//! The relay on a database whose statements fail intermittently.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use outbox::lease::postgres::PostgresLeases;
use outbox::lease::{LeaseGrant, Leases};
use outbox::sqlite::SqliteOutbox;
use outbox::{Backlog, Outbox, OutboxError, OutboxRecord, OutboxRow, Shard};
use uuid::Uuid;

use mock_kafka::postgres::SharedDatabase;
use mock_kafka::{Broker, Database, TOPIC, eventually};

use crate::records::records;

/// Two of three statements fail, as with an exhausted pool.
struct Flaky {
    outbox: SqliteOutbox,
    statements: AtomicUsize,
}

impl Flaky {
    fn fail(&self) -> Result<(), OutboxError> {
        match self.statements.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => Ok(()),
            _ => Err(sqlx::Error::PoolTimedOut.into()),
        }
    }
}

#[async_trait]
impl Outbox for Flaky {
    async fn positions(
        &self,
        shards: &[Shard],
        after: i64,
        limit: u32,
    ) -> Result<Vec<i64>, OutboxError> {
        self.fail()?;
        self.outbox.positions(shards, after, limit).await
    }

    async fn read(&self, positions: &[i64]) -> Result<Vec<OutboxRow>, OutboxError> {
        self.fail()?;
        self.outbox.read(positions).await
    }

    async fn delete(&self, acknowledged: &[i64]) -> Result<(), OutboxError> {
        self.fail()?;
        self.outbox.delete(acknowledged).await
    }

    async fn note_blocked(&self, rows: &[i64]) -> Result<(), OutboxError> {
        self.fail()?;
        self.outbox.note_blocked(rows).await
    }

    async fn backlog(&self, at_most: u64) -> Result<Backlog, OutboxError> {
        self.outbox.backlog(at_most).await
    }

    fn has_other_writers(&self) -> bool {
        self.outbox.has_other_writers()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_database_failures_publish_nothing_twice() {
    let broker = Broker::start();
    let database = Database::create().await;
    let flaky = Flaky {
        outbox: database.outbox(),
        statements: AtomicUsize::new(0),
    };
    let relay = database.start_relay_on(&broker, Arc::new(flaky));

    let record = |key: usize| OutboxRecord {
        topic: TOPIC.into(),
        key: format!("key-{key}"),
        headers: Vec::new(),
        payload: Vec::new(),
    };
    for batch in 0..5 {
        let records: Vec<_> = (0..10).map(|key| record(batch * 10 + key)).collect();
        database.write(&records).await;
    }

    let outbox = database.outbox();
    eventually("the outbox is empty", async || {
        outbox.backlog(u64::MAX).await.unwrap().rows == 0
    })
    .await;
    assert_eq!(broker.read(TOPIC).len(), 50);
    relay.stop().await;
}

/// The first release of shards fails.
struct FlakyLeases {
    leases: PostgresLeases,
    has_failed: AtomicBool,
}

#[async_trait]
impl Leases for FlakyLeases {
    async fn renew(&self, member: Uuid) -> Result<LeaseGrant, OutboxError> {
        self.leases.renew(member).await
    }

    async fn release(&self, member: Uuid, shards: &[Shard]) -> Result<(), OutboxError> {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            return Err(sqlx::Error::PoolTimedOut.into());
        }
        self.leases.release(member, shards).await
    }

    async fn leave(&self, member: Uuid) -> Result<(), OutboxError> {
        self.leases.leave(member).await
    }
}

/// The broker is slow, so that events of the shards that stay are in flight.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_shards_that_fails_publishes_nothing_twice() {
    let (broker, database) = (Broker::start(), SharedDatabase::create().await);
    broker.delay_answers(Duration::from_millis(100));
    let leases = Arc::new(FlakyLeases {
        leases: database.leases(),
        has_failed: AtomicBool::new(false),
    });
    let first = database.start_relay_holding(&broker, leases.clone());
    database.until_shards_are_divided(&[32]).await;
    database.write(&records(40, 0..50)).await;
    let second = database.start_relay(&broker);

    database.until_shards_are_divided(&[16, 16]).await;
    database.until_published().await;

    assert!(leases.has_failed.load(Ordering::Relaxed));
    broker.delay_answers(Duration::ZERO);
    assert_eq!(broker.read(TOPIC).len(), 40 * 50);
    first.stop().await;
    second.stop().await;
}

//! The relay on a database whose statements fail intermittently.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use outbox::sqlite::SqliteOutbox;
use outbox::{Backlog, Outbox, OutboxError, OutboxRecord, OutboxRow, Shard};

use mock_kafka::{Broker, Database, TOPIC, eventually};

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

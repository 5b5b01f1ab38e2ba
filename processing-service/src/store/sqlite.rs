//! The store on SQLite.
//!
//! Steps of many orders share one commit: they are collected by a [`GroupCommit`], and a batch costs one statement per
//! table that it touches, however many orders are in it. There is one writer, and its transaction takes the write lock
//! before it reads, so what a batch decides upon cannot change under it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use chassis::group_commit::{Committer, GroupCommit, GroupCommitConfig, SubmitError};
use chassis::inbox;
use chassis::outbox::OutboxSignal;
use chassis::sqlite::Sqlite;
use sqlx::migrate::Migrator;
use tokio_util::task::TaskTracker;

use super::unit_of_work::{Command, UnitOfWork, orders_of, skus_of};
use super::{Cause, OpenSaga, ProcessingStore, Recorded, StoreError};
use crate::catalogue::Catalogue;
use crate::domain::{OrderId, SagaEvent, SagaState, Sku, StockLevel};

mod read;
mod write;

/// The schema, as the steps that lead to it.
pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The store of one database file.
#[derive(Debug)]
pub struct SqliteStore {
    database: Arc<Sqlite>,
    steps: GroupCommit<StepCommitter>,
}

impl SqliteStore {
    /// The store on an open database. Its writer runs on `tracker` until the store is dropped; `signal` is notified
    /// after every commit that announces something.
    pub fn start(database: Arc<Sqlite>, signal: OutboxSignal, tracker: &TaskTracker) -> Self {
        let committer = StepCommitter {
            database: Arc::clone(&database),
            signal,
        };
        let steps = GroupCommit::start(committer, GroupCommitConfig::default(), tracker);
        Self { database, steps }
    }

    /// The consumer bounds how many orders are in work, hence waiting instead of refusing.
    async fn submit(&self, command: Command) -> Result<Recorded, StoreError> {
        self.steps
            .submit_waiting(command)
            .await
            .map_err(|error| match error {
                SubmitError::QueueFull | SubmitError::Stopped => StoreError::Stopped,
                SubmitError::Failed(error) => error,
            })
    }
}

#[async_trait]
impl ProcessingStore for SqliteStore {
    async fn open(&self, order: OpenSaga, cause: Cause) -> Result<Recorded, StoreError> {
        self.submit(Command::Open(order, cause)).await
    }

    async fn advance(
        &self,
        order_id: OrderId,
        event: SagaEvent,
        cause: Cause,
    ) -> Result<Recorded, StoreError> {
        self.submit(Command::Advance(order_id, event, cause)).await
    }

    async fn acknowledge(&self, cause: Cause) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        inbox::sqlite::accept(&mut transaction, &[cause.event]).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn saga(&self, order_id: OrderId) -> Result<Option<SagaState>, StoreError> {
        let mut connection = self.database.reader().acquire().await?;
        let sagas = read::sagas(&mut connection, &BTreeSet::from([order_id])).await?;
        Ok(sagas.into_iter().next().map(|(_, saga)| saga.state))
    }

    async fn stock(&self, sku: &Sku) -> Result<Option<StockLevel>, StoreError> {
        let mut connection = self.database.reader().acquire().await?;
        let mut levels = read::levels(&mut connection, &BTreeSet::from([sku.clone()])).await?;
        Ok(levels.remove(sku))
    }

    async fn seed(&self, catalogue: &Catalogue) -> Result<u64, StoreError> {
        let mut transaction = self.database.begin().await?;
        let added = write::seed(&mut transaction, catalogue).await?;
        transaction.commit().await?;
        Ok(added)
    }
}

/// Commits batches of steps.
#[derive(Debug)]
struct StepCommitter {
    database: Arc<Sqlite>,
    signal: OutboxSignal,
}

#[async_trait]
impl Committer for StepCommitter {
    type Command = Command;
    type Reply = Recorded;
    type Error = StoreError;

    async fn commit(&self, batch: &[Command]) -> Result<Vec<Recorded>, StoreError> {
        let mut transaction = self.database.begin().await?;
        let sagas = read::sagas(&mut transaction, &orders_of(batch)).await?;
        let levels = read::levels(&mut transaction, &skus_of(batch)).await?;

        let now = SystemTime::now();
        let mut work = UnitOfWork::new(sagas, levels, now);
        let replies: Vec<_> = batch
            .iter()
            .map(|command| work.apply(command))
            .collect::<Result<_, _>>()?;

        let changes = work.into_changes();
        write::changes(&mut transaction, &changes, now).await?;
        transaction.commit().await?;
        if !changes.outbox.is_empty() {
            self.signal.notify();
        }
        Ok(replies)
    }
}

//! The store on any [`Engine`]: batches of steps, one transaction per batch.
//!
//! ```text
//! steps of many orders ─▶ GroupCommit ─▶ begin ─▶ lock sagas ─▶ lock stock ─▶ decide ─▶ write ─▶ commit
//! ```
//!
//! Rows that a batch has read cannot change before its commit. SQLite has one writer. On PostgreSQL several replicas
//! write, and rows are locked in one order: sagas by order id, then stock by SKU, then new sagas. A transaction that
//! waits for a row holds no row later in this order, so there is no deadlock.

use std::collections::{BTreeSet, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use outbox::OutboxSignal;
use sql::error::{ErrorClass, classify};
use sql::group_commit::{Committer, GroupCommit, GroupCommitConfig, SubmitError};
use sql::postgres;
use sql::statements::{Query, Statement, Statements};
use tokio_util::task::TaskTracker;

use super::engine::Engine;
use super::processing_store::{Cause, OpenSaga, ProcessingStore, Recorded, StoreError};
use super::unit_of_work::{StepCommand, UnitOfWork, orders_of, skus_of};
use crate::catalogue::Catalogue;
use crate::domain::{OrderId, SagaEvent, SagaState, Sku, StockLevel};

/// Attempts at a batch when another replica opens one of its sagas concurrently. The second attempt finds that saga; more
/// are needed only if another order of the batch is opened meanwhile.
const ATTEMPTS: u32 = 4;

pub(super) struct TransactionalStore<E: Engine + Clone> {
    engine: E,
    steps: GroupCommit<StepCommitter<E>>,
    acknowledge: Statement,
    saga: Statement,
    stock: Statement,
    seed: Statement,
}

impl<E: Engine + Clone> TransactionalStore<E> {
    pub(super) fn start(
        engine: E,
        statements: &Statements,
        signal: OutboxSignal,
        tracker: &TaskTracker,
    ) -> Self {
        let committer = StepCommitter {
            engine: engine.clone(),
            signal,
            steps: statements.prepare(Query::transaction("record steps")),
        };
        let steps = GroupCommit::start(committer, GroupCommitConfig::default(), tracker);
        let prepare =
            |summary, operation, table| statements.prepare(Query::on(summary, operation, table));
        Self {
            engine,
            steps,
            acknowledge: prepare("INSERT inbox", "INSERT", "inbox"),
            saga: prepare("SELECT sagas", "SELECT", "sagas"),
            stock: prepare("SELECT stock", "SELECT", "stock"),
            seed: prepare("INSERT stock", "INSERT", "stock"),
        }
    }

    /// Waits while the queue is full: the consumer limits the orders in flight.
    async fn submit(&self, command: StepCommand) -> Result<Recorded, StoreError> {
        self.steps
            .submit_waiting(command)
            .await
            .map_err(|error| match error {
                SubmitError::QueueFull | SubmitError::Stopped | SubmitError::BatchFailed => {
                    StoreError::Unanswered
                }
                SubmitError::Failed(error) => error,
            })
    }
}

#[async_trait]
impl<E: Engine + Clone> ProcessingStore for TransactionalStore<E> {
    async fn open(&self, order: OpenSaga, cause: Cause) -> Result<Recorded, StoreError> {
        self.submit(StepCommand::Open(order, cause)).await
    }

    async fn advance(
        &self,
        order_id: OrderId,
        event: SagaEvent,
        cause: Cause,
    ) -> Result<Recorded, StoreError> {
        self.submit(StepCommand::Advance(order_id, event, cause))
            .await
    }

    async fn acknowledge(&self, cause: Cause) -> Result<(), StoreError> {
        let accept = || async {
            let mut transaction = self.engine.begin().await?;
            E::accept(&mut transaction, cause.event).await?;
            transaction.commit().await
        };
        Ok(self
            .acknowledge
            .run(postgres::retry_conflicts(accept))
            .await?)
    }

    async fn saga(&self, order_id: OrderId) -> Result<Option<SagaState>, StoreError> {
        let saga = self.saga.run(self.engine.saga(order_id)).await?;
        Ok(saga.map(|saga| saga.state))
    }

    async fn stock(&self, sku: &Sku) -> Result<Option<StockLevel>, StoreError> {
        let mut levels = self.levels(&BTreeSet::from([sku.clone()])).await?;
        Ok(levels.remove(sku))
    }

    async fn levels(&self, skus: &BTreeSet<Sku>) -> Result<HashMap<Sku, StockLevel>, StoreError> {
        Ok(self.stock.run(self.engine.stock(skus)).await?)
    }

    async fn seed(&self, catalogue: &Catalogue) -> Result<u64, StoreError> {
        let seed = || async {
            let mut transaction = self.engine.begin().await?;
            let added = E::seed(&mut transaction, catalogue).await?;
            transaction.commit().await?;
            Ok(added)
        };
        Ok(self.seed.run(postgres::retry_conflicts(seed)).await?)
    }
}

struct StepCommitter<E> {
    engine: E,
    signal: OutboxSignal,
    steps: Statement,
}

#[async_trait]
impl<E: Engine> Committer for StepCommitter<E> {
    type Command = StepCommand;
    type Reply = Recorded;
    type Error = StoreError;

    const NAME: &'static str = "steps";

    async fn commit(&self, batch: &[StepCommand]) -> Result<Vec<Recorded>, StoreError> {
        let commit = self.commit_with_retries(batch);
        self.steps.run_batch(batch.len(), commit).await
    }

    fn concerns_whole_batch(&self, error: &StoreError) -> bool {
        matches!(error, StoreError::Database(error) if classify(error) == ErrorClass::Unavailable)
    }
}

impl<E: Engine> StepCommitter<E> {
    /// Retries the batch while another replica opens one of its sagas concurrently.
    async fn commit_with_retries(
        &self,
        batch: &[StepCommand],
    ) -> Result<Vec<Recorded>, StoreError> {
        for _ in 1..ATTEMPTS {
            match self.commit_or_conflict(batch).await {
                Err(StoreError::SagaOpened) => {}
                done => return done,
            }
        }
        self.commit_or_conflict(batch).await
    }

    /// Retries the batch on serialization failures and deadlocks, which SQLite never reports.
    async fn commit_or_conflict(&self, batch: &[StepCommand]) -> Result<Vec<Recorded>, StoreError> {
        let attempt = || async {
            match self.commit_once(batch).await {
                Err(StoreError::Database(error)) => Err(error),
                decided => Ok(decided),
            }
        };
        postgres::retry_conflicts(attempt).await?
    }

    async fn commit_once(&self, batch: &[StepCommand]) -> Result<Vec<Recorded>, StoreError> {
        let mut transaction = self.engine.begin().await?;
        let sagas = E::lock_sagas(&mut transaction, &orders_of(batch)).await?;
        let levels = E::lock_stock(&mut transaction, &skus_of(batch, &sagas)).await?;

        let now = SystemTime::now();
        let mut work = UnitOfWork::new(sagas, levels, now);
        let replies: Vec<_> = batch
            .iter()
            .map(|command| work.apply(command))
            .collect::<Result<_, _>>()?;

        let changes = work.into_changes();
        E::write(&mut transaction, &changes, unix_millis(now)).await?;
        transaction.commit().await?;
        if !changes.outbox.is_empty() {
            self.signal.notify();
        }
        Ok(replies)
    }
}

fn unix_millis(at: SystemTime) -> i64 {
    let elapsed = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

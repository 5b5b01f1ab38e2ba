//! The store on any [`Engine`]: which steps share a transaction, and what a transaction consists of.
//!
//! ```text
//! steps of many orders ─▶ GroupCommit ─▶ begin ─▶ hold sagas ─▶ hold stock ─▶ decide ─▶ write ─▶ commit
//! ```
//!
//! What a batch decides upon cannot change under it. On SQLite that is so because there is one writer. On PostgreSQL
//! several replicas write, and the rows are locked, always in one order: sagas by order id, then stock by SKU, then the
//! sagas that are new. Whoever waits for a row therefore holds none that comes behind it, and nobody waits in a circle.

use std::collections::{BTreeSet, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use outbox::OutboxSignal;
use sql::group_commit::{Committer, GroupCommit, GroupCommitConfig, SubmitError};
use sql::postgres;
use sql::statements::{Query, Statement, Statements};
use tokio_util::task::TaskTracker;

use super::engine::Engine;
use super::unit_of_work::{Command, UnitOfWork, orders_of, skus_of};
use super::{Cause, OpenSaga, ProcessingStore, Recorded, StoreError};
use crate::catalogue::Catalogue;
use crate::domain::{OrderId, SagaEvent, SagaState, Sku, StockLevel};

/// Times that a batch is tried which meets a saga that another replica is opening. The second time it finds the saga;
/// more are needed only if that happens to yet another order of the batch meanwhile.
const ATTEMPTS: u32 = 4;

/// SQLSTATE classes of a server that cannot serve: lost connection, no resources, intervention of an operator (it stops,
/// or a statement took too long); and a lock that was waited for too long.
const OUTAGES: [&str; 4] = ["08", "53", "57", "55P03"];

/// The store of one database.
pub(super) struct TransactionalStore<E: Engine + Clone> {
    engine: E,
    steps: GroupCommit<StepCommitter<E>>,
    acknowledge: Statement,
    saga: Statement,
    stock: Statement,
    seed: Statement,
}

impl<E: Engine + Clone> TransactionalStore<E> {
    /// The store on this database. Its writer runs on `tracker` until the store is dropped; `signal` is notified after
    /// every commit that announces something.
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

    /// The consumer bounds how many orders are in work, hence waiting instead of refusing.
    async fn submit(&self, command: Command) -> Result<Recorded, StoreError> {
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
        let remember = || async {
            let mut transaction = self.engine.begin().await?;
            E::remember(&mut transaction, cause.event).await?;
            transaction.commit().await
        };
        let remembered = postgres::retry_conflicts(remember);
        Ok(self.acknowledge.run(remembered).await?)
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

/// Commits batches of steps.
struct StepCommitter<E> {
    engine: E,
    signal: OutboxSignal,
    steps: Statement,
}

#[async_trait]
impl<E: Engine> Committer for StepCommitter<E> {
    type Command = Command;
    type Reply = Recorded;
    type Error = StoreError;

    const NAME: &'static str = "steps";

    async fn commit(&self, batch: &[Command]) -> Result<Vec<Recorded>, StoreError> {
        let commit = self.commit_with_repetitions(batch);
        self.steps.run_batch(batch.len(), commit).await
    }

    fn concerns_whole_batch(&self, error: &StoreError) -> bool {
        matches!(error, StoreError::Database(error) if is_outage(error))
    }
}

impl<E: Engine> StepCommitter<E> {
    /// Repeats the batch while it meets sagas that another replica is opening.
    async fn commit_with_repetitions(
        &self,
        batch: &[Command],
    ) -> Result<Vec<Recorded>, StoreError> {
        for _ in 1..ATTEMPTS {
            match self.commit_or_conflict(batch).await {
                Err(StoreError::SagaOpened) => {}
                done => return done,
            }
        }
        self.commit_or_conflict(batch).await
    }

    /// Repeats the batch while the database reports a conflict with another transaction. SQLite never does.
    async fn commit_or_conflict(&self, batch: &[Command]) -> Result<Vec<Recorded>, StoreError> {
        let attempt = || async {
            match self.commit_once(batch).await {
                Err(StoreError::Database(error)) => Err(error),
                decided => Ok(decided),
            }
        };
        postgres::retry_conflicts(attempt).await?
    }

    async fn commit_once(&self, batch: &[Command]) -> Result<Vec<Recorded>, StoreError> {
        let mut transaction = self.engine.begin().await?;
        let sagas = E::hold_sagas(&mut transaction, &orders_of(batch)).await?;
        let levels = E::hold_stock(&mut transaction, &skus_of(batch, &sagas)).await?;

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

/// Whether the database would have failed every step, because it is away, overloaded or stopping.
fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(reported) => reported
            .code()
            .is_some_and(|code| OUTAGES.iter().any(|state| code.starts_with(state))),
        _ => false,
    }
}

fn unix_millis(at: SystemTime) -> i64 {
    let elapsed = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

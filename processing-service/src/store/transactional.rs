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
use std::time::SystemTime;

use async_trait::async_trait;
use outbox::HandOver;
use sql::columns::unix_millis;
use sql::group_commit::{Committer, GroupCommit, GroupCommitConfig, SubmitError};
use sql::operation;
use sql::statements::{Query, Statement, Statements};
use tokio_util::task::TaskTracker;

use super::engine::Engine;
use super::processing_store::{Cause, OpenSaga, ProcessingStore, Recorded, StoreError};
use super::rows::PaymentRow;
use super::unit_of_work::{Changes, StepCommand, UnitOfWork, announced_again, orders_of, skus_of};
use crate::catalogue::Catalogue;
use crate::domain::{OrderId, SagaEvent, SagaState, Sku, StockLevel};

pub(super) struct TransactionalStore<E: Engine + Clone> {
    engine: E,
    hand_over: HandOver,
    steps: GroupCommit<StepCommitter<E>>,
    announce_again: Statement,
    acknowledge: Statement,
    saga: Statement,
    stock: Statement,
    seed: Statement,
}

impl<E: Engine + Clone> TransactionalStore<E> {
    pub(super) fn start(
        engine: E,
        statements: &Statements,
        hand_over: HandOver,
        tracker: &TaskTracker,
    ) -> Self {
        let committer = StepCommitter {
            engine: engine.clone(),
            hand_over: hand_over.clone(),
            steps: statements.prepare(Query::transaction("record steps")),
        };
        let steps = GroupCommit::start(committer, GroupCommitConfig::default(), tracker);
        let prepare = |summary| statements.prepare(Query::on(summary));
        Self {
            engine,
            hand_over,
            steps,
            announce_again: statements.prepare(Query::transaction("announce again")),
            acknowledge: prepare("INSERT inbox"),
            saga: prepare("SELECT sagas"),
            stock: prepare("SELECT stock"),
            seed: prepare("INSERT stock"),
        }
    }

    /// Waits while the queue is full: the consumer limits the orders in flight.
    async fn submit(&self, command: StepCommand) -> Result<Recorded, StoreError> {
        let recorded = self.steps.submit_waiting(command).await;
        recorded.map_err(|error| match error {
            SubmitError::Failed(error) => error,
            _ => StoreError::Unanswered,
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
        events: Vec<SagaEvent>,
        cause: Cause,
    ) -> Result<Recorded, StoreError> {
        self.submit(StepCommand::Advance(order_id, events, cause))
            .await
    }

    async fn announce_again(&self, order_id: OrderId, cause: Cause) -> Result<(), StoreError> {
        let announce = || async {
            let mut transaction = self.engine.begin().await?;
            let orders = BTreeSet::from([order_id]);
            let sagas = E::lock_sagas(&mut transaction, &orders).await?;
            let Some(saga) = sagas.get(&order_id) else {
                return Ok(());
            };
            let payment = E::payment(&mut transaction, order_id).await?;
            let payment = payment.as_ref().and_then(PaymentRow::read);
            let now = SystemTime::now();
            let records = announced_again(order_id, saga, payment, &cause, now)?;
            let changes = Changes {
                outbox: records,
                ..Changes::default()
            };
            let inserted = E::write(&mut transaction, &changes, unix_millis(now)).await?;
            transaction.commit().await?;
            self.hand_over.committed(inserted);
            Ok(())
        };
        operation::run(&self.announce_again, 1, announce).await
    }

    async fn acknowledge(&self, cause: Cause) -> Result<(), StoreError> {
        let changes = Changes {
            inbox: cause.event.into_iter().collect(),
            ..Changes::default()
        };
        let acknowledge = || async {
            let mut transaction = self.engine.begin().await?;
            E::write(&mut transaction, &changes, unix_millis(SystemTime::now())).await?;
            Ok(transaction.commit().await?)
        };
        operation::run(&self.acknowledge, 1, acknowledge).await
    }

    async fn saga(&self, order_id: OrderId) -> Result<Option<SagaState>, StoreError> {
        let saga = self.saga.run(self.engine.saga(order_id)).await?;
        Ok(saga.map(|saga| saga.state))
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
        operation::run(&self.seed, 1, seed).await
    }
}

struct StepCommitter<E> {
    engine: E,
    hand_over: HandOver,
    steps: Statement,
}

#[async_trait]
impl<E: Engine> Committer for StepCommitter<E> {
    type Command = StepCommand;
    type Reply = Recorded;
    type Error = StoreError;

    const NAME: &'static str = "steps";

    /// Retries the batch on a conflict: a serialization failure, a deadlock, or a saga that another replica has opened. SQLite
    /// reports none of them.
    async fn commit(&self, batch: &[StepCommand]) -> Result<Vec<Recorded>, StoreError> {
        operation::run(&self.steps, batch.len(), || self.attempt(batch)).await
    }
}

impl<E: Engine> StepCommitter<E> {
    async fn attempt(&self, batch: &[StepCommand]) -> Result<Vec<Recorded>, StoreError> {
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
        let inserted = E::write(&mut transaction, &changes, unix_millis(now)).await?;
        transaction.commit().await?;
        self.hand_over.committed(inserted);
        Ok(replies)
    }
}

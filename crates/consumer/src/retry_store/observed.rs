//! RetryStore, with what each call takes.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Beginning, Claimed, Fault, KeyState, RetryState, RetryStore, RetryStoreError, Settlement,
    Source,
};
use kafka::record::Record;
use sql::statements::{Query, Statement, Statements};

/// RetryStore whose calls are observed.
pub(crate) struct ObservedRetryStore<P> {
    retry_store: P,
    begin: Statement,
    end: Statement,
    note_attempt: Statement,
    forget_attempts: Statement,
    store: Statement,
    store_behind: Statement,
    claim: Statement,
    settle: Statement,
}

impl<P: RetryStore> ObservedRetryStore<P> {
    pub(crate) fn new(retry_store: P, statements: &Statements) -> Self {
        let prepare = |summary| statements.prepare(Query::transaction(summary));
        Self {
            retry_store,
            begin: prepare("begin partition"),
            end: prepare("end partition"),
            note_attempt: prepare("note attempt"),
            forget_attempts: prepare("forget attempts"),
            store: prepare("park event"),
            store_behind: prepare("park event behind"),
            claim: prepare("claim parked"),
            settle: prepare("settle parked"),
        }
    }
}

#[async_trait]
impl<P: RetryStore> RetryStore for ObservedRetryStore<P> {
    async fn begin(&self, source: &Source, owner: Uuid) -> Result<Beginning, RetryStoreError> {
        self.begin.run(self.retry_store.begin(source, owner)).await
    }

    async fn end(&self, source: &Source, owner: Uuid) -> Result<(), RetryStoreError> {
        self.end.run(self.retry_store.end(source, owner)).await
    }

    async fn note_attempt(&self, record: &Record) -> Result<u32, RetryStoreError> {
        let note = self.retry_store.note_attempt(record);
        self.note_attempt.run(note).await
    }

    async fn forget_attempts(&self, record: &Record) -> Result<(), RetryStoreError> {
        let forget = self.retry_store.forget_attempts(record);
        self.forget_attempts.run(forget).await
    }

    async fn store(
        &self,
        record: &Record,
        fault: &Fault,
        state: RetryState,
    ) -> Result<(), RetryStoreError> {
        self.store
            .run(self.retry_store.store(record, fault, state))
            .await
    }

    async fn store_behind(&self, record: &Record) -> Result<KeyState, RetryStoreError> {
        self.store_behind
            .run(self.retry_store.store_behind(record))
            .await
    }

    async fn claim(
        &self,
        topic: &str,
        claimant: Uuid,
        limit: u32,
        term: Duration,
    ) -> Result<Vec<Claimed>, RetryStoreError> {
        let claim = self.retry_store.claim(topic, claimant, limit, term);
        self.claim.run(claim).await
    }

    async fn settle(
        &self,
        id: i64,
        claimant: Uuid,
        settlement: &Settlement,
    ) -> Result<(), RetryStoreError> {
        let settle = self.retry_store.settle(id, claimant, settlement);
        self.settle.run(settle).await
    }
}

//! Parking, with what each call takes.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{Beginning, Claimed, Fault, Fence, Parked, Parking, ParkingError, Settlement, Source};
use kafka::record::Record;
use sql::database::instrumentation::{Query, Statement, Statements};

/// Parking whose calls are observed.
pub(crate) struct ObservedParking<P> {
    parking: P,
    begin: Statement,
    end: Statement,
    note_attempt: Statement,
    forget_attempts: Statement,
    park: Statement,
    park_behind: Statement,
    claim: Statement,
    settle: Statement,
}

impl<P: Parking> ObservedParking<P> {
    pub(crate) fn new(parking: P, statements: &Statements) -> Self {
        let prepare = |summary| statements.prepare(Query::transaction(summary));
        Self {
            parking,
            begin: prepare("begin partition"),
            end: prepare("end partition"),
            note_attempt: prepare("note attempt"),
            forget_attempts: prepare("forget attempts"),
            park: prepare("park event"),
            park_behind: prepare("park event behind"),
            claim: prepare("claim parked"),
            settle: prepare("settle parked"),
        }
    }
}

#[async_trait]
impl<P: Parking> Parking for ObservedParking<P> {
    async fn begin(&self, source: &Source, owner: Uuid) -> Result<Beginning, ParkingError> {
        self.begin.run(self.parking.begin(source, owner)).await
    }

    async fn end(&self, source: &Source, owner: Uuid) -> Result<(), ParkingError> {
        self.end.run(self.parking.end(source, owner)).await
    }

    async fn note_attempt(&self, record: &Record) -> Result<u32, ParkingError> {
        let note = self.parking.note_attempt(record);
        self.note_attempt.run(note).await
    }

    async fn forget_attempts(&self, record: &Record) -> Result<(), ParkingError> {
        let forget = self.parking.forget_attempts(record);
        self.forget_attempts.run(forget).await
    }

    async fn park(
        &self,
        record: &Record,
        fault: &Fault,
        state: Parked,
    ) -> Result<(), ParkingError> {
        self.park.run(self.parking.park(record, fault, state)).await
    }

    async fn park_behind(&self, record: &Record) -> Result<Fence, ParkingError> {
        self.park_behind.run(self.parking.park_behind(record)).await
    }

    async fn claim(
        &self,
        topic: &str,
        claimant: Uuid,
        limit: u32,
        term: Duration,
    ) -> Result<Vec<Claimed>, ParkingError> {
        let claim = self.parking.claim(topic, claimant, limit, term);
        self.claim.run(claim).await
    }

    async fn settle(
        &self,
        id: i64,
        claimant: Uuid,
        settlement: &Settlement,
    ) -> Result<(), ParkingError> {
        let settle = self.parking.settle(id, claimant, settlement);
        self.settle.run(settle).await
    }
}

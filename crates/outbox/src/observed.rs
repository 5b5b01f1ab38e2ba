//! The outbox and its leases, with what each call takes. Nearly all of it is polling, outside of any trace.

use async_trait::async_trait;
use uuid::Uuid;

use super::lease::{Leases, Tenure};
use super::{Backlog, Outbox, OutboxError, OutboxRow, Shard};
use sql::statements::{Query, Statement, Statements};

/// An outbox whose calls are observed.
pub(crate) struct ObservedOutbox<O> {
    outbox: O,
    read: Statement,
    delete: Statement,
    backlog: Statement,
}

impl<O: Outbox> ObservedOutbox<O> {
    pub(crate) fn new(outbox: O, statements: &Statements) -> Self {
        Self {
            outbox,
            read: statements.prepare(Query::on("SELECT outbox", "SELECT", "outbox")),
            delete: statements.prepare(Query::on("DELETE outbox", "DELETE", "outbox")),
            backlog: statements.prepare(Query::on("SELECT outbox backlog", "SELECT", "outbox")),
        }
    }
}

#[async_trait]
impl<O: Outbox> Outbox for ObservedOutbox<O> {
    async fn read(
        &self,
        shards: &[Shard],
        after: i64,
        except: &[i64],
        limit: u32,
    ) -> Result<Vec<OutboxRow>, OutboxError> {
        let read = self.outbox.read(shards, after, except, limit);
        self.read.run(read).await
    }

    async fn delete(&self, acknowledged: &[i64]) -> Result<(), OutboxError> {
        let delete = self.outbox.delete(acknowledged);
        self.delete.run(delete).await
    }

    async fn backlog(&self, at_most: u64) -> Result<Backlog, OutboxError> {
        self.backlog.run(self.outbox.backlog(at_most)).await
    }

    fn has_other_writers(&self) -> bool {
        self.outbox.has_other_writers()
    }
}

/// Leases whose calls are observed.
pub(crate) struct ObservedLeases<L> {
    leases: L,
    renew: Statement,
    release: Statement,
    leave: Statement,
}

impl<L: Leases> ObservedLeases<L> {
    pub(crate) fn new(leases: L, statements: &Statements) -> Self {
        let prepare = |summary| statements.prepare(Query::transaction(summary));
        Self {
            leases,
            renew: prepare("renew leases"),
            release: prepare("release leases"),
            leave: prepare("leave leases"),
        }
    }
}

#[async_trait]
impl<L: Leases> Leases for ObservedLeases<L> {
    async fn renew(&self, member: Uuid) -> Result<Tenure, OutboxError> {
        self.renew.run(self.leases.renew(member)).await
    }

    async fn release(&self, member: Uuid, shards: &[Shard]) -> Result<(), OutboxError> {
        self.release.run(self.leases.release(member, shards)).await
    }

    async fn leave(&self, member: Uuid) -> Result<(), OutboxError> {
        self.leave.run(self.leases.leave(member)).await
    }
}

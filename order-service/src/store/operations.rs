//! The operations of a store: their telemetry and their names in errors, the same on every database, however many
//! statements an operation takes there.

use sql::statements::{Query, Statement, Statements};

use super::error::StoreError;

/// One prepared span and measurement, and the name in errors.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) statement: Statement,
    name: &'static str,
}

impl Operation {
    /// Runs it for a batch of `commands`.
    pub(super) async fn run<T>(
        &self,
        commands: usize,
        query: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        let done = self.statement.run_batch(commands, query).await;
        done.map_err(|error| self.failed(error))
    }

    pub(super) fn failed(&self, error: sqlx::Error) -> StoreError {
        StoreError::of(self.name, error)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Operations {
    pub(super) place: Operation,
    pub(super) placed_before: Operation,
    pub(super) apply: Operation,
    pub(super) cancel: Operation,
    pub(super) get: Operation,
    pub(super) list: Operation,
    pub(super) histories: Operation,
    pub(super) entries_after: Operation,
    pub(super) oldest_open: Operation,
    pub(super) list_open: Operation,
    pub(super) republish: Operation,
    pub(super) audit: Operation,
}

impl Operations {
    pub(super) fn new(statements: &Statements) -> Self {
        let operation = |query, name| Operation {
            statement: statements.prepare(query),
            name,
        };
        let batch = |summary, name| operation(Query::transaction(summary), name);
        let read = |summary, name| operation(Query::on(summary), name);
        Self {
            place: batch("place orders", "placing orders"),
            placed_before: read("SELECT orders by request", "looking up a request"),
            apply: batch("apply outcomes", "applying outcomes"),
            cancel: batch("request cancellations", "requesting cancellations"),
            get: read("SELECT orders by id", "reading an order"),
            list: read("SELECT orders by customer", "listing orders"),
            histories: read("SELECT order_events", "reading histories"),
            entries_after: read("SELECT order_events of many", "reading new entries"),
            oldest_open: read("SELECT open_orders oldest", "reading the oldest open order"),
            list_open: read("SELECT open_orders", "listing open orders"),
            republish: batch("publish again", "publishing an order's events again"),
            audit: read("SELECT order_audit", "reading the audit"),
        }
    }
}

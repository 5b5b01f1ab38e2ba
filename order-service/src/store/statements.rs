//! The telemetry of the operations. The summaries are the same on every database, however many statements an operation
//! takes there.

use sql::statements::{Query, Statement, Statements};

/// One prepared span and measurement per operation of a store.
#[derive(Clone, Debug)]
pub(super) struct OrderStatements {
    pub(super) place: Statement,
    pub(super) placed_before: Statement,
    pub(super) apply: Statement,
    pub(super) cancel: Statement,
    pub(super) get: Statement,
    pub(super) list: Statement,
    pub(super) history: Statement,
    pub(super) versions: Statement,
}

impl OrderStatements {
    pub(super) fn new(statements: &Statements) -> Self {
        let several = |summary| statements.prepare(Query::transaction(summary));
        let orders = |summary| statements.prepare(Query::on(summary, "SELECT", "orders"));
        let history = Query::on("SELECT order_events", "SELECT", "order_events");
        Self {
            place: several("place orders"),
            placed_before: orders("SELECT orders by request"),
            apply: several("apply outcomes"),
            cancel: several("request cancellations"),
            get: orders("SELECT orders by id"),
            list: orders("SELECT orders by customer"),
            history: statements.prepare(history),
            versions: orders("SELECT orders versions"),
        }
    }
}

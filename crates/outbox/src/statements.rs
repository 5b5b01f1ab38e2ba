//! The statements on the outbox table, prepared for measuring.

use sql::statements::{Query, Statement, Statements};

/// One prepared statement per operation of an outbox. The relay polls outside of any trace, so these calls are measured
/// and rarely have a span.
#[derive(Clone, Debug)]
pub(crate) struct OutboxStatements {
    pub(crate) read: Statement,
    pub(crate) delete: Statement,
    pub(crate) backlog: Statement,
}

impl OutboxStatements {
    pub(crate) fn new(statements: &Statements) -> Self {
        Self {
            read: statements.prepare(Query::on("SELECT outbox", "SELECT", "outbox")),
            delete: statements.prepare(Query::on("DELETE outbox", "DELETE", "outbox")),
            backlog: statements.prepare(Query::on("SELECT outbox backlog", "SELECT", "outbox")),
        }
    }
}

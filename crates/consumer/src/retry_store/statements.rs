//! The statements of the retry store, prepared for telemetry once per engine.

use sql::statements::{Query, Statement, Statements};

/// One per call of [`super::RetryStore`]. What an operator does is rare and not observed.
#[derive(Clone, Debug)]
pub(super) struct RetryStatements {
    pub(super) begin_session: Statement,
    pub(super) end_session: Statement,
    pub(super) count_attempt: Statement,
    pub(super) forget_attempts: Statement,
    pub(super) store: Statement,
    pub(super) store_behind: Statement,
    pub(super) claim: Statement,
    pub(super) settle: Statement,
}

impl RetryStatements {
    pub(super) fn new(statements: &Statements) -> Self {
        let prepare = |summary| statements.prepare(Query::transaction(summary));
        Self {
            begin_session: prepare("begin partition session"),
            end_session: prepare("end partition session"),
            count_attempt: prepare("count attempt"),
            forget_attempts: prepare("forget attempts"),
            store: prepare("store retry event"),
            store_behind: prepare("store retry event behind"),
            claim: prepare("claim retry events"),
            settle: prepare("settle retry event"),
        }
    }
}

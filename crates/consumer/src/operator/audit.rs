//! `audit`: redrives and skips, latest first.

use serde_json::json;

use super::text::{self, Table};
use super::{Operator, OperatorError};
use crate::operator::arguments::Audit;
use crate::retry_store::operations::AuditEntry;

impl Operator<'_> {
    pub(super) async fn audit(&mut self, arguments: &Audit) -> Result<(), OperatorError> {
        let entries = self.events.audit(arguments.limit).await?;
        if arguments.json {
            for entry in &entries {
                writeln!(self.output, "{}", json(entry))?;
            }
            return Ok(());
        }
        if entries.is_empty() {
            return Ok(writeln!(self.output, "nothing was redriven or skipped")?);
        }
        let mut table = Table::with_head(["AT", "ACTOR", "ACTION", "ID", "KEY", "DETAIL"]);
        for entry in &entries {
            table.push([
                text::time(entry.at),
                text::printable(&entry.actor),
                entry.action.to_lowercase(),
                entry.event_id.to_string(),
                text::key(entry.key.as_deref()),
                text::printable(&entry.detail),
            ]);
        }
        Ok(table.write(self.output)?)
    }
}

fn json(entry: &AuditEntry) -> serde_json::Value {
    json!({
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action.to_lowercase(),
        "id": entry.event_id,
        "key": entry.key.as_deref().map(text::bytes),
        "detail": entry.detail,
    })
}

//! `audit`: redrives and skips, latest first.

use std::io::Write;

use serde_json::json;

use super::OperatorError;
use super::text::{self, Table};
use crate::operator::arguments::Audit;
use crate::retry_store::operations::{AuditEntry, Operations};

pub(super) async fn audit(
    arguments: &Audit,
    events: &dyn Operations,
    output: &mut (dyn Write + Send),
) -> Result<(), OperatorError> {
    let entries = events.audit(arguments.limit).await?;
    if arguments.json {
        for entry in &entries {
            writeln!(output, "{}", json(entry))?;
        }
        return Ok(());
    }
    if entries.is_empty() {
        return Ok(writeln!(output, "nothing was redriven or skipped")?);
    }
    let mut table = Table::with_head(["AT", "ACTOR", "ACTION", "ID", "KEY", "DETAIL"]);
    for entry in &entries {
        table.push(row(entry));
    }
    Ok(table.write(output)?)
}

fn row(entry: &AuditEntry) -> [String; 6] {
    [
        text::time(entry.at),
        text::printable(&entry.actor),
        entry.action.to_lowercase(),
        entry.event_id.to_string(),
        text::key(entry.key.as_deref()),
        text::printable(&entry.detail),
    ]
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

//! A history entry as text or JSON.

use proto::orders::v1::OrderHistoryEntry;
use serde_json::{Value, json};

use super::orders::time;
use super::output;
use crate::client::vocabulary::{rejection_name, status_name};

pub(super) fn print(entry: &OrderHistoryEntry, as_json: bool) {
    if as_json {
        output::line(json(entry));
    } else {
        output::line(row(entry));
    }
}

fn row(entry: &OrderHistoryEntry) -> String {
    let at = time(entry.occur_time.as_ref()).unwrap_or_default();
    let status = status_name(entry.status);
    let reason = match entry.rejection_reason {
        0 => String::new(),
        reason => format!(" ({})", rejection_name(reason)),
    };
    format!(
        "{:>3}  {at}  {:<22} {status}{reason}",
        entry.version, entry.event_type
    )
}

fn json(entry: &OrderHistoryEntry) -> Value {
    let is_rejected = entry.rejection_reason != 0;
    json!({
        "order_id": entry.order_id,
        "version": entry.version,
        "event_type": entry.event_type,
        "status": status_name(entry.status),
        "occur_time": time(entry.occur_time.as_ref()),
        "rejection_reason": is_rejected.then(|| rejection_name(entry.rejection_reason)),
    })
}

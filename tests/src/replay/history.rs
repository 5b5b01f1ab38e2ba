//! The history of one order as seen by the client.

use std::fmt;
use std::time::{Duration, SystemTime};

use proto::orders::v1::{Order, OrderHistoryEntry};

use crate::client::vocabulary::{rejection_name, status_name};

/// One order and its events so far. `Display` shows them as a table, with times relative to the placement.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    pub order_id: String,
    /// The source invoice.
    pub invoice: String,
    /// Number of order lines.
    pub lines: usize,
    /// Events in version order.
    pub entries: Vec<OrderHistoryEntry>,
}

impl History {
    /// The history of an order that was just confirmed.
    pub fn new(order: &Order, invoice: &str) -> Self {
        Self {
            order_id: order.order_id.clone(),
            invoice: invoice.to_owned(),
            lines: order.lines.len(),
            entries: Vec::new(),
        }
    }

    pub fn push(&mut self, entry: &OrderHistoryEntry) {
        self.entries.push(entry.clone());
    }

    /// The status after the last event.
    pub fn status(&self) -> i32 {
        self.entries.last().map_or(0, |entry| entry.status)
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "order {} (invoice {}, {} {})",
            self.order_id,
            self.invoice,
            self.lines,
            if self.lines == 1 { "line" } else { "lines" },
        )?;
        let placed = self.entries.first().and_then(occurred);
        for entry in &self.entries {
            let since = placed.zip(occurred(entry));
            let since = since.map_or_else(String::new, |(placed, at)| relative(placed, at));
            let status = status_name(entry.status);
            write!(
                f,
                "  {:>3}  {since:>12}  {:<22} {status}",
                entry.version, entry.event_type
            )?;
            match entry.rejection_reason {
                0 => writeln!(f)?,
                reason => writeln!(f, " ({})", rejection_name(reason))?,
            }
        }
        Ok(())
    }
}

fn occurred(entry: &OrderHistoryEntry) -> Option<SystemTime> {
    SystemTime::try_from(entry.occur_time?).ok()
}

/// The times come from two services with their own clocks, so a difference may be negative.
fn relative(placed: SystemTime, at: SystemTime) -> String {
    let millis = |elapsed: Duration| elapsed.as_secs_f64() * 1000.0;
    match at.duration_since(placed) {
        Ok(later) => format!("+{:.0} ms", millis(later)),
        Err(earlier) => format!("-{:.0} ms", millis(earlier.duration())),
    }
}

#[cfg(test)]
mod tests {
    use proto::orders::v1::{OrderStatus, RejectionReason};

    use super::*;

    #[test]
    fn a_history_is_a_table_with_times_relative_to_the_placement() {
        let placed = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let entry = |version, event: &str, status: OrderStatus, after: u64| OrderHistoryEntry {
            order_id: "0197".into(),
            version,
            event_type: event.into(),
            status: status.into(),
            occur_time: Some((placed + Duration::from_millis(after)).into()),
            rejection_reason: 0,
        };
        let rejected = OrderHistoryEntry {
            rejection_reason: RejectionReason::PaymentDeclined.into(),
            ..entry(3, "OrderRejected", OrderStatus::Rejected, 31)
        };
        let history = History {
            order_id: "0197".into(),
            invoice: "536365".into(),
            lines: 7,
            entries: vec![
                entry(1, "OrderPlaced", OrderStatus::Accepted, 0),
                entry(2, "StockReserved", OrderStatus::Processing, 9),
                rejected,
            ],
        };

        assert_eq!(
            history.to_string(),
            "order 0197 (invoice 536365, 7 lines)\n\
             \x20   1         +0 ms  OrderPlaced            ACCEPTED\n\
             \x20   2         +9 ms  StockReserved          PROCESSING\n\
             \x20   3        +31 ms  OrderRejected          REJECTED (PAYMENT_DECLINED)\n"
        );
    }
}

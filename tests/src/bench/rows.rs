//! Every figure of the table: its key, its meaning, and the target of the design.
//!
//! Targets that need another program are not here: the ratio to other systems, the time of a first demo and of CI.

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct FigureRow {
    /// Of the JSON; a dot nests.
    pub(super) key: &'static str,
    pub(super) what: &'static str,
    pub(super) unit: &'static str,
    pub(super) target: Option<Target>,
}

/// A target of the design, for a machine with two cores that client, servers and services share.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    pub(super) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

const fn plain(key: &'static str, what: &'static str, unit: &'static str) -> FigureRow {
    FigureRow {
        key,
        what,
        unit,
        target: None,
    }
}

const fn aimed(
    key: &'static str,
    what: &'static str,
    unit: &'static str,
    target: Target,
) -> FigureRow {
    FigureRow {
        key,
        what,
        unit,
        target: Some(target),
    }
}

use Target::{AtLeast, AtMost};

/// In the order of the table. "Checked": as shipped, with the availability check; otherwise it is off. "Watched": every
/// order is watched to its end.
pub(super) const ROWS: [FigureRow; 48] = [
    plain("empty_call_per_s", "empty gRPC call", "/s"),
    plain("place_sqlite_per_s", "durable confirmations, SQLite", "/s"),
    plain(
        "place_postgres_per_s",
        "durable confirmations, PostgreSQL",
        "/s",
    ),
    plain(
        "tx_per_request_per_s",
        "  the same, a transaction per request",
        "/s",
    ),
    aimed(
        "place_postgres_of_empty_call",
        "PostgreSQL against an empty call",
        "×",
        AtLeast(0.40),
    ),
    plain(
        "place_sqlite_of_empty_call",
        "SQLite against an empty call",
        "×",
    ),
    plain(
        "place_postgres_of_tx_per_request",
        "group commit against a transaction per request",
        "×",
    ),
    aimed(
        "end_to_end_per_s",
        "orders to their final state, 256 callers",
        "/s",
        AtLeast(4_500.0),
    ),
    plain("end_to_end_64_per_s", "  64 callers", "/s"),
    aimed(
        "end_to_end_checked_per_s",
        "  checked, 256 callers",
        "/s",
        AtLeast(3_500.0),
    ),
    plain("end_to_end_checked_64_per_s", "  checked, 64 callers", "/s"),
    aimed(
        "end_to_end_watched_per_s",
        "  watched, 128 callers",
        "/s",
        AtLeast(3_000.0),
    ),
    plain("cpu_us_per_order.total", "CPU per order, 256 callers", "µs"),
    plain("cpu_us_per_order.driver", "  client", "µs"),
    plain("cpu_us_per_order.broker", "  Apache Kafka", "µs"),
    plain("cpu_us_per_order.order-service", "  order-service", "µs"),
    plain("cpu_us_per_order.database", "  PostgreSQL", "µs"),
    plain(
        "cpu_us_per_order.processing-service",
        "  processing-service",
        "µs",
    ),
    plain(
        "cpu_us_per_order_64.total",
        "CPU per order, 64 callers",
        "µs",
    ),
    plain(
        "cpu_us_per_order_checked.total",
        "CPU per order, checked",
        "µs",
    ),
    plain(
        "cpu_us_per_order_checked.order-service",
        "  order-service",
        "µs",
    ),
    plain(
        "cpu_us_per_order_checked.processing-service",
        "  processing-service",
        "µs",
    ),
    plain(
        "cpu_us_per_order_watched.total",
        "CPU per order, watched",
        "µs",
    ),
    plain("cpu_us_per_order_watched.driver", "  client", "µs"),
    plain(
        "cpu_us_per_order_watched.order-service",
        "  order-service",
        "µs",
    ),
    plain("cpu_us_per_order_watched.database", "  PostgreSQL", "µs"),
    plain("wal_bytes_per_order", "WAL per order, both databases", "B"),
    plain(
        "fsyncs_per_order",
        "syncs of the WAL per order, 256 callers",
        "",
    ),
    plain("fsyncs_per_order_64", "  64 callers", ""),
    aimed(
        "rss_mib.order-service",
        "resident memory, order-service",
        "MiB",
        AtMost(64.0),
    ),
    aimed(
        "rss_mib.processing-service",
        "  processing-service",
        "MiB",
        AtMost(64.0),
    ),
    aimed(
        "relay_ms.p50",
        "commit to acknowledgement, 100 orders/s, p50",
        "ms",
        AtMost(5.0),
    ),
    plain("relay_ms.p99", "  p99", "ms"),
    plain("relay_drain_per_s", "backlog of the relay", "/s"),
    plain("consumer_per_s", "backlog of processing-service", "/s"),
    plain("outcomes_per_s", "backlog of order-service (orders)", "/s"),
    plain("backlog_per_s", "backlog of the whole system", "/s"),
    plain(
        "confirmed_ms_at_100.p50",
        "call to confirmation, 100 orders/s, p50",
        "ms",
    ),
    plain("confirmed_ms_at_100.p99", "  p99", "ms"),
    aimed(
        "fulfilled_ms_at_100.p50",
        "call to final state, 100 orders/s, p50",
        "ms",
        AtMost(25.0),
    ),
    plain("fulfilled_ms_at_100.p99", "  p99", "ms"),
    plain(
        "confirmed_ms_at_1000.p50",
        "call to confirmation, 1,000 orders/s, p50",
        "ms",
    ),
    plain("confirmed_ms_at_1000.p99", "  p99", "ms"),
    plain(
        "fulfilled_ms_at_1000.p50",
        "call to final state, 1,000 orders/s, p50",
        "ms",
    ),
    plain("fulfilled_ms_at_1000.p99", "  p99", "ms"),
    plain(
        "ready_ms.order-service",
        "start to ready, order-service",
        "ms",
    ),
    plain("ready_ms.processing-service", "  processing-service", "ms"),
    plain("rss_mib.broker", "resident memory, Apache Kafka", "MiB"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_figure_has_two_rows() {
        let keys: BTreeSet<_> = ROWS.iter().map(|row| row.key).collect();

        assert_eq!(keys.len(), ROWS.len());
    }

    #[test]
    fn a_bound_is_met_at_its_value() {
        assert!(AtLeast(2.0).is_met(2.0) && !AtLeast(2.0).is_met(1.9));
        assert!(AtMost(2.0).is_met(2.0) && !AtMost(2.0).is_met(2.1));
    }
}

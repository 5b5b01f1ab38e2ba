//! Checks the telemetry names against the semantic conventions, and emitted telemetry against the names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

mod checker;
mod emitted;
mod events;
mod process;
mod recording;
mod table;

use table::Table;
use telemetry::names::{metrics, spans};
use telemetry::vocabulary::{Metric, NameOrigin, SpanType};

/// The spans by their names in the table.
const SPANS: [(&str, &SpanType); 7] = [
    ("rpc.server", &spans::RPC_SERVER),
    ("rpc.client", &spans::RPC_CLIENT),
    ("send", &spans::SEND),
    ("poll", &spans::POLL),
    ("process", &spans::PROCESS),
    ("commit", &spans::COMMIT),
    ("database", &spans::DATABASE),
];

fn of_conventions() -> impl Iterator<Item = &'static Metric> {
    let is_one = |metric: &&Metric| metric.source == NameOrigin::Conventions;
    metrics::ALL.iter().filter(is_one)
}

#[test]
fn every_metric_of_the_conventions_conforms_to_them() {
    let table = Table::read();

    let faults: Vec<_> = of_conventions()
        .flat_map(|metric| table.faults_of_metric(metric))
        .collect();

    assert_eq!(of_conventions().count(), 14);
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_span_of_the_conventions_conforms_to_them() {
    let table = Table::read();

    let faults: Vec<_> = SPANS
        .iter()
        .flat_map(|(name, span)| table.faults_of_span(name, span))
        .collect();

    let of_conventions = spans::ALL
        .iter()
        .filter(|span| span.source == NameOrigin::Conventions);
    assert_eq!(of_conventions.count(), SPANS.len());
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_wrong_name_unit_instrument_boundary_type_or_missing_attribute_is_found() {
    use telemetry::vocabulary::{Instrument, ValueType, always};
    let table = Table::read();
    let good = metrics::RPC_SERVER_CALL_DURATION;
    let wrong_type = {
        let mut used = good.attributes.to_vec();
        used[0].attribute.value = ValueType::Int;
        &*used.leak()
    };
    let foreign = vec![
        good.attributes[0],
        always(telemetry::names::attributes::MESSAGING_KAFKA_OFFSET),
    ]
    .leak();

    let name = "rpc.server.duration";
    for broken in [
        Metric { name, ..good },
        Metric { unit: "ms", ..good },
        Metric {
            instrument: Instrument::Counter,
            ..good
        },
        Metric {
            instrument: Instrument::Histogram(&[0.005, 1.0]),
            ..good
        },
        Metric {
            attributes: wrong_type,
            ..good
        },
        Metric {
            attributes: foreign,
            ..good
        },
        Metric {
            attributes: &good.attributes[1..],
            ..good
        },
    ] {
        assert_eq!(table.faults_of_metric(&broken).len(), 1, "{broken:?}");
    }
    assert!(table.faults_of_metric(&good).is_empty());
}

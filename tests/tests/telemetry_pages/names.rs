//! All names of the crates and of both services.

use std::collections::BTreeMap;

use order_service::names as of_orders;
use processing_service::names as of_processing;
use telemetry::names as shared;
use telemetry::vocabulary::{Addition, Attribute, Metric, SpanType, Use};

pub(crate) fn metrics() -> Vec<Metric> {
    [shared::metrics::ALL, of_orders::metrics::ALL].concat()
}

/// Each span type with the attributes that services add to it.
pub(crate) fn spans() -> Vec<(&'static SpanType, Vec<Use>)> {
    let crates = shared::spans::ALL.iter();
    let all = crates.chain(&of_processing::spans::ALL);
    all.map(|span| (*span, uses(span))).collect()
}

fn uses(span: &'static SpanType) -> Vec<Use> {
    let to_this = |addition: &&Addition| std::ptr::eq(addition.to, span);
    let added = of_orders::spans::ADDITIONS.iter().filter(to_this);
    let added = added.flat_map(|addition| addition.attributes);
    span.attributes.iter().chain(added).copied().collect()
}

/// Each attribute once, by name. One that two services define must be the same in both.
pub(crate) fn attributes() -> Vec<Attribute> {
    let mut by_name = BTreeMap::new();
    let of_metrics = metrics().into_iter().flat_map(|metric| metric.attributes);
    let of_spans = spans();
    let of_spans = of_spans.iter().flat_map(|(_, uses)| uses);
    for used in of_metrics.chain(of_spans) {
        let attribute = used.attribute;
        let known = by_name.insert(attribute.name, attribute);
        assert!(
            known.is_none_or(|known| known == attribute),
            "two meanings of {}",
            attribute.name
        );
    }
    by_name.into_values().collect()
}

//! The semantic conventions of the names used here, from conventions/1.42.json, which documents its generation.

use std::collections::BTreeMap;

use serde::Deserialize;
use telemetry::vocabulary::{
    Instrument, Metric, NameOrigin, Requirement, SpanType, Use, ValueType,
};

/// Attributes used where the conventions do not list them, with the reason.
const BEYOND: [(&str, &str, &str); 0] = [];

/// Requirement level by attribute.
type Levels = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
pub(crate) struct Table {
    types: BTreeMap<String, String>,
    metrics: BTreeMap<String, MetricRow>,
    spans: BTreeMap<String, SpanRow>,
}

#[derive(Debug, Deserialize)]
struct MetricRow {
    instrument: String,
    unit: String,
    boundaries: Option<Vec<f64>>,
    attributes: Levels,
}

#[derive(Debug, Deserialize)]
struct SpanRow {
    kind: String,
    attributes: Levels,
}

impl Table {
    pub(crate) fn read() -> Self {
        serde_json::from_str(include_str!("conventions/1.42.json")).unwrap()
    }

    /// The differences between the metric and the conventions.
    pub(crate) fn faults_of_metric(&self, metric: &Metric) -> Vec<String> {
        let name = metric.name;
        let Some(row) = self.metrics.get(name) else {
            return vec![format!("{name}: unknown")];
        };
        let mut faults = self.faults_of_attributes(name, metric.attributes, &row.attributes);
        if metric.unit != row.unit {
            faults.push(format!("{name}: unit {} is not {}", metric.unit, row.unit));
        }
        let (instrument, boundaries) = match metric.instrument {
            Instrument::Counter => ("counter", None),
            Instrument::UpDownCounter => ("updowncounter", None),
            Instrument::Gauge => ("gauge", None),
            Instrument::Histogram(boundaries) => ("histogram", Some(boundaries.to_vec())),
        };
        if instrument != row.instrument {
            faults.push(format!("{name}: {instrument} is not {}", row.instrument));
        } else if boundaries != row.boundaries {
            faults.push(format!("{name}: boundaries {boundaries:?}"));
        }
        faults
    }

    /// The differences between the span and the entry of this name.
    pub(crate) fn faults_of_span(&self, name: &str, span: &SpanType) -> Vec<String> {
        let row = &self.spans[name];
        let mut faults = self.faults_of_attributes(name, span.attributes, &row.attributes);
        let kind = format!("{:?}", span.kind).to_lowercase();
        if kind != row.kind {
            faults.push(format!("{name}: {kind} is not {}", row.kind));
        }
        faults
    }

    fn faults_of_attributes(&self, of: &str, uses: &[Use], levels: &Levels) -> Vec<String> {
        let required = levels.iter().filter(|(_, level)| *level == "required");
        let missing = required.filter(|(name, _)| {
            let is_there = |used: &&Use| used.attribute.name == **name;
            let used = uses.iter().find(is_there);
            used.is_none_or(|used| used.requirement != Requirement::Required)
        });
        let missing = missing.map(|(name, _)| format!("{of}: {name} is required"));
        let wrong = uses
            .iter()
            .filter_map(|used| self.fault_of(of, used, levels));
        missing.chain(wrong).collect()
    }

    fn fault_of(&self, of: &str, used: &Use, levels: &Levels) -> Option<String> {
        let attribute = used.attribute;
        let name = attribute.name;
        if attribute.source == NameOrigin::Own {
            return None;
        }
        let is_excused = BEYOND
            .iter()
            .any(|(on, what, _)| (*on, *what) == (of, name));
        if !levels.contains_key(name) && !is_excused {
            return Some(format!("{of}: {name} does not belong to it"));
        }
        let value = match attribute.value {
            ValueType::Text => "string",
            ValueType::Int => "int",
            ValueType::Flag => "boolean",
        };
        let expected = self.types.get(name).map_or("string", String::as_str);
        (value != expected).then(|| format!("{of}: {name} is not {value}"))
    }
}

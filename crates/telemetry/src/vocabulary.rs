//! Definitions of attributes, metrics and spans. All telemetry is created from one of these, so unit, boundaries and kind
//! are defined once, and the reference page is generated from the same values.

use std::sync::Arc;

pub use opentelemetry::trace::SpanKind;
use opentelemetry::{KeyValue, StringValue, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOrigin {
    /// The semantic conventions of OpenTelemetry, in the version that the crate `opentelemetry-semantic-conventions` has.
    Conventions,
    /// This project, for names that the conventions lack.
    Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    Text,
    Int,
    Flag,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: &'static str,
    pub value: ValueType,
    /// One sentence for the reference page.
    pub brief: &'static str,
    pub source: NameOrigin,
}

impl Attribute {
    pub const fn of_conventions(name: &'static str, value: ValueType, brief: &'static str) -> Self {
        Self {
            name,
            value,
            brief,
            source: NameOrigin::Conventions,
        }
    }

    pub const fn own(name: &'static str, value: ValueType, brief: &'static str) -> Self {
        Self {
            name,
            value,
            brief,
            source: NameOrigin::Own,
        }
    }

    /// Any value of its type: for spans and links.
    pub fn of(&self, value: impl Into<Value>) -> KeyValue {
        let value = value.into();
        debug_assert!(self.accepts(&value), "{} is not {value:?}", self.name);
        KeyValue::new(self.name, value)
    }

    /// A constant value: for metrics.
    pub fn label(&self, value: &'static str) -> Label {
        Label(self.of(value))
    }

    /// A value from a set that is fixed before the first call: configuration, methods, topics.
    pub fn known(&self, value: &Arc<str>) -> Label {
        Label(self.of(StringValue::from(Arc::clone(value))))
    }

    /// A number with few distinct values per process: a partition or a port.
    pub fn numbered(&self, value: i32) -> Label {
        Label(match self.value {
            ValueType::Int => self.of(i64::from(value)),
            _ => self.of(value.to_string()),
        })
    }

    fn accepts(&self, value: &Value) -> bool {
        matches!(
            (self.value, value),
            (ValueType::Text, Value::String(_))
                | (ValueType::Int, Value::I64(_))
                | (ValueType::Flag, Value::Bool(_))
        )
    }
}

/// An attribute value that a metric may carry. It cannot be created from request text: an id as a label would create one
/// time series per order.
#[derive(Clone, Debug, PartialEq)]
pub struct Label(KeyValue);

/// The attributes of a measurement; created once, used often.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels(Vec<KeyValue>);

impl Labels {
    pub fn of(labels: impl IntoIterator<Item = Label>) -> Self {
        Self(labels.into_iter().map(|label| label.0).collect())
    }

    #[must_use]
    pub fn and(&self, label: Label) -> Self {
        let mut labels = self.clone();
        labels.0.push(label.0);
        labels
    }

    pub(super) fn as_slice(&self) -> &[KeyValue] {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    Required,
    /// Present under this condition.
    If(&'static str),
}

/// An attribute of a metric or a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    pub attribute: Attribute,
    pub requirement: Requirement,
}

pub const fn always(attribute: Attribute) -> Use {
    Use {
        attribute,
        requirement: Requirement::Required,
    }
}

pub const fn sometimes(attribute: Attribute, condition: &'static str) -> Use {
    Use {
        attribute,
        requirement: Requirement::If(condition),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instrument {
    Counter,
    UpDownCounter,
    Gauge,
    /// The upper boundaries of its buckets.
    Histogram(&'static [f64]),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    pub instrument: Instrument,
    /// In UCUM notation.
    pub unit: &'static str,
    /// One sentence for the reference page.
    pub brief: &'static str,
    pub attributes: &'static [Use],
    pub source: NameOrigin,
}

impl Metric {
    /// A metric of this project without attributes.
    const fn own(
        name: &'static str,
        instrument: Instrument,
        unit: &'static str,
        brief: &'static str,
    ) -> Self {
        Self {
            name,
            instrument,
            unit,
            brief,
            attributes: &[],
            source: NameOrigin::Own,
        }
    }

    pub const fn of_conventions(self) -> Self {
        let source = NameOrigin::Conventions;
        Self { source, ..self }
    }

    pub const fn with(self, attributes: &'static [Use]) -> Self {
        Self { attributes, ..self }
    }
}

pub const fn counter(name: &'static str, unit: &'static str, brief: &'static str) -> Metric {
    Metric::own(name, Instrument::Counter, unit, brief)
}

pub const fn up_down_counter(
    name: &'static str,
    unit: &'static str,
    brief: &'static str,
) -> Metric {
    Metric::own(name, Instrument::UpDownCounter, unit, brief)
}

pub const fn gauge(name: &'static str, unit: &'static str, brief: &'static str) -> Metric {
    Metric::own(name, Instrument::Gauge, unit, brief)
}

pub const fn histogram(
    name: &'static str,
    unit: &'static str,
    boundaries: &'static [f64],
    brief: &'static str,
) -> Metric {
    Metric::own(name, Instrument::Histogram(boundaries), unit, brief)
}

#[derive(Clone, Debug)]
pub struct SpanType {
    /// A template with attribute names in braces.
    pub name: &'static str,
    pub kind: SpanKind,
    /// One sentence for the reference page.
    pub brief: &'static str,
    /// Parent and links.
    pub relations: &'static str,
    pub attributes: &'static [Use],
    pub source: NameOrigin,
}

/// Attributes that a service adds to a span of the shared crates.
#[derive(Clone, Copy, Debug)]
pub struct Addition {
    pub to: &'static SpanType,
    pub attributes: &'static [Use],
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: Attribute = Attribute::own("partition", ValueType::Text, "A partition");

    #[test]
    fn a_number_takes_the_type_of_its_attribute() {
        let port = Attribute::own("port", ValueType::Int, "A port");

        assert_eq!(PARTITION.numbered(3).0.value, Value::from("3"));
        assert_eq!(port.numbered(3).0.value, Value::from(3));
    }

    #[test]
    #[should_panic(expected = "partition is not I64(3)")]
    fn a_value_of_the_wrong_type_panics_in_debug_builds() {
        let _ = PARTITION.of(3);
    }
}

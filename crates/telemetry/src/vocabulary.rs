//! What a name in telemetry means: an attribute, a metric, a span. Whatever is emitted is made from one of these, so that
//! its unit, its boundaries and its kind stand in one place, and the reference page is written from the same values.

use std::sync::Arc;

pub use opentelemetry::trace::SpanKind;
use opentelemetry::{KeyValue, StringValue, Value};

/// Where a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The semantic conventions of OpenTelemetry, in the version that the crate `opentelemetry-semantic-conventions` has.
    Conventions,
    /// This project, where the conventions have no name.
    Own,
}

/// The type of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// Text.
    Text,
    /// A whole number.
    Int,
    /// Yes or no.
    Flag,
}

/// An attribute: what it is called, and what its value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// The type of its value.
    pub value: ValueType,
    /// What it says, in a sentence.
    pub brief: &'static str,
    /// Where the name comes from.
    pub source: Source,
}

impl Attribute {
    /// One of the conventions.
    pub const fn of_conventions(name: &'static str, value: ValueType, brief: &'static str) -> Self {
        Self {
            name,
            value,
            brief,
            source: Source::Conventions,
        }
    }

    /// One of this project.
    pub const fn own(name: &'static str, value: ValueType, brief: &'static str) -> Self {
        Self {
            name,
            value,
            brief,
            source: Source::Own,
        }
    }

    /// With any value of its type: for spans and links.
    pub fn of(&self, value: impl Into<Value>) -> KeyValue {
        let value = value.into();
        debug_assert!(self.accepts(&value), "{} is no {value:?}", self.name);
        KeyValue::new(self.name, value)
    }

    /// With a value that stands in the code: for metrics.
    pub fn label(&self, value: &'static str) -> Label {
        Label(self.of(value))
    }

    /// With a value from a list that was closed before the first call: configuration, methods, topics.
    pub fn known(&self, value: &Arc<str>) -> Label {
        Label(self.of(StringValue::from(Arc::clone(value))))
    }

    /// With a small number, of which a process knows few: a partition or a port.
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

/// An attribute with a value that a metric may carry. There is no way to make one from the text of a request: an id as
/// an attribute would make a time series of every order.
#[derive(Clone, Debug, PartialEq)]
pub struct Label(KeyValue);

/// The attributes of a measurement; made once and used often.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels(Vec<KeyValue>);

impl Labels {
    /// These.
    pub fn of(labels: impl IntoIterator<Item = Label>) -> Self {
        Self(labels.into_iter().map(|label| label.0).collect())
    }

    /// These and one more.
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

/// Whether an attribute is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// It is.
    Required,
    /// It is, if this holds.
    If(&'static str),
}

/// An attribute of a metric or a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// The attribute.
    pub attribute: Attribute,
    /// Whether it is always there.
    pub requirement: Requirement,
}

/// An attribute that is always there.
pub const fn always(attribute: Attribute) -> Use {
    Use {
        attribute,
        requirement: Requirement::Required,
    }
}

/// An attribute that is there if something holds.
pub const fn sometimes(attribute: Attribute, condition: &'static str) -> Use {
    Use {
        attribute,
        requirement: Requirement::If(condition),
    }
}

/// How a metric is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instrument {
    /// A sum that only grows.
    Counter,
    /// A sum that grows and shrinks.
    UpDownCounter,
    /// A value as it is now.
    Gauge,
    /// A distribution over buckets with these upper boundaries.
    Histogram(&'static [f64]),
}

/// A metric: everything that is to be known of it but its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it is measured.
    pub instrument: Instrument,
    /// Its unit, as UCUM writes it.
    pub unit: &'static str,
    /// What it says, in a sentence.
    pub brief: &'static str,
    /// Its attributes.
    pub attributes: &'static [Use],
    /// Where the name comes from.
    pub source: Source,
}

/// A kind of span: everything that is to be known of it before one begins.
#[derive(Clone, Debug)]
pub struct SpanType {
    /// Its name, with the attributes in braces that it is made of.
    pub name: &'static str,
    /// Its kind.
    pub kind: SpanKind,
    /// What it covers, in a sentence.
    pub brief: &'static str,
    /// Its parent and its links.
    pub relations: &'static str,
    /// Its attributes.
    pub attributes: &'static [Use],
    /// Where the name comes from.
    pub source: Source,
}

/// What a service adds to a kind of span that the chassis makes.
#[derive(Clone, Copy, Debug)]
pub struct Addition {
    /// The span.
    pub to: &'static SpanType,
    /// The attributes that it has beside its own.
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
    #[should_panic(expected = "partition is no I64(3)")]
    fn a_value_of_another_type_is_a_defect() {
        let _ = PARTITION.of(3);
    }
}

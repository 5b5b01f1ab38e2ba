//! Attributes: names with values of a few types.

use std::collections::BTreeMap;
use std::fmt;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// By name.
pub type Attributes = BTreeMap<String, Value>;

/// What an attribute says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Flag(bool),
    /// Something that the services do not send: nothing, bytes, a list or a map.
    Other,
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.pad(text),
            Self::Int(number) => number.fmt(formatter),
            Self::Float(number) => number.fmt(formatter),
            Self::Flag(flag) => flag.fmt(formatter),
            Self::Other => formatter.pad("?"),
        }
    }
}

pub(super) fn attributes(pairs: Vec<KeyValue>) -> Attributes {
    let pairs = pairs.into_iter();
    pairs
        .map(|pair| (pair.key, value(pair.value.and_then(|value| value.value))))
        .collect()
}

pub(super) fn value(value: Option<any_value::Value>) -> Value {
    use any_value::Value as Sent;
    match value {
        Some(Sent::StringValue(text)) => Value::Text(text),
        Some(Sent::IntValue(number)) => Value::Int(number),
        Some(Sent::DoubleValue(number)) => Value::Float(number),
        Some(Sent::BoolValue(flag)) => Value::Flag(flag),
        _ => Value::Other,
    }
}

/// `service.name`.
pub(super) fn service(resource: Option<Resource>) -> String {
    let attributes = attributes(
        resource
            .map(|resource| resource.attributes)
            .unwrap_or_default(),
    );
    let name = attributes.get("service.name");
    name.map(ToString::to_string).unwrap_or_default()
}

//! Attributes: names with typed values.

use std::collections::BTreeMap;
use std::fmt;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// Values by name.
pub type Attributes = BTreeMap<String, AttributeValue>;

/// An attribute value.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    Text(String),
    Int(i64),
    Float(f64),
    Flag(bool),
    /// A type that the services do not send: empty, bytes, a list or a map.
    Other,
}

impl fmt::Display for AttributeValue {
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

pub(super) fn value(value: Option<any_value::Value>) -> AttributeValue {
    use any_value::Value as Sent;
    match value {
        Some(Sent::StringValue(text)) => AttributeValue::Text(text),
        Some(Sent::IntValue(number)) => AttributeValue::Int(number),
        Some(Sent::DoubleValue(number)) => AttributeValue::Float(number),
        Some(Sent::BoolValue(flag)) => AttributeValue::Flag(flag),
        _ => AttributeValue::Other,
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

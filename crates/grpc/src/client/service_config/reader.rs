//! Reads a JSON document field by field, so that an error names its path.

use std::time::Duration;

use serde_json::Value;
use tonic::Code;

use crate::status::code_name;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: expected {expected}")]
pub struct ServiceConfigError {
    /// Path such as `methodConfig[0].retryPolicy.maxAttempts`.
    pub path: String,
    pub expected: &'static str,
}

/// Status codes are numbered from 0 to 16.
const CODES: i32 = 17;

pub(super) fn parse_json(text: &str) -> Result<Value, ServiceConfigError> {
    serde_json::from_str(text).map_err(|error| ServiceConfigError {
        path: format!("line {} column {}", error.line(), error.column()),
        expected: "valid JSON",
    })
}

/// A value and its path; a missing field is null, as in JSON for protobuf.
pub(super) struct Field<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Field<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        let path = String::new();
        Self { path, value }
    }

    pub(super) fn wrong(&self, expected: &'static str) -> ServiceConfigError {
        let path = self.path.clone();
        ServiceConfigError { path, expected }
    }

    /// The field of this name; null if it is missing.
    pub(super) fn child(&self, name: &str) -> Self {
        let separator = if self.path.is_empty() { "" } else { "." };
        Self {
            path: format!("{}{separator}{name}", self.path),
            value: self.value.get(name).unwrap_or(&Value::Null),
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<Self> {
        Some(self.child(name)).filter(|field| !field.value.is_null())
    }

    pub(super) fn need(&self, name: &str) -> Result<Self, ServiceConfigError> {
        let child = self.child(name);
        if child.value.is_null() {
            return Err(child.wrong("a value"));
        }
        Ok(child)
    }

    /// The elements of the list of this name; none if it is missing.
    pub(super) fn elements(&self, name: &str) -> Result<Vec<Self>, ServiceConfigError> {
        if !self.value.is_object() {
            return Err(self.wrong("an object"));
        }
        let list = self.child(name);
        let values = match list.value {
            Value::Null => return Ok(Vec::new()),
            Value::Array(values) => values,
            _ => return Err(list.wrong("a list")),
        };
        let elements = values.iter().enumerate().map(|(index, value)| Self {
            path: format!("{}[{index}]", list.path),
            value,
        });
        Ok(elements.collect())
    }

    pub(super) fn text(&self) -> Result<&'a str, ServiceConfigError> {
        self.value.as_str().ok_or_else(|| self.wrong("a text"))
    }

    pub(super) fn whole_number(&self, expected: &'static str) -> Result<u32, ServiceConfigError> {
        // JSON has one number type: 4.0 is 4.
        let number = self
            .value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(number));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number in these bounds"
        )]
        let whole = number.map(|number| number as u32);
        whole.ok_or_else(|| self.wrong(expected))
    }

    pub(super) fn positive_number(&self) -> Result<f64, ServiceConfigError> {
        let number = self.value.as_f64().filter(|number| *number > 0.0);
        number.ok_or_else(|| self.wrong("a number greater than 0"))
    }

    /// A number greater than zero in thousandths: three decimals count (gRFC A6).
    pub(super) fn thousandths(&self) -> Result<i64, ServiceConfigError> {
        let thousandths = (self.positive_number()? * 1_000.0).floor();
        if !(1.0..=1e9).contains(&thousandths) {
            return Err(self.wrong("a number from 0.001 to 1000000"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a whole number in these bounds"
        )]
        Ok(thousandths as i64)
    }

    /// Seconds with up to nine decimals and an `s` (JSON for protobuf).
    pub(super) fn duration(&self) -> Result<Duration, ServiceConfigError> {
        let parsed = self.value.as_str().and_then(parse_duration);
        parsed.ok_or_else(|| self.wrong("a duration such as \"0.25s\""))
    }

    /// By name or number.
    pub(super) fn code(&self) -> Result<Code, ServiceConfigError> {
        let mut codes = (0..CODES).map(Code::from_i32);
        let code = codes.find(|code| match self.value {
            Value::String(text) => text.eq_ignore_ascii_case(code_name(*code)),
            value => value.as_i64() == Some(i32::from(*code).into()),
        });
        code.ok_or_else(|| self.wrong("a status code such as \"UNAVAILABLE\""))
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let (seconds, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let are_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(seconds) || !are_digits(decimals) || decimals.len() > 9 {
        return None;
    }
    let nanos: u32 = format!("{decimals:0<9}").parse().ok()?;
    Some(Duration::new(seconds.parse().ok()?, nanos))
}

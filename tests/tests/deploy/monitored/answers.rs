//! What Prometheus answers to a query.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::server::get;

/// One element of the answer to an instant query.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sample {
    #[serde(rename = "metric")]
    pub(crate) labels: BTreeMap<String, String>,
    value: (f64, String),
}

impl Sample {
    /// Not NaN, as a quantile of nothing is, and not infinite, as the age of nothing may be.
    pub(crate) fn is_finite(&self) -> bool {
        self.value.1.parse().is_ok_and(f64::is_finite)
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Vector {
    result: Vec<Sample>,
}

/// Evaluates a query that returns an instant vector.
pub(crate) async fn ask(prometheus: SocketAddr, expression: &str) -> Result<Vec<Sample>> {
    let path = format!("/api/v1/query?query={}", encoded(expression));
    let answer = get(prometheus, &path, "*/*").await;
    let answer = answer.with_context(|| expression.to_owned())?;
    let answer: Answer<Vector> = serde_json::from_str(&answer)?;
    Ok(answer.data.result)
}

/// The labels of the exemplars of a query.
pub(crate) async fn exemplar_labels(
    prometheus: SocketAddr,
    expression: &str,
) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Group {
        exemplars: Vec<Exemplar>,
    }
    #[derive(Deserialize)]
    struct Exemplar {
        labels: BTreeMap<String, String>,
    }
    // A range that includes every time.
    let range = "start=0&end=9999999999";
    let path = format!(
        "/api/v1/query_exemplars?{range}&query={}",
        encoded(expression)
    );
    let answer: Answer<Vec<Group>> = serde_json::from_str(&get(prometheus, &path, "*/*").await?)?;
    let exemplars = answer.data.into_iter().flat_map(|group| group.exemplars);
    Ok(exemplars.flat_map(|it| it.labels.into_keys()).collect())
}

/// Percent-encoding of everything but letters and digits.
fn encoded(text: &str) -> String {
    let of_byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(of_byte).collect()
}

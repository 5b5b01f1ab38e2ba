//! The figures of a run: a value per round, by key. A dot in a key nests it in the JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::closed_loop::median;

#[derive(Clone, Debug, Default)]
pub(super) struct Figures(BTreeMap<String, Vec<f64>>);

/// The median of a figure over the rounds, with its extremes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RoundSpread {
    pub(super) lowest: f64,
    pub(super) median: f64,
    pub(super) highest: f64,
}

impl Figures {
    /// Adds the value of a round.
    pub(super) fn add(&mut self, key: impl Into<String>, value: f64) {
        self.0.entry(key.into()).or_default().push(value);
    }

    /// Adds the median and the 99th percentile of a round, as `KEY.p50` and `KEY.p99`.
    pub(super) fn add_quantiles(&mut self, key: &str, mut values: Vec<f64>) {
        values.sort_by(f64::total_cmp);
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            let last = values.len().saturating_sub(1) as f64;
            if let Some(value) = values.get((last * quantile).round() as usize) {
                self.add(format!("{key}.{name}"), *value);
            }
        }
    }

    /// Adds the ratio of the last values of two figures: both are of the same round.
    pub(super) fn add_ratio(&mut self, key: &str, of: &str, to: &str) {
        let last = |key| self.0.get(key).and_then(|values| values.last()).copied();
        if let (Some(of), Some(to)) = (last(of), last(to)) {
            self.add(key, of / to);
        }
    }

    /// `None` for a figure that was not measured.
    pub(super) fn spread(&self, key: &str) -> Option<RoundSpread> {
        let values = self.0.get(key)?;
        let fold = |choose: fn(f64, f64) -> f64| values.iter().copied().reduce(choose);
        Some(RoundSpread {
            lowest: fold(f64::min)?,
            median: median(values.clone()),
            highest: fold(f64::max)?,
        })
    }

    pub(super) fn rounds(&self) -> usize {
        self.0.values().map(Vec::len).max().unwrap_or_default()
    }

    /// The medians, and under `rounds` the values that they are of.
    pub(super) fn to_json(&self) -> Value {
        let mut medians = Map::new();
        for (key, values) in &self.0 {
            insert(&mut medians, key, json!(rounded(median(values.clone()))));
        }
        let rounds = self.0.iter();
        let rounds = rounds.map(|(key, values)| {
            let values: Vec<_> = values.iter().copied().map(rounded).collect();
            (key.clone(), json!(values))
        });
        medians.insert("rounds".to_owned(), Value::Object(rounds.collect()));
        Value::Object(medians)
    }
}

fn insert(object: &mut Map<String, Value>, key: &str, value: Value) {
    let Some((outer, inner)) = key.split_once('.') else {
        object.insert(key.to_owned(), value);
        return;
    };
    let nested = object
        .entry(outer)
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(nested) = nested {
        insert(nested, inner, value);
    }
}

/// To a thousandth.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_its_median_with_its_extremes() {
        let mut figures = Figures::default();
        for value in [5.0, 1.0, 3.0] {
            figures.add("a", value);
        }

        let expected = RoundSpread {
            lowest: 1.0,
            median: 3.0,
            highest: 5.0,
        };
        assert_eq!(figures.spread("a"), Some(expected));
        assert_eq!(figures.spread("b"), None);
    }

    #[test]
    fn a_ratio_is_of_values_of_one_round() {
        let mut figures = Figures::default();
        for (of, to) in [(1.0, 2.0), (30.0, 40.0)] {
            figures.add("of", of);
            figures.add("to", to);
            figures.add_ratio("ratio", "of", "to");
        }

        assert_eq!(figures.0["ratio"], [0.5, 0.75]);
    }

    #[test]
    fn a_dotted_key_is_nested_in_the_json() {
        let mut figures = Figures::default();
        figures.add_quantiles("relay_ms", (0..=100).map(f64::from).collect());
        figures.add("empty_call_per_s", 55_244.123_4);

        let json = figures.to_json();

        assert_eq!(json["relay_ms"], json!({ "p50": 50.0, "p99": 99.0 }));
        assert_eq!(json["empty_call_per_s"], 55_244.123);
        assert_eq!(json["rounds"]["relay_ms.p50"], json!([50.0]));
    }
}

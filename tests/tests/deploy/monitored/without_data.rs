//! The list of what has no data in the test.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::read;

/// `without_data.yaml`.
#[derive(Debug)]
pub(crate) struct WithoutData {
    /// Expressions and series.
    listed: BTreeSet<String>,
    used: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    nothing: String,
    reason: String,
}

impl WithoutData {
    pub(crate) fn read() -> Self {
        let file = read("tests/tests/deploy/monitored/without_data.yaml");
        let entries: Vec<Entry> = serde_saphyr::from_str(&file).unwrap();
        let listed = entries.into_iter().map(|entry| {
            assert!(!entry.reason.is_empty(), "{}", entry.nothing);
            entry.nothing
        });
        Self {
            listed: listed.collect(),
            used: BTreeSet::new(),
        }
    }

    /// Whether it may have no data.
    pub(crate) fn lists(&self, expression: &str) -> bool {
        self.listed.contains(expression.trim())
    }

    /// Whether it may have no data; notes that it has none.
    pub(crate) fn explains(&mut self, expression: &str) -> bool {
        self.used.insert(expression.trim().to_owned());
        self.lists(expression)
    }

    /// The entries that were not needed.
    pub(crate) fn unused(&self) -> Vec<&String> {
        self.listed.difference(&self.used).collect()
    }
}

//! The rule tests of `deploy/observability/prometheus/tests` with recorded series: a rule that asks for a label which the
//! services or the collector write differently does not fire.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::exposition::Series;
use super::without_data::WithoutData;
use crate::manifests::text;
use crate::observability::try_promtool;
use crate::queries::{FOLDER, files};

/// The rule tests that ran.
#[derive(Debug, Default)]
pub(crate) struct RuleTests {
    ran: BTreeSet<String>,
}

impl RuleTests {
    /// Runs all rule tests with the label sets of these recorded series, except those that ran with the same before.
    /// Returns the failures, and the series that were not recorded; they are used as they are written.
    pub(crate) fn run(
        &mut self,
        recorded: &[Series],
        without_data: &mut WithoutData,
        home: &Path,
    ) -> Vec<String> {
        let mut findings = Vec::new();
        for file in files(&format!("{FOLDER}/prometheus/tests"), "yaml") {
            let content = fs::read_to_string(&file).unwrap();
            let mut tests: Value = serde_saphyr::from_str(&content).unwrap();
            for rules in tests["rule_files"].as_array_mut().unwrap() {
                *rules = json!(file.parent().unwrap().join(text(rules)));
            }
            let cases = tests["tests"].as_array_mut().unwrap();
            for case in &mut *cases {
                findings.extend(record(case, recorded, without_data));
            }
            cases.retain(|case| self.ran.insert(case.to_string()));
            // JSON is YAML.
            let copy = home.join(file.with_extension("json").file_name().unwrap());
            fs::write(&copy, tests.to_string()).unwrap();
            findings.extend(try_promtool(&["test", "rules", copy.to_str().unwrap()]).err());
        }
        findings
    }
}

/// Replaces the written series of a test by recorded ones. Returns those that were not recorded.
fn record(case: &mut Value, recorded: &[Series], without_data: &mut WithoutData) -> Vec<String> {
    let mut missing = Vec::new();
    let name = text(&case["name"]);
    for input in case["input_series"].as_array_mut().unwrap() {
        let written = text(&input["series"]);
        match full(&written, recorded) {
            Some(series) => input["series"] = json!(series.to_string()),
            None if without_data.explains(&written) => {}
            None => missing.push(format!("{name}: not exposed: {written}")),
        }
    }
    missing
}

/// The recorded series with the name and the labels of a written one, with all its labels.
fn full<'a>(written: &str, recorded: &'a [Series]) -> Option<&'a Series> {
    let written = Series::parse(written)?;
    recorded.iter().find(|series| series.is(&written))
}

//! The result of a run: all cells, the audit of the hybrid way, and their forms.

use std::path::Path;

use auditor::verdict::Verdict;
use serde::Serialize;

use super::cell::Cell;
use super::findings;
use super::scenario::{CHECKOUT, IN_FLIGHT, PAYMENT, SCENARIOS, Scenario, capacity};
use super::text;
use super::way::Way;
use crate::open_loop::outcomes::millis;
use crate::report::write_json;

/// A run, whole or as far as it came.
#[derive(Debug)]
pub(super) struct Study {
    pub(super) engines: String,
    pub(super) quick: bool,
    pub(super) cells: Vec<Cell>,
    /// Of the orders of the hybrid way; `None` if it did not run to its end.
    pub(super) audit: Option<Verdict>,
}

/// The figures as JSON.
#[derive(Serialize)]
struct Figures<'a> {
    engines: &'a str,
    quick: bool,
    capacity_per_second: f64,
    orders_in_flight: u32,
    payment_ms: f64,
    checkout_ms: f64,
    cells: &'a [Cell],
    findings: Vec<Finding<'a>>,
    audit: Option<Audit>,
}

#[derive(Serialize)]
struct Finding<'a> {
    scenario: &'a str,
    sentences: Vec<String>,
}

#[derive(Serialize)]
struct Audit {
    ok: bool,
    orders: u64,
    violations: Vec<String>,
}

impl Study {
    /// The cells of a scenario, in the order of the ways.
    pub(super) fn cells_of(&self, scenario: &Scenario) -> Vec<&Cell> {
        let cells = self.cells.iter();
        let mut cells: Vec<_> = cells
            .filter(|cell| cell.scenario == scenario.name)
            .collect();
        cells.sort_by_key(|cell| cell.way);
        cells
    }

    /// The scenarios that have figures, with them.
    pub(super) fn blocks(&self) -> Vec<(&'static Scenario, Vec<&Cell>)> {
        let blocks = SCENARIOS
            .iter()
            .map(|scenario| (scenario, self.cells_of(scenario)));
        blocks.filter(|(_, cells)| !cells.is_empty()).collect()
    }

    /// Whether every way went through every scenario.
    pub(super) fn is_whole(&self) -> bool {
        self.cells.len() == SCENARIOS.len() * Way::ALL.len()
    }

    /// What was seen, as text for the terminal.
    pub(super) fn to_text(&self) -> String {
        let blocks = self.blocks();
        let named: Vec<_> = blocks
            .iter()
            .map(|(scenario, cells)| (scenario.name, cells.clone()))
            .collect();
        let mut text = text::table(&named);
        for (scenario, cells) in &blocks {
            let sentences = findings::sentences(cells).join(" ");
            text.push_str(&format!(
                "\n{}: {}\n{sentences}\n",
                scenario.name, scenario.about
            ));
        }
        if let Some(audit) = &self.audit {
            text.push_str(&format!("\nhybrid: {audit}"));
        }
        text
    }

    /// Whether the audit of the hybrid way found no violation. A figure is no failure: it is what was to be found out.
    pub(super) fn passed(&self) -> bool {
        self.audit.as_ref().is_none_or(Verdict::is_ok)
    }

    pub(super) fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let findings = self.blocks().into_iter().map(|(scenario, cells)| Finding {
            scenario: scenario.name,
            sentences: findings::sentences(&cells),
        });
        let figures = Figures {
            engines: &self.engines,
            quick: self.quick,
            capacity_per_second: capacity(),
            orders_in_flight: IN_FLIGHT,
            payment_ms: millis(PAYMENT),
            checkout_ms: millis(CHECKOUT),
            cells: &self.cells,
            findings: findings.collect(),
            audit: self.audit.as_ref().map(|audit| Audit {
                ok: audit.is_ok(),
                orders: audit.orders,
                violations: audit.violations(),
            }),
        };
        write_json(path, &serde_json::to_value(figures)?)
    }
}

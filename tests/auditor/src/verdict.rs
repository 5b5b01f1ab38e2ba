//! The result of an audit: counts and violations per rule, with coordinates.

use std::fmt;

use serde::Serialize;

/// Violations of one check that are listed in full: a defect tends to occur thousands of times.
pub const SPELLED_OUT: usize = 10;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Orders in the database of order-service.
    pub orders: u64,
    /// Orders without a confirmation in the journal: not requested in it, or the call ended unknown.
    pub unknown: u64,
    pub rules: Vec<RuleReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleReport {
    pub rule: &'static str,
    /// Amounts of evidence, which distinguish a rule that found nothing from one that had nothing to check.
    pub counted: Vec<(&'static str, u64)>,
    /// The first violations of each check.
    pub violations: Vec<RuleViolation>,
    /// Number of violations that are not listed.
    pub more: u64,
}

/// A violation and its coordinates, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleViolation {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// The request that placed the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The source invoice of the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice: Option<String>,
    /// TOPIC/PARTITION@OFFSET.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// A sentence whose subject is the order, if there is one.
    pub fault: String,
}

impl Verdict {
    pub fn is_ok(&self) -> bool {
        self.rules.iter().all(RuleReport::is_ok)
    }

    /// A sentence per listed violation, with the name of its rule, and a count of the others.
    pub fn violations(&self) -> Vec<String> {
        self.rules.iter().flat_map(RuleReport::sentences).collect()
    }

    /// The sentences of one rule.
    pub fn violations_of(&self, rule: &str) -> Vec<String> {
        let rules = self.rules.iter().filter(|report| report.rule == rule);
        rules.flat_map(RuleReport::sentences).collect()
    }

    /// A count of a rule; `None` if the rule has no count of this name.
    pub fn counted(&self, rule: &str, what: &str) -> Option<u64> {
        let report = self.rules.iter().find(|report| report.rule == rule)?;
        let (_, count) = report.counted.iter().find(|(name, _)| *name == what)?;
        Some(*count)
    }
}

impl RuleReport {
    pub(crate) fn new(rule: &'static str) -> Self {
        Self {
            rule,
            counted: Vec::new(),
            violations: Vec::new(),
            more: 0,
        }
    }

    pub fn is_ok(&self) -> bool {
        self.violations.is_empty()
    }

    pub(crate) fn count(&mut self, what: &'static str, count: u64) {
        self.counted.push((what, count));
    }

    pub(crate) fn add(&mut self, findings: Findings) {
        self.violations.extend(findings.spelled_out);
        self.more += findings.more;
    }

    fn sentences(&self) -> Vec<String> {
        let violations = self.violations.iter();
        let mut sentences: Vec<_> = violations
            .map(|violation| format!("{}: {violation}", self.rule))
            .collect();
        if self.more > 0 {
            sentences.push(format!(
                "{}: … and {} more like these",
                self.rule, self.more
            ));
        }
        sentences
    }
}

/// The violations of one check: the first ones in full, the others as a number.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    spelled_out: Vec<RuleViolation>,
    more: u64,
}

impl Findings {
    pub(crate) fn add(&mut self, violation: RuleViolation) {
        if self.spelled_out.len() < SPELLED_OUT {
            self.spelled_out.push(violation);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn add_unnamed(&mut self) {
        self.more += 1;
    }
}

impl fmt::Display for RuleViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [("request", &self.request_id), ("invoice", &self.invoice)];
        let known = names
            .iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
        let known = known.collect::<Vec<_>>().join(", ");
        match (&self.order_id, known.is_empty()) {
            (Some(order_id), true) => write!(f, "order {order_id} ")?,
            (Some(order_id), false) => write!(f, "order {order_id} ({known}) ")?,
            (None, true) => {}
            (None, false) => write!(f, "{known} ")?,
        }
        write!(f, "{}", self.fault)?;
        match &self.place {
            Some(place) => write!(f, " [{place}]"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = if self.is_ok() { "green" } else { "red" };
        write!(f, "audit: {colour}, {} orders in the database", self.orders)?;
        match self.unknown {
            0 => writeln!(f, ", all known to the client")?,
            unknown => writeln!(f, ", {unknown} of them unknown to the client")?,
        }
        for report in &self.rules {
            let counted = report.counted.iter();
            let counted: Vec<_> = counted
                .map(|(what, count)| format!("{count} {what}"))
                .collect();
            writeln!(f, "  {:<22} {}", report.rule, counted.join(", "))?;
        }
        for violation in self.violations() {
            writeln!(f, "  {violation}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_names_all_known_coordinates() {
        let text = RuleViolation {
            order_id: Some("0197".into()),
            request_id: Some("r".into()),
            invoice: Some("536365".into()),
            place: Some("topic/3@17".into()),
            fault: "is lost".into(),
        }
        .to_string();

        assert_eq!(
            text,
            "order 0197 (request r, invoice 536365) is lost [topic/3@17]"
        );
    }

    #[test]
    fn many_violations_of_one_check_are_counted() {
        let mut findings = Findings::default();
        (0..25).for_each(|_| findings.add(RuleViolation::default()));
        let mut report = RuleReport::new("rule");
        report.add(findings);

        let sentences = report.sentences();

        assert_eq!(sentences.len(), SPELLED_OUT + 1);
        assert_eq!(sentences[SPELLED_OUT], "rule: … and 15 more like these");
    }
}

//! Collects all field violations of a request for one google.rpc BadRequest.

use std::fmt::Display;

use tonic_types::FieldViolation;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the request message, such as `lines[3].quantity`.
    pub field: String,
    /// The violated rule. It never repeats the value, which may be long, secret or both.
    pub rule: String,
}

/// Bytes of violations in a response. They travel in a trailer, in base64, and clients reject responses with headers
/// above 8 KiB (the default of gRPC-Java, and from there on gRPC core at random).
const LISTED_BYTES: usize = 5 * 1024;

/// Tags and lengths in the protobuf form of an entry.
const OVERHEAD_BYTES: usize = 8;

/// Remaining bytes for a list in the error details.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetailsBudget {
    taken: usize,
}

impl DetailsBudget {
    /// Whether an entry of these texts still fits; takes its bytes. The first entry that does not fit ends the list,
    /// also for smaller ones after it: the client sees a prefix without gaps.
    pub fn take(&mut self, texts: &[&str]) -> bool {
        if self.is_full() {
            return false;
        }
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        self.taken += bytes + OVERHEAD_BYTES;
        !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.taken >= LISTED_BYTES
    }
}

/// The violations of one request, in field order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    listed: Vec<Violation>,
    budget: DetailsBudget,
    total: usize,
}

impl Violations {
    pub fn add(&mut self, field: impl Display, rule: impl Display) {
        self.total += 1;
        if self.budget.is_full() {
            return;
        }
        let (field, rule) = (field.to_string(), rule.to_string());
        if self.budget.take(&[&field, &rule]) {
            self.listed.push(Violation { field, rule });
        }
    }

    /// The value, or `None` after recording the violation. The path is formatted only for a violation.
    pub fn check<T, E: Display>(&mut self, field: impl Display, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|rule| self.add(field, rule)).ok()
    }

    /// The listed violations: all, or the first ones if there are very many.
    pub fn listed(&self) -> &[Violation] {
        &self.listed
    }

    /// Number of all violations.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The listed violations as entries of a google.rpc BadRequest.
    pub fn field_violations(&self) -> Vec<FieldViolation> {
        let entry = |fault: &Violation| FieldViolation::new(&fault.field, &fault.rule);
        self.listed.iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_returns_the_value_or_records_the_violation() {
        let mut violations = Violations::default();

        assert_eq!(violations.check("a", Ok::<_, &str>(1)), Some(1));
        assert_eq!(violations.check("b", Err::<u8, _>("must be")), None);

        assert_eq!(violations.total(), 1);
        assert_eq!(violations.listed()[0].field, "b");
        assert_eq!(violations.listed()[0].rule, "must be");
    }

    #[test]
    fn the_list_is_bounded_and_the_count_is_not() {
        let mut violations = Violations::default();

        for index in 0..500 {
            violations.add(format_args!("lines[{index}]"), "is wrong");
        }

        assert_eq!(violations.total(), 500);
        let listed = violations.listed();
        assert!((50..500).contains(&listed.len()), "{}", listed.len());
        assert_eq!(
            listed[listed.len() - 1].field,
            format!("lines[{}]", listed.len() - 1)
        );
    }

    #[test]
    fn no_entry_is_listed_after_the_first_that_does_not_fit() {
        let mut budget = DetailsBudget::default();

        assert!(budget.take(&["lines[0]"]));
        assert!(!budget.take(&["x".repeat(LISTED_BYTES).as_str()]));
        assert!(!budget.take(&["lines[2]"]));
    }
}

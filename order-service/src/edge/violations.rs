//! Collects every fault of a request, so that a client learns all of them from one answer.

use std::fmt::Display;

/// A field and the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the request message, such as `lines[3].quantity`.
    pub field: String,
    /// The rule. It never repeats the value, which may be long, secret or both.
    pub rule: String,
}

/// Bytes that the described faults may take in an answer. They travel in a trailer, in base64, and clients refuse an
/// answer whose headers exceed 8 KiB (the default of gRPC-Java, and from there on gRPC core at random).
const LISTED_BYTES: usize = 5 * 1024;

/// What a fault takes beside its two texts: tags and lengths of its protobuf form.
const OVERHEAD_BYTES: usize = 8;

/// The faults of one request, in the sequence of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    listed: Vec<Violation>,
    listed_bytes: usize,
    total: usize,
}

impl Violations {
    /// Notes that a field breaks a rule.
    pub fn add(&mut self, field: impl Display, rule: impl Display) {
        self.total += 1;
        if self.listed_bytes >= LISTED_BYTES {
            return;
        }
        let (field, rule) = (field.to_string(), rule.to_string());
        self.listed_bytes += field.len() + rule.len() + OVERHEAD_BYTES;
        // The first fault that does not fit ends the list: the client sees the first ones without a hole.
        if self.listed_bytes < LISTED_BYTES {
            self.listed.push(Violation { field, rule });
        }
    }

    /// The value, or nothing once its fault is noted. The path is only spelled out for a fault.
    pub fn check<T, E: Display>(&mut self, field: impl Display, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|rule| self.add(field, rule)).ok()
    }

    /// The faults that are described: all of them, or the first ones when there are very many.
    pub fn listed(&self) -> &[Violation] {
        &self.listed
    }

    /// The number of all faults.
    pub fn total(&self) -> usize {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_noted_and_a_value_passes() {
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
}

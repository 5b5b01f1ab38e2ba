//! Collects every fault of a request, so that a client learns all of them from one answer.

use std::fmt::Display;

use tonic_types::FieldViolation;

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

/// What an entry takes beside its texts: tags and lengths of its protobuf form.
const OVERHEAD_BYTES: usize = 8;

/// The room that a list has in the details of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    taken: usize,
}

impl Room {
    /// Whether an entry of these texts still fits; it takes its room. The first that does not fit ends the list, also
    /// for smaller ones behind it: the client sees the first entries without a hole.
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

/// The faults of one request, in the sequence of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    listed: Vec<Violation>,
    room: Room,
    total: usize,
}

impl Violations {
    /// Notes that a field breaks a rule.
    pub fn add(&mut self, field: impl Display, rule: impl Display) {
        self.total += 1;
        if self.room.is_full() {
            return;
        }
        let (field, rule) = (field.to_string(), rule.to_string());
        if self.room.take(&[&field, &rule]) {
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

    /// The described faults as the entries of a google.rpc BadRequest.
    pub fn field_violations(&self) -> Vec<FieldViolation> {
        let entry = |fault: &Violation| FieldViolation::new(&fault.field, &fault.rule);
        self.listed.iter().map(entry).collect()
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

    #[test]
    fn nothing_gets_room_behind_what_did_not_fit() {
        let mut room = Room::default();

        assert!(room.take(&["lines[0]"]));
        assert!(!room.take(&["x".repeat(LISTED_BYTES).as_str()]));
        assert!(!room.take(&["lines[2]"]));
    }
}

//! The columns of the tables, and how a figure is written. Terminal, page and sentences share them, so that a figure is the same
//! text everywhere.

use super::cell::Cell;
use crate::page::text::number;

/// A column: its head, and the text of a cell.
pub(super) type Column = (&'static str, fn(&Cell) -> String);

pub(super) const COLUMNS: [Column; 15] = [
    ("way", |cell| cell.way.to_string()),
    ("orders", |cell| cell.offered.to_string()),
    ("told yes", |cell| cell.yes.to_string()),
    ("told no", |cell| cell.no.to_string()),
    ("saw an error", |cell| share(cell.error_share())),
    ("answer p50", |cell| time(cell.confirm_p50)),
    ("answer p99", |cell| time(cell.confirm_p99)),
    ("outcome p50", |cell| time(cell.outcome_p50)),
    ("outcome p99", |cell| time(cell.outcome_p99)),
    ("yes, not done", |cell| share(cell.broken_share())),
    ("lost", |cell| cell.lost.to_string()),
    ("doubled", |cell| cell.doubled.to_string()),
    ("error, but done", |cell| share(cell.surprised_share())),
    ("memory", |cell| memory(cell.memory)),
    ("CPU/order", |cell| time(cell.cpu)),
];

/// Milliseconds; `-` if there is nothing.
pub(super) fn time(millis: Option<f64>) -> String {
    match millis {
        Some(millis) => format!("{} ms", number(millis)),
        None => "-".to_owned(),
    }
}

pub(super) fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

pub(super) fn memory(mebibytes: f64) -> String {
    format!("{mebibytes:.0} MiB")
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_as_in_a_sentence() {
        let names = ["a", "b", "c"].map(str::to_owned);

        let lists = [1, 2, 3].map(|count| listed(&names[..count]));

        assert_eq!(lists, ["a", "a and b", "a, b and c"]);
    }

    #[test]
    fn a_missing_time_is_a_dash() {
        assert_eq!(time(Some(12.34)), "12.3 ms");
        assert_eq!(time(None), "-");
        assert_eq!(share(0.1234), "12.3 %");
    }
}

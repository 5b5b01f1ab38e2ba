//! Reads a configuration with hostile values.

use std::collections::BTreeMap;

use super::Configuration;

/// Values that operators set by mistake: blank, cut off, of another unit, out of range, with a newline, not ASCII.
pub const HOSTILE: [&str; 28] = [
    " ",
    "\n",
    "\u{0}",
    "value\n",
    "value\r\n",
    " value ",
    ",",
    "value,",
    ",value",
    "=",
    "%",
    "%ff",
    "-1",
    "0",
    "0s",
    "-5s",
    "5h",
    "1e3",
    "NaN",
    "inf",
    "18446744073709551615",
    "18446744073709551615ms",
    "999999999999999999999",
    "b\u{fc}cher",
    "\u{fffd}",
    "http://",
    "://:0",
    "[",
];

/// The settings of a service.
pub fn names<C: Configuration>() -> Vec<&'static str> {
    let settings = C::documentation().into_iter();
    settings.map(|setting| setting.name).collect()
}

/// Reads the configuration with this one setting. Returns the mistakes that do not name it.
pub fn unnamed_mistakes<C: Configuration>(name: &str, value: &str) -> Vec<String> {
    let source = BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let mistakes = match C::from_source(&source) {
        Ok(_) => Vec::new(),
        Err(error) => error.mistakes().to_vec(),
    };
    let is_unnamed = |mistake: &String| !mistake.contains(name);
    mistakes.into_iter().filter(is_unnamed).collect()
}

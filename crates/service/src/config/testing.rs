//! Reads a configuration with hostile values.

use std::collections::BTreeMap;

use super::Configuration;

/// Values that operators set by mistake: blank, cut off, of another unit, out of range, with a newline, not ASCII.
const HOSTILE: [&str; 28] = [
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

/// A strategy for the values that a setting can have, as a regular expression of proptest.
pub const ANY_VALUE: &str =
    ".{0,30}|[-+]?[0-9]{1,25}[a-z%]{0,3}|[a-z]{1,8}://[^ ]{0,20}|([a-z:=]{0,6},){0,4}";

/// Reads the configuration with each setting and each hostile value. Returns the mistakes that do not name their setting.
pub fn unnamed_mistakes_of_hostile_values<C: Configuration>() -> Vec<String> {
    let pairs = names::<C>()
        .into_iter()
        .flat_map(|name| HOSTILE.map(|value| (name, value)));
    pairs
        .flat_map(|(name, value)| unnamed_mistakes::<C>(name, value))
        .collect()
}

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
    // Whole names: one can begin with another.
    let is_of_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let is_unnamed = |mistake: &String| {
        let mut words = mistake.split(|char| !is_of_name(char));
        !words.any(|word| word == name)
    };
    mistakes.into_iter().filter(is_unnamed).collect()
}

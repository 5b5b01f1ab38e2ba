//! Parsing the text of a setting.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A type that a setting can have.
pub trait FromSetting: Sized {
    /// Whether the text can contain a secret; then no error repeats it.
    const SECRET: bool = false;

    /// Parses the text; the error completes the phrase "expected …".
    fn from_setting(text: &str) -> Result<Self, String>;
}

/// What no setting may contain, whatever its type: a password of a file with a newline at its end would be refused by
/// the server, without a hint at the setting.
pub(super) fn check_text(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("must not be blank");
    }
    if text.contains(char::is_control) {
        return Err(
            "must not contain a line break or another control character, at the end neither",
        );
    }
    // The replacement of bytes that are not Unicode.
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err("must be valid Unicode");
    }
    Ok(())
}

/// Characters of a wrong value that an error repeats.
const MAX_REPEATED: usize = 100;

/// The error text for a value that does not parse; it does not repeat a secret.
pub(super) fn mistake<T: FromSetting>(text: &str, expected: &str) -> String {
    if T::SECRET {
        format!("expected {expected}")
    } else {
        let begin: String = text.chars().take(MAX_REPEATED).collect();
        let end = if begin.len() < text.len() { "…" } else { "" };
        format!("expected {expected}, got {begin:?}{end}")
    }
}

/// Parses with `FromStr`. Its errors are written for programmers, so `expected` replaces them.
pub fn parse<T: std::str::FromStr>(text: &str, expected: &str) -> Result<T, String> {
    text.parse().map_err(|_| expected.to_owned())
}

impl FromSetting for SocketAddr {
    fn from_setting(text: &str) -> Result<Self, String> {
        parse(text, "an address such as 127.0.0.1:50051")
    }
}

impl FromSetting for u16 {
    fn from_setting(text: &str) -> Result<Self, String> {
        parse(text, "a whole number from 0 to 65535")
    }
}

impl FromSetting for u32 {
    fn from_setting(text: &str) -> Result<Self, String> {
        parse(text, "a whole number, 0 or more")
    }
}

impl FromSetting for usize {
    fn from_setting(text: &str) -> Result<Self, String> {
        parse(text, "a whole number, 0 or more")
    }
}

impl FromSetting for bool {
    fn from_setting(text: &str) -> Result<Self, String> {
        parse(text, "true or false")
    }
}

impl FromSetting for String {
    fn from_setting(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl FromSetting for PathBuf {
    fn from_setting(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }
}

/// The longest time, a century. Beyond it, the sum with the clock can overflow.
const MAX_DURATION: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

/// A whole number and a unit: `20ms`, `5s`, `2m`, `12h`, `9d`.
impl FromSetting for Duration {
    fn from_setting(text: &str) -> Result<Self, String> {
        let expected = || "a time such as 20ms, 5s, 2m, 12h or 9d, at most 36500d".to_owned();
        let unit_at = text
            .find(|c: char| !c.is_ascii_digit())
            .ok_or_else(expected)?;
        let (number, unit) = text.split_at(unit_at);
        let number: u64 = number.parse().map_err(|_| expected())?;
        let millis = match unit {
            "ms" => Some(number),
            "s" => number.checked_mul(1_000),
            "m" => number.checked_mul(60_000),
            "h" => number.checked_mul(3_600_000),
            "d" => number.checked_mul(86_400_000),
            _ => None,
        };
        let time = millis.map(Self::from_millis);
        time.filter(|time| *time <= MAX_DURATION)
            .ok_or_else(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(
            Duration::from_setting("20ms"),
            Ok(Duration::from_millis(20))
        );
        assert_eq!(Duration::from_setting("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(Duration::from_setting("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(Duration::from_setting("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(
            Duration::from_setting("2d"),
            Ok(Duration::from_secs(172_800))
        );
    }

    #[test]
    fn a_duration_without_a_unit_or_out_of_range_is_refused() {
        for text in [
            "5",
            "s",
            "-1s",
            "1.5s",
            "5w",
            "99999999999999999999s",
            "9999999999999999999m",
            "36501d",
        ] {
            assert!(Duration::from_setting(text).is_err(), "{text}");
        }
    }
}

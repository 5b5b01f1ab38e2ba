//! Quantities on the command line: durations (`500ms`, `30s`, `2m`, `1h`), rates (`200/s`, `6000/min`) and shares
//! (`0.1%`).

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// A week: longer runs are mistakes, and all arithmetic on times is exact below it.
const MAX_SECONDS: f64 = 7.0 * 86_400.0;

const MAX_RATE: f64 = 1_000_000.0;

/// A duration with its unit.
pub(super) fn duration(text: &str) -> Result<Duration> {
    let expected = || {
        format!(
            "{text:?} is no duration; expected a number with its unit, such as 500ms, 30s, 2m or 1h"
        )
    };
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic());
    let (value, unit) = text.split_at(unit.with_context(expected)?);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => bail!(expected()),
    };
    let value: f64 = value.trim().parse().ok().with_context(expected)?;
    let seconds = value * seconds;
    ensure!(
        (0.0..=MAX_SECONDS).contains(&seconds),
        "{text:?} is out of range: at most a week"
    );
    Ok(Duration::from_secs_f64(seconds))
}

/// Calls per second; `/s` may be left out.
pub(super) fn rate(text: &str) -> Result<f64> {
    let (value, seconds) = match text.split_once('/') {
        None | Some((_, "s")) => (text.trim_end_matches("/s"), 1.0),
        Some((value, "m" | "min")) => (value, 60.0),
        Some(_) => bail!(
            "{text:?} is no rate; expected a number per second, such as 200/s, or per minute, such as 50/min"
        ),
    };
    let value: f64 = value
        .trim()
        .parse()
        .with_context(|| format!("{text:?} is no rate; expected a number, such as 200/s"))?;
    let rate = value / seconds;
    ensure!(
        (0.0..=MAX_RATE).contains(&rate),
        "{text:?} is out of range: from 0 to {MAX_RATE} per second"
    );
    Ok(rate)
}

/// A share from 0 to 1; `10%` is 0.1.
pub(super) fn share(text: &str) -> Result<f64> {
    let (value, whole) = match text.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    let value: f64 = value
        .trim()
        .parse()
        .with_context(|| format!("{text:?} is no share; expected a number, such as 0.1 or 10%"))?;
    let share = value / whole;
    ensure!(
        (0.0..=1.0).contains(&share),
        "{text:?} is out of range: from 0% to 100%"
    );
    Ok(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs_f64()).ok();

        assert_eq!(seconds("500ms"), Some(0.5));
        assert_eq!(seconds("1.5m"), Some(90.0));
        assert_eq!(seconds("2h"), Some(7_200.0));
        for wrong in ["30", "s", "", "-1s", "1e9h", "NaNs", "3 weeks"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rate_is_per_second_unless_it_says_otherwise() {
        assert_eq!(rate("200/s").ok(), Some(200.0));
        assert_eq!(rate("0.5").ok(), Some(0.5));
        assert_eq!(rate("120/min").ok(), Some(2.0));
        for wrong in ["", "/s", "many/s", "5/h", "-1/s", "inf/s", "2000000/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_share_is_a_number_or_a_percentage() {
        assert_eq!(share("10%").ok(), Some(0.1));
        assert_eq!(share("0.25").ok(), Some(0.25));
        for wrong in ["", "%", "101%", "2", "-1%", "NaN"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}

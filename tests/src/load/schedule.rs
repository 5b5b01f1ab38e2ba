//! The schedule of an open loop: the rate of calls over time, from the command line or a file of stages.
//!
//! ```text
//! constant:200/s         the same rate all the time
//! ramp:10/s..500/s       from one rate to another
//! step:100/s..500/s/5    in five equal steps, 100, 200, … 500
//! spike:100/s..500/s     the first rate for two fifths of the time, the second for one fifth, the first again
//! file:stages.txt        one stage per line: its length, and its rate or the two rates that it runs between
//! ```

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, bail, ensure};

use super::quantity::{duration, rate};
use crate::open_loop::rate_curve::{RateCurve, Stage};
use crate::page::text::number;

const KINDS: &str =
    "constant:RATE, ramp:RATE..RATE, step:RATE..RATE/STEPS, spike:RATE..RATE or file:PATH";

/// A parsed schedule.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Schedule {
    text: String,
    shape: ScheduleShape,
}

#[derive(Clone, Debug, PartialEq)]
enum ScheduleShape {
    Constant(f64),
    Ramp(f64, f64),
    Step(f64, f64, u32),
    Spike(f64, f64),
    /// From a file, with lengths of their own.
    Stages(Vec<Stage>),
}

impl Schedule {
    /// The same rate all the time.
    pub(super) fn constant(per_second: f64) -> Self {
        Self {
            text: format!("constant:{}/s", number(per_second)),
            shape: ScheduleShape::Constant(per_second),
        }
    }

    pub(super) fn is_constant(&self) -> bool {
        matches!(self.shape, ScheduleShape::Constant(_))
    }

    /// Whether it says how long it takes, so that no duration can be given beside it.
    pub(super) fn has_its_own_length(&self) -> bool {
        matches!(self.shape, ScheduleShape::Stages(_))
    }

    /// The rate over this time, or over its own.
    pub(super) fn curve(&self, length: Duration) -> RateCurve {
        let fifths = |rate, fifths: u32| Stage::constant(rate, length * fifths / 5);
        RateCurve::new(match &self.shape {
            ScheduleShape::Constant(rate) => vec![Stage::constant(*rate, length)],
            ScheduleShape::Ramp(from, to) => vec![Stage {
                from: *from,
                to: *to,
                length,
            }],
            ScheduleShape::Step(from, to, steps) => steps_between(*from, *to, *steps, length),
            ScheduleShape::Spike(base, peak) => {
                vec![fifths(*base, 2), fifths(*peak, 1), fifths(*base, 2)]
            }
            ScheduleShape::Stages(stages) => stages.clone(),
        })
    }
}

fn steps_between(from: f64, to: f64, steps: u32, length: Duration) -> Vec<Stage> {
    let height = (to - from) / f64::from(steps - 1);
    let rates = (0..steps).map(|step| from + f64::from(step) * height);
    rates
        .map(|rate| Stage::constant(rate, length / steps))
        .collect()
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (kind, rest) = text
            .split_once(':')
            .with_context(|| format!("expected {KINDS}"))?;
        let shape = match kind {
            "constant" => ScheduleShape::Constant(rate(rest)?),
            "ramp" => {
                let (from, to) = rates(rest)?;
                ScheduleShape::Ramp(from, to)
            }
            "step" => step(rest)?,
            "spike" => {
                let (base, peak) = rates(rest)?;
                ScheduleShape::Spike(base, peak)
            }
            "file" => ScheduleShape::Stages(read(Path::new(rest))?),
            _ => bail!("there is no schedule {kind:?}; expected {KINDS}"),
        };
        let schedule = Self {
            text: text.to_owned(),
            shape,
        };
        let has_calls = schedule.curve(Duration::from_secs(1)).calls() > 0.0;
        ensure!(has_calls, "a schedule without a call measures nothing");
        Ok(schedule)
    }
}

fn step(text: &str) -> Result<ScheduleShape> {
    let expected = "expected RATE..RATE/STEPS with at least two steps, such as 100/s..500/s/5";
    let (range, steps) = text.rsplit_once('/').context(expected)?;
    let (from, to) = rates(range)?;
    let steps: u32 = steps.parse().context(expected)?;
    ensure!((2..=1_000).contains(&steps), expected);
    Ok(ScheduleShape::Step(from, to, steps))
}

fn rates(text: &str) -> Result<(f64, f64)> {
    let (from, to) = text
        .split_once("..")
        .with_context(|| format!("{text:?} has no two rates; expected such as 100/s..500/s"))?;
    Ok((rate(from)?, rate(to)?))
}

/// The stages of a file: `30s 100/s` or `1m 100/s..500/s` per line; empty lines and `#` comments are skipped.
fn read(path: &Path) -> Result<Vec<Stage>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the stages in {}", path.display()))?;
    let mut stages = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            let stage =
                stage(line).with_context(|| format!("{}, line {number}", path.display()))?;
            stages.push(stage);
        }
    }
    ensure!(!stages.is_empty(), "{} has no stage", path.display());
    Ok(stages)
}

fn stage(line: &str) -> Result<Stage> {
    let (length, rest) = line
        .split_once(char::is_whitespace)
        .context("expected a length and a rate, such as: 30s 100/s..500/s")?;
    let length = duration(length)?;
    ensure!(!length.is_zero(), "a stage needs a length");
    let (from, to) = match rest.trim() {
        range if range.contains("..") => rates(range)?,
        constant => (rate(constant)?, rate(constant)?),
    };
    Ok(Stage { from, to, length })
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates_of(text: &str) -> Vec<(f64, f64, u64)> {
        let schedule: Schedule = text.parse().unwrap();
        let curve = schedule.curve(Duration::from_secs(10));
        let stages = curve.stages().iter();
        stages
            .map(|stage| (stage.from, stage.to, stage.length.as_secs()))
            .collect()
    }

    #[test]
    fn every_kind_of_schedule_becomes_stages() {
        assert_eq!(rates_of("constant:200/s"), [(200.0, 200.0, 10)]);
        assert_eq!(rates_of("ramp:10/s..600/min"), [(10.0, 10.0, 10)]);
        assert_eq!(
            rates_of("step:100..200/s/2"),
            [(100.0, 100.0, 5), (200.0, 200.0, 5)]
        );
        assert_eq!(
            rates_of("spike:1/s..5/s"),
            [(1.0, 1.0, 4), (5.0, 5.0, 2), (1.0, 1.0, 4)]
        );
    }

    #[test]
    fn a_file_of_stages_has_its_own_lengths() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "# a day\n30s 10/s\n\n1m 10/s..100/s # the morning\n",
        )
        .unwrap();

        let stages = rates_of(&format!("file:{}", file.path().display()));

        assert_eq!(stages, [(10.0, 10.0, 30), (10.0, 100.0, 60)]);
    }

    #[test]
    fn a_wrong_schedule_is_explained() {
        for (wrong, explanation) in [
            ("200/s", "expected constant:RATE"),
            ("sawtooth:1/s", "there is no schedule \"sawtooth\""),
            ("constant:fast", "\"fast\" is no rate"),
            ("constant:0/s", "measures nothing"),
            ("ramp:100/s", "has no two rates"),
            ("step:1/s..5/s", "at least two steps"),
            ("step:1/s..5/s/1", "at least two steps"),
            ("file:/does/not/exist", "cannot read the stages"),
        ] {
            let error = wrong.parse::<Schedule>().unwrap_err();

            assert!(
                format!("{error:#}").contains(explanation),
                "{wrong}: {error:#}"
            );
        }
    }

    #[test]
    fn a_wrong_line_of_a_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, explanation) in [
            ("10s 1/s\n10 2/s\n", "line 2: \"10\" is no duration"),
            ("\n0s 1/s\n", "line 2: a stage"),
            ("#\n", "no stage"),
        ] {
            std::fs::write(file.path(), text).unwrap();

            let error = read(file.path()).unwrap_err();

            assert!(format!("{error:#}").contains(explanation), "{error:#}");
        }
    }
}

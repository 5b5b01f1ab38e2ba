//! The rate of calls over time: stages in sequence, each linear from one rate to another.

use std::time::Duration;

/// One part of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Calls per second at its beginning and at its end.
    pub from: f64,
    pub to: f64,
    pub length: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateCurve {
    stages: Vec<Stage>,
}

impl Stage {
    pub fn constant(per_second: f64, length: Duration) -> Self {
        Self {
            from: per_second,
            to: per_second,
            length,
        }
    }

    /// The number of calls in it.
    fn calls(&self) -> f64 {
        f64::midpoint(self.from, self.to) * self.length.as_secs_f64()
    }

    /// The seconds after which this many calls are due: the rate, integrated and solved for the time.
    fn seconds_of(&self, calls: f64) -> f64 {
        if calls <= 0.0 {
            return 0.0;
        }
        let growth = (self.to - self.from) / self.length.as_secs_f64();
        // This form of the quadratic formula has no division by the growth, which may be zero.
        let root = (self.from * self.from + 2.0 * growth * calls)
            .max(0.0)
            .sqrt();
        2.0 * calls / (self.from + root)
    }
}

impl RateCurve {
    pub fn new(stages: Vec<Stage>) -> Self {
        Self { stages }
    }

    /// The same, after another stage.
    #[must_use]
    pub fn after(mut self, stage: Stage) -> Self {
        self.stages.insert(0, stage);
        self
    }

    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    pub fn length(&self) -> Duration {
        self.stages.iter().map(|stage| stage.length).sum()
    }

    /// The number of calls in all.
    pub fn calls(&self) -> f64 {
        self.stages.iter().map(Stage::calls).sum()
    }

    /// When call number `calls`, from 0, is due; `None` after the end.
    pub(super) fn time_of(&self, calls: f64) -> Option<Duration> {
        let mut before = Duration::ZERO;
        let mut rest = calls;
        for stage in &self.stages {
            let of_stage = stage.calls();
            if rest < of_stage {
                return Some(before + Duration::from_secs_f64(stage.seconds_of(rest)));
            }
            rest -= of_stage;
            before += stage.length;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(length: u64) -> Duration {
        Duration::from_secs(length)
    }

    fn stage(from: f64, to: f64, length: u64) -> Stage {
        Stage {
            from,
            to,
            length: seconds(length),
        }
    }

    #[test]
    fn a_ramp_makes_its_calls_ever_faster() {
        let ramp = RateCurve::new(vec![stage(0.0, 100.0, 10)]);

        let times = [0.0, 125.0, 499.0, 500.0].map(|calls| ramp.time_of(calls));

        assert_eq!(ramp.calls(), 500.0);
        assert_eq!(times[0], Some(Duration::ZERO));
        // A quarter of the calls in the first half of the time.
        assert_eq!(times[1], Some(seconds(5)));
        assert!(times[2].is_some_and(|time| time < seconds(10)));
        assert_eq!(times[3], None);
    }

    #[test]
    fn a_stage_begins_when_the_one_before_ends() {
        let spike = RateCurve::new(vec![stage(10.0, 10.0, 2), stage(100.0, 100.0, 1)]);

        let times = [19.0, 20.0, 70.0].map(|calls| spike.time_of(calls));

        let expected = [1_900, 2_000, 2_500].map(|millis| Some(Duration::from_millis(millis)));
        assert_eq!(times, expected);
    }

    #[test]
    fn a_stage_without_calls_is_a_pause() {
        let paused = RateCurve::new(vec![stage(0.0, 0.0, 5), stage(1.0, 1.0, 1)]);

        assert_eq!(paused.time_of(0.0), Some(seconds(5)));
    }

    #[test]
    fn a_falling_ramp_ends_at_its_last_rate() {
        let falling = RateCurve::new(vec![stage(100.0, 0.0, 10)]);

        let last = falling.time_of(499.99).unwrap();

        assert!(last > Duration::from_millis(9_800), "{last:?}");
        assert!(last <= seconds(10), "{last:?}");
    }
}

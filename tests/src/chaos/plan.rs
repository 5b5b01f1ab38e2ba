//! The fault plan: a pure function of seed, length and engines.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use proto::topics::{ORDER_EVENTS, PROCESSING_EVENTS};

use super::dice::Dice;
use super::fault::{ChaosFault, Echo};
use crate::proxy;
use crate::stack::{Engines, Service};

/// Orders are placed for this long before the first fault.
const WARM_UP: Duration = Duration::from_secs(3);

/// The last fault ends this long before the last order: a dead consumer's partitions are reassigned after 10 s, and an
/// order placed after the fault has to become final. In a short run it is a third of the length.
const TAIL: Duration = Duration::from_secs(20);

/// Pause between two faults, in seconds: from just recovered to idle.
const PAUSE: (u64, u64) = (2, 6);

/// Interval of republished records, in seconds.
const ECHO_EVERY: (u64, u64) = (8, 16);

/// Interval of foreign records, in seconds. More than one in twenty of the records of a partition would stop it
/// (`REJECT_LIMIT`).
const FOREIGN_EVERY: (u64, u64) = (20, 30);

/// Interval and duration of failing payments, in seconds.
const PAYMENTS_EVERY: (u64, u64) = (30, 45);
const PAYMENTS_LAST: (u64, u64) = (8, 15);

/// A failover is over in a moment; the time in the plan is that of making the standby.
const FAIL_OVER: Duration = Duration::from_secs(3);

/// The engines of the pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum EngineSet {
    /// The embedded broker and SQLite files, one replica of each service.
    Embedded,
    /// Apache Kafka and PostgreSQL, two replicas of each service.
    Production,
}

/// All faults of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultPlan {
    /// The seed of the random numbers.
    pub seed: u64,
    /// How long orders are placed.
    pub length: Duration,
    pub engines: EngineSet,
    /// Faults that stop a component, in sequence.
    pub disruptions: Vec<FaultStep>,
    /// Faults that stop no component, concurrent with the disruptions.
    pub disturbances: Vec<FaultStep>,
}

/// One fault of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultStep {
    /// Earliest start, counted from the first order.
    pub at: Duration,
    /// Duration; zero for an instantaneous fault.
    pub lasts: Duration,
    pub fault: ChaosFault,
    /// A service of which a replica is killed during the fault.
    pub kill_amid: Option<Service>,
    /// Index of the replica, partition or record, taken modulo their number.
    pub which: usize,
    /// Position in a topic, from 0 to 1.
    pub depth: f64,
}

impl EngineSet {
    /// The engines of the stack.
    pub fn engines(self) -> Engines {
        match self {
            Self::Embedded => Engines::embedded(),
            Self::Production => Engines::production(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for EngineSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FaultPlan {
    /// Draws a plan.
    pub fn new(seed: u64, length: Duration, engines: EngineSet) -> Self {
        let end = length.saturating_sub(TAIL.min(length / 3));
        let mut dice = Dice::new(seed);
        let mut plan = Self {
            seed,
            length,
            engines,
            disruptions: disruptions(&mut dice, engines, end),
            disturbances: Vec::new(),
        };
        plan.disturbances = disturbances(&mut dice, end);
        plan
    }

    /// Every step, by start time.
    pub fn steps(&self) -> Vec<FaultStep> {
        let mut steps = [&*self.disruptions, &*self.disturbances].concat();
        steps.sort_by_key(|step| step.at);
        steps
    }
}

/// Rounds that contain every disruption once, each in another order.
fn disruptions(dice: &mut Dice, engines: EngineSet, end: Duration) -> Vec<FaultStep> {
    let mut steps = Vec::new();
    let mut at = WARM_UP;
    while at <= end {
        let mut round = round(dice, engines);
        dice.shuffle(&mut round);
        for (fault, lasts) in round {
            // A fault that exceeds the remaining time is skipped, so that shorter ones fit; a kill always fits.
            if at + lasts > end {
                continue;
            }
            steps.push(FaultStep {
                kill_amid: kill_amid(dice, fault, lasts),
                ..step(dice, at, lasts, fault)
            });
            at += lasts + dice.seconds(PAUSE.0, PAUSE.1);
        }
    }
    steps
}

/// Every third outage of a server, or of the connections to it, that lasts long enough includes a kill.
fn kill_amid(dice: &mut Dice, fault: ChaosFault, lasts: Duration) -> Option<Service> {
    let service = dice.one_of(&Service::PAIR);
    let drawn = dice.below(3) == 0;
    let is_outage = matches!(fault, ChaosFault::Stop(_) | ChaosFault::Line(..));
    (drawn && is_outage && lasts >= Duration::from_secs(3)).then_some(service)
}

fn round(dice: &mut Dice, engines: EngineSet) -> Vec<(ChaosFault, Duration)> {
    let at_once = Duration::ZERO;
    let mut round = Vec::new();
    for service in Service::PAIR {
        round.push((ChaosFault::Kill(service), at_once));
        round.push((ChaosFault::Freeze(service), freeze(dice)));
        round.push((ChaosFault::Scale(service), dice.seconds(2, 6)));
        if engines == EngineSet::Production {
            round.push((ChaosFault::KillAll(service), at_once));
        }
    }
    // The embedded broker deletes no records.
    if engines == EngineSet::Production {
        round.push((ChaosFault::DeleteRecords, dice.seconds(2, 6)));
    }
    round.push((ChaosFault::Freeze(Service::Broker), freeze(dice)));
    if engines == EngineSet::Production {
        round.push((ChaosFault::FailOver, FAIL_OVER));
    }
    for server in servers(engines) {
        round.push((ChaosFault::Kill(*server), at_once));
        round.push((ChaosFault::Stop(*server), dice.seconds(1, 6)));
        round.extend(
            line_faults(dice, *server)
                .map(|(fault, lasts)| (ChaosFault::Line(*server, fault), lasts)),
        );
    }
    round
}

/// SQLite has no server process and no connections.
fn servers(engines: EngineSet) -> &'static [Service] {
    match engines {
        EngineSet::Embedded => &[Service::Broker],
        EngineSet::Production => &[Service::Broker, Service::Database],
    }
}

/// Shorter than any timeout; longer than a relay's lease (5 s); longer than a consumer's session as well (10 s).
fn freeze(dice: &mut Dice) -> Duration {
    let seconds = dice.one_of(&[2, 7, 13]);
    Duration::from_secs(seconds)
}

fn line_faults(dice: &mut Dice, server: Service) -> [(proxy::NetworkFault, Duration); 5] {
    // A database statement is answered in one round trip, and a commit waits for it; a broker has many requests in
    // flight.
    let (fixed, bytes_per_second) = match server {
        Service::Database => (10, 200_000),
        _ => (100, 50_000),
    };
    let latency = proxy::NetworkFault::Latency {
        fixed: Duration::from_millis(fixed),
        jitter: Duration::from_millis(fixed),
    };
    let throttle = proxy::NetworkFault::Throttle { bytes_per_second };
    // The third value is longer than the timeout of any statement or request.
    let silent = Duration::from_secs(dice.one_of(&[3, 8, 20]));
    // From the middle of a handshake to a few thousand records.
    let bytes = dice.one_of(&[500, 20_000, 200_000]);
    [
        (latency, dice.seconds(4, 8)),
        (throttle, dice.seconds(4, 8)),
        (proxy::NetworkFault::Cut, dice.seconds(1, 6)),
        (proxy::NetworkFault::HalfOpen, silent),
        (
            proxy::NetworkFault::CloseAfter { bytes },
            dice.seconds(2, 5),
        ),
    ]
}

fn disturbances(dice: &mut Dice, end: Duration) -> Vec<FaultStep> {
    let mut steps = Vec::new();
    let mut at = WARM_UP + dice.seconds(1, 4);
    for kind in (0..).map(|turn| turn % 4) {
        if at > end {
            break;
        }
        let (topic, echo) = match kind {
            0 => (
                dice.one_of(&[ORDER_EVENTS, PROCESSING_EVENTS]),
                Echo::Newest,
            ),
            // Most orders have one event on their own topic; adjacent records of one order are on the other topic.
            1 => (PROCESSING_EVENTS, Echo::Swapped),
            2 => (ORDER_EVENTS, Echo::Old),
            _ => (PROCESSING_EVENTS, Echo::Old),
        };
        steps.push(step(
            dice,
            at,
            Duration::ZERO,
            ChaosFault::Echo(topic, echo),
        ));
        at += dice.seconds(ECHO_EVERY.0, ECHO_EVERY.1);
    }
    let mut at = WARM_UP + dice.seconds(2, 20);
    loop {
        let lasts = dice.seconds(PAYMENTS_LAST.0, PAYMENTS_LAST.1);
        if at + lasts > end {
            break;
        }
        steps.push(step(dice, at, lasts, ChaosFault::Payments));
        at += lasts + dice.seconds(PAYMENTS_EVERY.0, PAYMENTS_EVERY.1);
    }
    let mut at = WARM_UP + dice.seconds(1, 3);
    while at <= end {
        steps.push(step(dice, at, Duration::ZERO, ChaosFault::Foreign));
        at += dice.seconds(FOREIGN_EVERY.0, FOREIGN_EVERY.1);
    }
    steps.sort_by_key(|step| step.at);
    steps
}

fn step(dice: &mut Dice, at: Duration, lasts: Duration, fault: ChaosFault) -> FaultStep {
    FaultStep {
        at,
        lasts,
        fault,
        kill_amid: None,
        which: dice.below(1_000),
        depth: dice.share(),
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.length.as_secs();
        let steps = self.steps();
        writeln!(
            formatter,
            "plan of {} faults: --seed {} --seconds {seconds} --engines {}",
            steps.len(),
            self.seed,
            self.engines
        )?;
        for step in steps {
            writeln!(formatter, "  {step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for FaultStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:7.1} s  {}", self.at.as_secs_f64(), self.fault)?;
        if !self.lasts.is_zero() {
            write!(formatter, ", for {:?}", self.lasts)?;
        }
        match self.kill_amid {
            Some(service) => write!(formatter, ", with a kill of {service}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;

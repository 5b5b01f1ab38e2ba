//! Runs the fault plan: begins and ends each fault in time, and waits for the pair to recover.

use std::time::Duration;

use anyhow::Result;
use proto::topics::{ORDER_EVENTS, PROCESSING_EVENTS};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::display::ChaosDisplay;
use super::fault::{ChaosFault, Echo};
use super::inflict::Saboteur;
use super::plan::{FaultPlan, FaultStep};
use super::recovery::{Inflicted, Recovery};
use crate::replay::tally::Tally;
use crate::stack::Stack;
use crate::system::{ForeignRecords, Topic, TopicRecord};

/// Maximum recovery time: a dead consumer's partitions are reassigned after 10 s, a broken connection is given up after
/// 15 s.
const RECOVERY: Duration = Duration::from_secs(60);

/// Poll interval while waiting for recovery; the precision of recovery times.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Records published again at once.
const ECHOED: i64 = 20;

/// The partitioner selects it by the key.
const ANY_PARTITION: i32 = -1;

/// The outcome of a plan.
#[derive(Debug, Default)]
pub(super) struct FaultsOutcome {
    pub(super) inflicted: Vec<Inflicted>,
    /// Records published again.
    pub(super) echoed: u64,
    /// Unexpected events, one sentence each.
    pub(super) problems: Vec<String>,
}

/// Everything that a fault needs.
#[derive(Debug)]
pub(super) struct FaultRunner<'a> {
    pub(super) plan: &'a FaultPlan,
    pub(super) stack: &'a Stack,
    pub(super) saboteur: Saboteur<'a>,
    pub(super) tally: &'a Tally,
    pub(super) display: &'a ChaosDisplay,
    /// When the first order was sent.
    pub(super) start: Instant,
    /// Cancelled: no further fault begins.
    pub(super) stop: CancellationToken,
}

impl FaultRunner<'_> {
    /// Runs the plan.
    ///
    /// # Errors
    /// When a fault cannot be inflicted.
    pub(super) async fn run(&self) -> Result<FaultsOutcome> {
        self.saboteur.prepare();
        let (mut outcome, beside) = tokio::try_join!(
            self.take(&self.plan.disruptions),
            self.take(&self.plan.disturbances)
        )?;
        outcome.inflicted.extend(beside.inflicted);
        outcome.echoed += beside.echoed;
        outcome.problems.extend(beside.problems);
        Ok(outcome)
    }

    /// Runs the steps in sequence, each at its time or when the previous one is over.
    async fn take(&self, steps: &[FaultStep]) -> Result<FaultsOutcome> {
        let mut outcome = FaultsOutcome::default();
        let last = steps
            .last()
            .map_or(Duration::ZERO, |step| step.at + step.lasts);
        for step in steps {
            let due = self.sleep_until(self.start + step.at).await;
            // Late faults are skipped: the end of the run is without faults.
            let is_late = self.start.elapsed() + step.lasts > last + LOOK_EVERY * 50;
            if !due || is_late {
                break;
            }
            match step.fault {
                ChaosFault::Echo(topic, echo) => self.echo(step, topic, echo, &mut outcome).await,
                ChaosFault::Foreign => self.send_foreign(step, &mut outcome).await,
                _ => self.inflict(step, &mut outcome).await?,
            }
        }
        Ok(outcome)
    }

    async fn inflict(&self, step: &FaultStep, outcome: &mut FaultsOutcome) -> Result<()> {
        self.display.begins(step);
        outcome.problems.extend(self.saboteur.begin(step).await?);
        let ends = Instant::now() + step.lasts;
        if let Some(service) = step.kill_amid {
            self.sleep_until(Instant::now() + step.lasts / 2).await;
            self.saboteur.kill(service, step).await?;
        }
        self.sleep_until(ends).await;
        self.saboteur.end(step).await?;
        self.display.ends(step);
        let recovery = match step.fault.disrupts() {
            true => self.recovery(Instant::now()).await,
            false => Recovery::NotNeeded,
        };
        self.display.recovered(step, recovery);
        let fault = step.fault;
        outcome.inflicted.push(Inflicted { fault, recovery });
        Ok(())
    }

    /// Waits until an order that was placed after `end` is final.
    async fn recovery(&self, end: Instant) -> Recovery {
        while self.tally.newest_final() < Some(end) {
            if end.elapsed() > RECOVERY {
                return Recovery::Missed;
            }
            if self.stop.is_cancelled() {
                return Recovery::Interrupted;
            }
            sleep(LOOK_EVERY).await;
        }
        Recovery::After(end.elapsed())
    }

    /// Publishes records again; no-op while the broker is down.
    async fn echo(
        &self,
        step: &FaultStep,
        name: &'static str,
        echo: Echo,
        outcome: &mut FaultsOutcome,
    ) {
        let topic = Topic::of(self.stack, name);
        let depth = match echo {
            Echo::Newest | Echo::Swapped => 1.0,
            Echo::Old => step.depth,
        };
        let records = topic.excerpt(step.which, depth, ECHOED).await;
        let records = match echo {
            Echo::Swapped => records.map(of_orders).map(swapped),
            _ => records.map(of_orders),
        };
        // A record that an unreachable broker does not acknowledge counts as not written; if it was written after all,
        // it counts as a duplicate of the pair.
        let echoed = match records {
            Ok(records) => topic.publish_all(&records).await.unwrap_or(0),
            Err(_) => 0,
        };
        outcome.echoed += echoed;
        self.published(step, echoed, outcome);
    }

    /// Publishes the records of another producer on both topics. The audit requires a dead letter of each faulty one, and
    /// the orders beside them to be final.
    async fn send_foreign(&self, step: &FaultStep, outcome: &mut FaultsOutcome) {
        let mut sent = 0;
        for name in [ORDER_EVENTS, PROCESSING_EVENTS] {
            let records = ForeignRecords::new(name, ANY_PARTITION, step.at.as_secs()).all();
            let topic = Topic::of(self.stack, name);
            sent += topic.publish_all(&records).await.unwrap_or(0);
        }
        self.published(step, sent, outcome);
    }

    /// Notes the published records of a disturbance; none while the broker is down.
    fn published(&self, step: &FaultStep, records: u64, outcome: &mut FaultsOutcome) {
        self.display.published(step, records);
        if records > 0 {
            outcome.inflicted.push(Inflicted {
                fault: step.fault,
                recovery: Recovery::NotNeeded,
            });
        }
    }

    /// Returns false when the run ended first.
    async fn sleep_until(&self, at: Instant) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = sleep_until(at) => true,
        }
    }
}

/// Without foreign records: the auditor counts the duplicates of events only.
fn of_orders(mut records: Vec<TopicRecord>) -> Vec<TopicRecord> {
    records.retain(|record| {
        let key = record.key.as_deref().unwrap_or_default();
        Uuid::try_parse_ascii(key).is_ok()
    });
    records
}

/// The last two records of each key with several records, the later one first.
fn swapped(records: Vec<TopicRecord>) -> Vec<TopicRecord> {
    let mut pairs = Vec::new();
    for (at, later) in records.iter().enumerate().rev() {
        let is_taken = pairs
            .iter()
            .any(|taken: &TopicRecord| taken.key == later.key);
        let earlier = records[..at]
            .iter()
            .rev()
            .find(|record| record.key == later.key);
        if let Some(earlier) = earlier.filter(|_| !is_taken) {
            pairs.extend([later.clone(), earlier.clone()]);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, key: &str) -> TopicRecord {
        TopicRecord {
            partition: 0,
            offset,
            timestamp: None,
            key: Some(key.into()),
            headers: Vec::new(),
            payload: None,
        }
    }

    #[test]
    fn foreign_records_are_not_published_again() {
        let of_order = record(3, "0199b7a4-3c1e-7000-8000-000000000001");
        let keyless = TopicRecord {
            key: None,
            ..record(1, "")
        };

        let records = of_orders(vec![
            record(0, "no value"),
            keyless,
            record(2, ""),
            of_order,
        ]);

        let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, [3]);
    }

    #[test]
    fn adjacent_records_of_one_order_are_swapped() {
        let records = [(1, "a"), (2, "b"), (3, "a"), (4, "c"), (5, "a"), (6, "b")];
        let records = records.map(|(offset, key)| record(offset, key)).to_vec();

        let offsets: Vec<i64> = swapped(records)
            .iter()
            .map(|record| record.offset)
            .collect();

        assert_eq!(offsets, [6, 2, 5, 3]);
    }
}

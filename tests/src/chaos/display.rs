//! Terminal output of a run: one line per event, and a progress line.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, sleep};

use super::plan::FaultStep;
use super::recovery::Recovery;
use crate::replay::tally::Tally;

/// Redraw interval of the progress line on a terminal.
const REDRAW: Duration = Duration::from_millis(100);

/// Interval of progress lines in a log file.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the progress of a run.
#[derive(Debug)]
pub(super) struct ChaosDisplay {
    tally: Arc<Tally>,
    started: Instant,
    /// `None` when standard output is not a terminal.
    bar: Option<ProgressBar>,
    /// The active faults.
    faults: Mutex<BTreeSet<String>>,
}

impl ChaosDisplay {
    pub(super) fn new(tally: Arc<Tally>) -> Result<Self> {
        let bar = std::io::stdout().is_terminal().then(|| {
            let target = ProgressDrawTarget::stdout();
            let style = ProgressStyle::with_template("{spinner} {msg}");
            let bar = ProgressBar::with_draw_target(None, target);
            style.map(|style| bar.with_style(style))
        });
        Ok(Self {
            tally,
            started: Instant::now(),
            bar: bar.transpose().context("a progress template")?,
            faults: Mutex::default(),
        })
    }

    /// Redraws until it is dropped; run it beside the work.
    pub(super) async fn run(&self) {
        loop {
            let pause = match &self.bar {
                Some(bar) => {
                    bar.set_message(self.line());
                    bar.tick();
                    REDRAW
                }
                None => {
                    print_line(&self.line());
                    LINE_EVERY
                }
            };
            sleep(pause).await;
        }
    }

    /// Prints the last state and leaves it on the screen.
    pub(super) fn finish(&self) {
        match &self.bar {
            Some(bar) => bar.abandon_with_message(self.line()),
            None => print_line(&self.line()),
        }
    }

    pub(super) fn begins(&self, step: &FaultStep) {
        self.faults().insert(step.fault.to_string());
        let lasts = match step.lasts {
            Duration::ZERO => String::new(),
            lasts => format!(", for {lasts:?}"),
        };
        let amid = step
            .kill_amid
            .map(|service| format!(", with a kill of {service}"));
        self.note(&format!(
            "{}{lasts}{}",
            step.fault,
            amid.unwrap_or_default()
        ));
    }

    pub(super) fn ends(&self, step: &FaultStep) {
        self.faults().remove(&step.fault.to_string());
    }

    pub(super) fn recovered(&self, step: &FaultStep, recovery: Recovery) {
        match recovery {
            Recovery::NotNeeded => self.note(&format!("{}: over", step.fault)),
            Recovery::After(time) => self.note(&format!(
                "{}: recovered {:.1} s after its end",
                step.fault,
                time.as_secs_f64()
            )),
            Recovery::Missed => self.note(&format!("{}: NOT RECOVERED", step.fault)),
            Recovery::Interrupted => {}
        }
    }

    pub(super) fn published(&self, step: &FaultStep, records: u64) {
        match records {
            0 => self.note(&format!("{}: skipped, no record was published", step.fault)),
            _ => self.note(&format!("{}: {records} records", step.fault)),
        }
    }

    /// Prints an event.
    pub(super) fn note(&self, text: &str) {
        let text = format!("{:7.1} s  {text}", self.started.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => bar.println(text),
            None => print_line(&text),
        }
    }

    fn line(&self) -> String {
        let counts = self.tally.counts();
        let faults: Vec<String> = self.faults().iter().cloned().collect();
        let now = match faults.is_empty() {
            true => String::new(),
            false => format!("; now: {}", faults.join(", ")),
        };
        format!(
            "{:7.1} s  accepted {}, final {}, in progress {}{now}",
            self.started.elapsed().as_secs_f64(),
            counts.accepted,
            counts.ended(),
            counts.accepted - counts.ended(),
        )
    }

    fn faults(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // The set is complete at any time, so a poisoned lock is harmless.
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn print_line(text: &str) {
    // The pipe's reader may have closed it; the run continues and the report has all figures.
    let _ = writeln!(std::io::stdout(), "{text}");
}

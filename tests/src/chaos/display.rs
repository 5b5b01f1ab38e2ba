//! What a person sees while it runs: a line for everything that happens, and one that says how far it is.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, sleep};

use super::course::Recovery;
use super::plan::Step;
use crate::replay::tally::Tally;

/// Fast enough to look alive.
const REDRAW: Duration = Duration::from_millis(100);

/// A log that is read later needs no more.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far a run is.
#[derive(Debug)]
pub(super) struct Display {
    tally: Arc<Tally>,
    started: Instant,
    /// On a terminal.
    bar: Option<ProgressBar>,
    /// The faults that are on.
    faults: Mutex<BTreeSet<String>>,
}

impl Display {
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

    /// Leaves the last state standing.
    pub(super) fn finish(&self) {
        match &self.bar {
            Some(bar) => bar.abandon_with_message(self.line()),
            None => print_line(&self.line()),
        }
    }

    pub(super) fn begins(&self, step: &Step) {
        self.faults().insert(step.fault.to_string());
        let lasts = match step.lasts {
            Duration::ZERO => String::new(),
            lasts => format!(", for {lasts:?}"),
        };
        let amid = step
            .kill_amid
            .map(|service| format!(", amid it kill {service}"));
        self.note(&format!(
            "{}{lasts}{}",
            step.fault,
            amid.unwrap_or_default()
        ));
    }

    pub(super) fn ends(&self, step: &Step) {
        self.faults().remove(&step.fault.to_string());
    }

    pub(super) fn recovered(&self, step: &Step, recovery: Recovery) {
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

    pub(super) fn echoes(&self, step: &Step, records: u64) {
        match records {
            0 => self.note(&format!("{}: left out, no record to be had", step.fault)),
            _ => self.note(&format!("{}: {records} records", step.fault)),
        }
    }

    /// Shows something that happened.
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
        // A set of names is whole at any time.
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn print_line(text: &str) {
    // The pipe's reader may have closed it; the run continues and the report has all figures.
    let _ = writeln!(std::io::stdout(), "{text}");
}

//! Live progress: bars on a terminal, otherwise a plain line every second.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, sleep};

use super::summary::Counts;
use super::tally::Tally;

/// Redraw interval on a terminal.
const REDRAW: Duration = Duration::from_millis(100);

/// Interval of progress lines in a log file.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Shows the progress of a run.
#[derive(Debug)]
pub struct Progress {
    tally: Arc<Tally>,
    display: ReplayDisplay,
    started: Instant,
}

#[derive(Debug)]
enum ReplayDisplay {
    Bars(Box<Bars>),
    Lines,
}

#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    placed: ProgressBar,
    ended: ProgressBar,
    details: ProgressBar,
}

impl Progress {
    /// Uses bars when standard output is a terminal.
    pub fn new(tally: Arc<Tally>, count: usize) -> anyhow::Result<Self> {
        let display = if std::io::stdout().is_terminal() {
            ReplayDisplay::Bars(Box::new(Bars::new(count as u64)?))
        } else {
            ReplayDisplay::Lines
        };
        Ok(Self {
            tally,
            display,
            started: Instant::now(),
        })
    }

    /// Prints an event without disturbing the bars.
    pub fn note(&self, text: &str) {
        match &self.display {
            ReplayDisplay::Bars(bars) => {
                // The terminal is gone; the note is dropped.
                let _ = bars.all.println(text);
            }
            ReplayDisplay::Lines => print_line(text),
        }
    }

    /// Redraws until it is dropped; run it beside the work.
    pub async fn run(&self) {
        loop {
            match &self.display {
                ReplayDisplay::Bars(bars) => {
                    bars.show(&self.tally.counts());
                    sleep(REDRAW).await;
                }
                ReplayDisplay::Lines => {
                    sleep(LINE_EVERY).await;
                    self.show_line();
                }
            }
        }
    }

    /// Prints the last state and leaves it on the screen.
    pub fn finish(&self) {
        match &self.display {
            ReplayDisplay::Bars(bars) => {
                bars.show(&self.tally.counts());
                for bar in [&bars.placed, &bars.ended, &bars.details] {
                    bar.abandon();
                }
            }
            ReplayDisplay::Lines => self.show_line(),
        }
    }

    fn show_line(&self) {
        let seconds = self.started.elapsed().as_secs_f64();
        print_line(&line(seconds, &self.tally.counts()));
    }
}

impl Bars {
    fn new(count: u64) -> anyhow::Result<Self> {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let bar = |template: &str, length| -> anyhow::Result<ProgressBar> {
            let style = ProgressStyle::with_template(template).context("a progress template")?;
            Ok(all.add(ProgressBar::new(length).with_style(style.progress_chars("━╸─"))))
        };
        Ok(Self {
            placed: bar("answered {bar:40.cyan/dim} {pos:>7}/{len} {per_sec}", count)?,
            ended: bar("final    {bar:40.green/dim} {pos:>7}/{len} {per_sec}", 0)?,
            details: bar("         {msg}", 0)?,
            all,
        })
    }

    fn show(&self, counts: &Counts) {
        self.placed.set_position(answered(counts));
        if self.placed.length() == Some(answered(counts)) {
            // Stops the rate display.
            self.placed.abandon();
        }
        self.ended.set_length(counts.accepted);
        self.ended.set_position(counts.ended());
        self.details.set_message(details(counts));
    }
}

fn answered(counts: &Counts) -> u64 {
    counts.accepted + counts.refused_total() + counts.unanswered
}

fn details(counts: &Counts) -> String {
    let mut text = format!(
        "accepted {}, refused {}; fulfilled {}, rejected {}, cancelled {}",
        counts.accepted,
        counts.refused_total(),
        counts.fulfilled,
        counts.rejected_total(),
        counts.cancelled,
    );
    if counts.unanswered > 0 {
        text.push_str(&format!("; unanswered {}", counts.unanswered));
    }
    text
}

fn line(seconds: f64, counts: &Counts) -> String {
    format!(
        "{seconds:6.1} s  submitted {}, {}",
        counts.submitted,
        details(counts)
    )
}

fn print_line(text: &str) {
    // The pipe's reader may have closed it; the run continues and the report has all figures.
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_line_shows_the_progress() {
        let counts = Counts {
            submitted: 20,
            accepted: 14,
            refused: BTreeMap::from([("server: INVALID_REQUEST".to_owned(), 6)]),
            fulfilled: 9,
            rejected: BTreeMap::from([("OUT_OF_STOCK".to_owned(), 2)]),
            cancelled: 1,
            ..Counts::default()
        };

        assert_eq!(
            line(3.04, &counts),
            "   3.0 s  submitted 20, accepted 14, refused 6; fulfilled 9, rejected 2, cancelled 1"
        );
        assert_eq!(answered(&counts), 20);
    }
}

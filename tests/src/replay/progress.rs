//! Live progress: bars on a terminal, a plain line every second anywhere else.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, sleep};

use super::summary::Counts;
use super::tally::Tally;

/// Fast enough to look alive.
const REDRAW: Duration = Duration::from_millis(100);

/// A log that is read later needs no more.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Shows how far a run is.
#[derive(Debug)]
pub struct Progress {
    tally: Arc<Tally>,
    display: Display,
    started: Instant,
}

#[derive(Debug)]
enum Display {
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
    /// A display of a run of so many orders, as bars when standard output is a terminal.
    pub fn new(tally: Arc<Tally>, count: usize) -> anyhow::Result<Self> {
        let display = if std::io::stdout().is_terminal() {
            Display::Bars(Box::new(Bars::new(count as u64)?))
        } else {
            Display::Lines
        };
        Ok(Self {
            tally,
            display,
            started: Instant::now(),
        })
    }

    /// Shows something that happened, without disturbing the bars.
    pub fn note(&self, text: &str) {
        match &self.display {
            Display::Bars(bars) => {
                // A terminal that is gone takes no notes.
                let _ = bars.all.println(text);
            }
            Display::Lines => print_line(text),
        }
    }

    /// Redraws until it is dropped; run it beside the work.
    pub async fn run(&self) {
        loop {
            match &self.display {
                Display::Bars(bars) => {
                    bars.show(&self.tally.counts());
                    sleep(REDRAW).await;
                }
                Display::Lines => {
                    sleep(LINE_EVERY).await;
                    self.show_line();
                }
            }
        }
    }

    /// Shows the last state and leaves it standing.
    pub fn finish(&self) {
        match &self.display {
            Display::Bars(bars) => {
                bars.show(&self.tally.counts());
                for bar in [&bars.placed, &bars.ended, &bars.details] {
                    bar.abandon();
                }
            }
            Display::Lines => self.show_line(),
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
            // Its rate stands still from here on.
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
        text.push_str(&format!("; without an answer {}", counts.unanswered));
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
    fn a_line_says_how_far_the_run_is() {
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

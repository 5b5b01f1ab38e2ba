//! Live view of a run: one line that is redrawn on a terminal, otherwise a plain line every second.

use std::future::Future;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, sleep};

use super::figures::{LoadFigures, LoadWindow};
use super::run::LoadRun;
use crate::page::text::number;

const REDRAW: Duration = Duration::from_millis(200);

const LINE_EVERY: Duration = Duration::from_secs(1);

/// Runs `work` with the view of `run` beside it.
pub(super) async fn beside<T>(run: &LoadRun, work: impl Future<Output = Result<T>>) -> Result<T> {
    let view = LiveView::new(run)?;
    let done = tokio::select! {
        done = work => done,
        never = view.show() => match never {},
    };
    view.clear();
    done
}

struct LiveView<'a> {
    run: &'a LoadRun,
    begun: Instant,
    bar: Option<ProgressBar>,
}

impl<'a> LiveView<'a> {
    fn new(run: &'a LoadRun) -> Result<Self> {
        let is_plain = !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some();
        let begun = Instant::now();
        if is_plain {
            return Ok(Self {
                run,
                begun,
                bar: None,
            });
        }
        let whole = run.plan().warm_up + run.plan().measured_length();
        let length = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
        let style = ProgressStyle::with_template("{bar:16.cyan/dim} {wide_msg}")
            .context("a progress template")?;
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stdout());
        bar.set_style(style.progress_chars("━╸─"));
        Ok(Self {
            run,
            begun,
            bar: Some(bar),
        })
    }

    async fn show(&self) -> std::convert::Infallible {
        loop {
            match &self.bar {
                Some(bar) => {
                    bar.set_position(
                        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                    );
                    bar.set_message(self.line());
                    sleep(REDRAW).await;
                }
                None => {
                    sleep(LINE_EVERY).await;
                    // A reader that has gone misses only this view.
                    let _ = writeln!(std::io::stdout(), "{}", self.line());
                }
            }
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self) -> String {
        let seconds = self.begun.elapsed().as_secs_f64();
        if self.begun.elapsed() < self.run.plan().warm_up {
            return format!("{seconds:6.1} s  warm-up");
        }
        self.run
            .recorder()
            .look(|figures| format!("{seconds:6.1} s  {}", state(figures)))
    }
}

/// The last whole window, and what the run has so far.
fn state(figures: &LoadFigures) -> String {
    let windows = &figures.windows;
    let last = windows
        .len()
        .checked_sub(2)
        .and_then(|last| windows.get(last));
    let window = figures.window_length.as_secs_f64();
    let (rate, p99) = last.map_or((0.0, None), |last| {
        (last.offered as f64 / window, last.quantile(0.99))
    });
    let sum = |count: fn(&LoadWindow) -> u64| windows.iter().map(count).sum::<u64>();
    let mut line = format!(
        "{}/s offered, p99 {} ms; accepted {}, refused {}, failed {}, final {}",
        number(rate),
        p99.map_or("-".to_owned(), number),
        sum(|window| window.accepted),
        sum(|window| window.refused),
        sum(|window| window.failed),
        figures.order_outcomes.times.count()
    );
    if figures.dropped > 0 {
        line += &format!(", dropped {}", figures.dropped);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::figures::tests::figures;

    #[test]
    fn a_line_shows_the_last_whole_window_and_the_totals() {
        let mut figures = figures(20, 10);
        figures.offered(Duration::from_millis(1_500));

        let line = state(&figures);

        assert!(line.starts_with("20/s offered, p99 10"), "{line}");
        assert!(
            line.ends_with("accepted 20, refused 0, failed 0, final 0"),
            "{line}"
        );
    }
}

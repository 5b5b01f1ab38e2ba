//! The waterfall in a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use console::Term;

use super::{WaterfallRow, length};

/// Columns without a terminal.
const USUAL_WIDTH: usize = 100;

/// Below this width there is no space for bars beside the names.
const MIN_WIDTH: usize = 60;

/// Columns of the two times with their spaces.
const TIMES: usize = 18;

/// The names' share of the remaining columns in percent.
const NAMES: usize = 65;

/// The width of the terminal on standard output.
pub fn width_of_terminal() -> usize {
    let size = Term::stdout().size_checked();
    size.map_or(USUAL_WIDTH, |(_, columns)| usize::from(columns))
}

/// The rows as lines of at most `width` columns: service and span name, start, duration, a bar to scale. `~` marks a
/// span with links, `!` a failed one.
pub fn render(rows: &[WaterfallRow], width: usize) -> String {
    let width = width.max(MIN_WIDTH) - TIMES;
    let names = width * NAMES / 100;
    let bars = width - names;
    let whole = length(rows);
    let mut text = format!("{:<names$}{:>9}{:>9}\n", "span", "from ms", "takes ms");
    for row in rows {
        let line = format!(
            "{:<names$}{:>9}{:>9} {}",
            shortened(&label(row), names),
            milliseconds(row.offset),
            milliseconds(row.duration),
            bar(row, whole, bars - 1)
        );
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text + "~ has links to other spans   ! failed\n"
}

fn label(row: &WaterfallRow) -> String {
    let indent = "  ".repeat(row.depth);
    let service = row.service.trim_end_matches("-service");
    let link = if row.is_linked { " ~" } else { "" };
    let failure = if row.failed { " !" } else { "" };
    format!("{indent}{service} {} {}{link}{failure}", row.kind, row.name)
}

/// Shortened in the middle, so that the beginning and the marks stay.
fn shortened(label: &str, columns: usize) -> String {
    let letters: Vec<char> = label.chars().collect();
    if letters.len() <= columns {
        return label.to_owned();
    }
    let tail = columns / 3;
    let head = columns - tail - 1;
    let end = letters.len() - tail;
    letters[..head]
        .iter()
        .chain(&['…'])
        .chain(&letters[end..])
        .collect()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}

/// At least one column, also for a duration of zero.
fn bar(row: &WaterfallRow, whole: Duration, columns: usize) -> String {
    let column = |time: Duration| {
        let share = time.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
        (share * columns as f64) as usize
    };
    let start = column(row.offset).min(columns - 1);
    let end = column(row.end()).clamp(start + 1, columns);
    " ".repeat(start) + &"█".repeat(end - start)
}

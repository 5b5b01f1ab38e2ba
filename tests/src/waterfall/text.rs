//! The waterfall in a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use console::Term;

use super::{Row, length};

/// Columns where there is no terminal.
const USUAL_WIDTH: usize = 100;

/// Below this there is no room for bars beside the names.
const MIN_WIDTH: usize = 60;

/// Columns of the two times with their spaces.
const TIMES: usize = 18;

/// Of the part that names and bars share, so much is for names, in percent.
const NAMES: usize = 65;

/// The columns of the terminal that this program writes to.
pub fn width_of_terminal() -> usize {
    let size = Term::stdout().size_checked();
    size.map_or(USUAL_WIDTH, |(_, columns)| usize::from(columns))
}

/// The rows as lines of at most `width` columns: what was done by whom, when it began, how long it took, a bar to scale.
/// `~` marks a span with links, `!` one that failed.
pub fn render(rows: &[Row], width: usize) -> String {
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
        // Writing to a text does not fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text + "~ has links to other spans   ! failed\n"
}

fn label(row: &Row) -> String {
    let indent = "  ".repeat(row.depth);
    let service = row.service.trim_end_matches("-service");
    let link = if row.is_linked { " ~" } else { "" };
    let failure = if row.failed { " !" } else { "" };
    format!("{indent}{service} {} {}{link}{failure}", row.kind, row.name)
}

/// Cut in the middle, so that the beginning and the marks stay.
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

/// At least one column, also for what took no time.
fn bar(row: &Row, whole: Duration, columns: usize) -> String {
    let column = |time: Duration| {
        let share = time.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
        (share * columns as f64) as usize
    };
    let start = column(row.offset).min(columns - 1);
    let end = column(row.end()).clamp(start + 1, columns);
    " ".repeat(start) + &"█".repeat(end - start)
}

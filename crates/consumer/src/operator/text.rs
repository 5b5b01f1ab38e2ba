//! Formatting: tables, printable text, times and ages.

use std::io::{self, Write};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Widest cell of a table, in characters; `show` and `--json` print the whole text. The last cell of a row is not cut.
const WIDEST_CELL: usize = 100;

/// An empty cell.
pub(super) const NOTHING: &str = "-";

/// A table: columns are as wide as their widest cell.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn with_head<const COLUMNS: usize>(head: [&str; COLUMNS]) -> Self {
        Self {
            rows: vec![head.map(str::to_owned).to_vec()],
        }
    }

    pub(super) fn push<const COLUMNS: usize>(&mut self, row: [String; COLUMNS]) {
        let mut row = row.to_vec();
        for cell in row.iter_mut().rev().skip(1) {
            *cell = shortened(cell);
        }
        self.rows.push(row);
    }

    pub(super) fn write(&self, output: &mut (dyn Write + Send)) -> io::Result<()> {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(output, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

/// Cut to the width of a cell.
pub(super) fn shortened(cell: &str) -> String {
    if cell.chars().count() <= WIDEST_CELL {
        return cell.to_owned();
    }
    let kept: String = cell.chars().take(WIDEST_CELL - 1).collect();
    format!("{kept}…")
}

/// External text in one line without control characters.
pub(super) fn printable(text: &str) -> String {
    let mut printed = String::with_capacity(text.len());
    for character in text.chars() {
        if is_invisible(character) {
            printed.extend(character.escape_default());
        } else {
            printed.push(character);
        }
    }
    printed
}

/// Control characters, and Unicode that reorders or hides text: direction marks, joiners, line separators.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// External bytes: as text if they are UTF-8, else escaped.
pub(super) fn bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => printable(text),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

pub(super) fn key(key: Option<&[u8]>) -> String {
    key.map_or_else(|| NOTHING.to_owned(), bytes)
}

/// RFC 3339, in UTC.
pub(super) fn time(unix_millis: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_millis) * 1_000_000);
    let text = at.ok().and_then(|at| at.format(&Rfc3339).ok());
    text.unwrap_or_else(|| format!("{unix_millis} ms after 1970"))
}

/// An age in the largest unit that fits.
pub(super) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_text_cannot_control_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(bytes(&[b'a', 0xff, 0x1b]), "a\\xff\\x1b");
        assert_eq!(printable("größer – ok"), "größer – ok");
    }

    #[test]
    fn a_table_is_aligned_and_all_of_its_cells_but_the_last_are_bounded() {
        let mut table = Table::with_head(["ID", "KEY", "REASON"]);
        let long = "x".repeat(1_000);
        table.push(["1", &long, &long].map(str::to_owned));
        table.push(["1000", "ü", "short"].map(str::to_owned));
        let mut output = Vec::new();

        table.write(&mut output).unwrap();

        let text = String::from_utf8(output).unwrap();
        let cut = format!("{}…", "x".repeat(99));
        let (key, umlaut) = (format!("{:<100}", "KEY"), format!("{:<100}", "ü"));
        let expected = format!("ID    {key}  REASON\n1     {cut}  {long}\n1000  {umlaut}  short\n");
        assert_eq!(text, expected);
    }

    #[test]
    fn times_and_ages_are_readable() {
        assert_eq!(time(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(time(i64::MAX), format!("{} ms after 1970", i64::MAX));
        assert_eq!(age(Duration::from_secs(119)), "119s");
        assert_eq!(age(Duration::from_secs(7_199)), "119m");
        assert_eq!(age(Duration::from_secs(172_800)), "2d");
    }
}

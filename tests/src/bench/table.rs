//! The figures as a table for the terminal and for `docs/figures.md`.

use super::figures::{Figures, RoundSpread};
use super::rows::{FigureRow, ROWS, Target};

/// A Markdown table of every measured figure.
pub(super) fn of(figures: &Figures) -> String {
    let head = [
        format!("medians of {} rounds", figures.rounds()),
        "measured".to_owned(),
        "lowest to highest".to_owned(),
        "target".to_owned(),
        String::new(),
    ];
    let rows = ROWS.iter().filter_map(|row| {
        let spread = figures.spread(row.key)?;
        Some(cells(row, spread))
    });
    markdown(std::iter::once(head).chain(rows))
}

fn cells(row: &FigureRow, spread: RoundSpread) -> [String; 5] {
    let RoundSpread {
        lowest,
        median,
        highest,
    } = spread;
    [
        row.what.to_owned(),
        format!("{} {}", number(median), row.unit)
            .trim_end()
            .to_owned(),
        format!("{} to {}", number(lowest), number(highest)),
        row.target.map(target).unwrap_or_default(),
        row.target
            .map_or("", |target| {
                if target.is_met(median) {
                    "met"
                } else {
                    "MISSED"
                }
            })
            .to_owned(),
    ]
}

fn target(target: Target) -> String {
    match target {
        Target::AtLeast(bound) => format!("≥ {}", number(bound)),
        Target::AtMost(bound) => format!("≤ {}", number(bound)),
    }
}

/// Aligned, so that it reads as plain text too; the first row is the head.
pub(super) fn markdown<const COLUMNS: usize>(
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> String {
    let rows: Vec<_> = rows.collect();
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or_default()
    });
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            text += &format!("| {cell:<width$} ");
        }
        text += "|\n";
        if number == 0 {
            text += &widths
                .map(|width| format!("|{}", "-".repeat(width + 2)))
                .concat();
            text += "|\n";
        }
    }
    text
}

/// Three significant digits below a hundred, whole numbers with separators above.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => with_separators(value),
    }
}

fn with_separators(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let texts = [0.354, 12.34, 999.6, 55_244.0, 1_000_000.0].map(number);

        assert_eq!(texts, ["0.35", "12.3", "1,000", "55,244", "1,000,000"]);
    }

    #[test]
    fn a_missed_target_is_named_and_an_unmeasured_figure_has_no_row() {
        let mut figures = Figures::default();
        figures.add("end_to_end_per_s", 2_590.0);
        figures.add("relay_ms.p50", 4.0);

        let table = of(&figures);

        let line = |what| table.lines().find(|line| line.contains(what));
        let cells = |what| -> Vec<String> {
            let line: &str = line(what).unwrap();
            line.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        assert_eq!(
            cells("to their final state")[2..6],
            ["2,590 /s", "2,590 to 2,590", "≥ 4,500", "MISSED"]
        );
        assert_eq!(cells("acknowledgement")[5], "met");
        assert_eq!(line("empty gRPC call"), None);
    }
}

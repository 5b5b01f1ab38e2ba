//! The table in the terminal: one block per scenario, one line per way.

use std::fmt::Write as _;

use super::cell::Cell;
use super::columns::{COLUMNS, share, time};

/// Gap between two columns.
const GAP: &str = "  ";

/// The line that is printed when a scenario of a way is done.
pub(super) fn progress(cell: &Cell) -> String {
    let late = match cell.was_sent_in_time() {
        true => String::new(),
        false => format!("; THE LOAD WAS SENT {} LATE", time(Some(cell.lateness_p99))),
    };
    format!(
        "{:<15} {:<19} {:>5} orders; errors {:>7}; answer p99 {:>9}; outcome p99 {:>9}{late}",
        cell.way,
        cell.scenario,
        cell.offered,
        share(cell.error_share()),
        time(cell.confirm_p99),
        time(cell.outcome_p99),
    )
}

/// All cells; each scenario is a block under its name.
pub(super) fn table(blocks: &[(&str, Vec<&Cell>)]) -> String {
    let mut rows: Vec<Vec<String>> = vec![heads()];
    for cell in blocks.iter().flat_map(|(_, cells)| cells) {
        rows.push(COLUMNS.iter().map(|(_, text)| text(cell)).collect());
    }
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut rows = rows.iter().map(|row| line(row, &widths));
    let mut table = rows.next().unwrap_or_default();
    for (name, cells) in blocks {
        let _ = writeln!(table, "{name}");
        for row in rows.by_ref().take(cells.len()) {
            table.push_str(&row);
        }
    }
    table
}

fn heads() -> Vec<String> {
    COLUMNS.iter().map(|(head, _)| (*head).to_owned()).collect()
}

/// The first column is left-aligned and indented below the name of its block.
fn line(row: &[String], widths: &[usize]) -> String {
    let columns = row.iter().zip(widths).enumerate();
    let columns: Vec<_> = columns
        .map(|(column, (text, &width))| match column {
            0 => format!("  {text:<width$}"),
            _ => format!("{text:>width$}"),
        })
        .collect();
    columns.join(GAP) + "\n"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cell::tests::any_cell;
    use super::super::way::Way;
    use super::*;

    proptest! {
        #[test]
        fn every_line_of_figures_is_as_wide_as_the_heads(
            one in any_cell(Way::SyncOnly),
            other in any_cell(Way::Hybrid),
        ) {
            let blocks = [("calm", vec![&one, &other]), ("spike", vec![&other])];

            let table = table(&blocks);

            let lines: Vec<_> = table.lines().collect();
            prop_assert_eq!(lines.len(), 1 + 2 + 3);
            prop_assert_eq!((lines[1], lines[4]), ("calm", "spike"));
            for figures in [2, 3, 5] {
                prop_assert_eq!(lines[figures].chars().count(), lines[0].chars().count());
            }
        }
    }
}

//! The sentences agree with the figures, whatever these are.

use proptest::prelude::*;

use super::super::cell::tests::any_cell;
use super::super::columns::COLUMNS;
use super::*;

fn any_cells() -> impl Strategy<Value = Vec<Cell>> {
    Way::ALL.map(|way| any_cell(way).boxed()).to_vec()
}

fn told(cells: &[Cell]) -> Vec<String> {
    sentences(&cells.iter().collect::<Vec<_>>())
}

fn sentence(cells: &[Cell], begin: &str) -> Option<String> {
    told(cells)
        .into_iter()
        .find(|sentence| sentence.starts_with(begin))
}

/// Numbers with their units, such as `12.3 ms`, as they stand in a sentence.
fn figures(sentence: &str) -> Vec<String> {
    let words: Vec<_> = sentence.split([' ', '(', ')', ',', ';']).collect();
    let units = ["ms", "%", "MiB"];
    let pairs = words.windows(2);
    pairs
        .filter(|pair| units.contains(&pair[1].trim_end_matches('.')))
        .map(|pair| format!("{} {}", pair[0], pair[1].trim_end_matches('.')))
        .collect()
}

proptest! {
    #[test]
    fn every_figure_of_a_sentence_stands_in_the_table(cells in any_cells()) {
        let columns = COLUMNS.iter();
        let table: Vec<String> = columns
            .flat_map(|(_, text)| cells.iter().map(text))
            .collect();

        for sentence in told(&cells) {
            for figure in figures(&sentence) {
                prop_assert!(table.contains(&figure), "{figure} of {sentence:?} in {table:?}");
            }
        }
    }

    #[test]
    fn a_measure_is_called_worse_exactly_if_another_way_is_clearly_better(cells in any_cells()) {
        let worse = sentence(&cells, "Hybrid is worse in").unwrap_or_default();
        let (hybrid, others) = (&cells[3], &cells[..3]);

        for measure in MEASURES {
            let is_worse = others.iter().any(|other| measure.is_worse(hybrid, other));
            let is_told = worse.contains(&format!("{} ({} against", measure.name, (measure.text)(hybrid)));
            prop_assert_eq!(is_told, is_worse, "{}: {}", measure.name, worse);
        }
    }

    #[test]
    fn no_measure_is_both_the_best_and_worse(cells in any_cells()) {
        let (hybrid, others) = (&cells[3], &cells[..3]);

        for measure in MEASURES {
            let is_best = others.iter().all(|other| measure.is_worse(other, hybrid));
            let is_worse = others.iter().any(|other| measure.is_worse(hybrid, other));
            prop_assert!(!(is_best && is_worse), "{}", measure.name);
        }
    }

    #[test]
    fn a_way_is_named_among_the_errors_exactly_if_its_users_saw_some(cells in any_cells()) {
        let errors = sentence(&cells, "Errors were seen by").unwrap_or_default();

        for cell in &cells {
            let named = format!("{} with {}", share(cell.error_share()), cell.way);
            prop_assert_eq!(errors.contains(&named), cell.error_share() >= NOTABLE);
        }
    }

    #[test]
    fn nothing_lost_is_said_only_if_nothing_was(cells in any_cells()) {
        let said = sentence(&cells, "No order was lost").is_some();
        let found = cells.iter().any(|cell| cell.lost + cell.doubled + cell.half_done > 0);

        prop_assert_eq!(said, !found);
    }
}

#[test]
fn the_test_finds_the_figures_of_a_sentence() {
    let found = figures(
        "Hybrid is worse in: memory (80 MiB against 41 MiB of sync only) and answer p99 (1.5 ms).",
    );

    assert_eq!(found, ["80 MiB", "41 MiB", "1.5 ms"]);
}

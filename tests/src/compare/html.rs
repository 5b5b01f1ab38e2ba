//! The report as a page, with links to the source.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::cell::{Cell, Second};
use super::columns::{COLUMNS, share, time};
use super::findings;
use super::report::Study;
use super::scenario::{CHECKOUT, IN_FLIGHT, Lengths, PAYMENT, Scenario, capacity};
use super::way::Way;
use crate::page::Page;
use crate::page::bars::BarPlot;
use crate::page::plot::LinePlot;
use crate::page::scale::Axis;
use crate::page::table::Table;
use crate::page::text::number;

const TITLE: &str = "Synchronous, asynchronous, or both?";

/// A figure of the overview, by scenario and way.
type Overview = (&'static str, fn(&Cell) -> String);

const OVERVIEWS: [Overview; 3] = [
    ("Users who saw an error", |cell| share(cell.error_share())),
    ("Users told yes whose order was not done", |cell| {
        share(cell.broken_share())
    }),
    ("Time to a definite answer, p99", |cell| {
        time(cell.confirm_p99)
    }),
];

/// Writes the page.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(study: &Study, path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let sources = Sources::seen_from(folder)?;
    page(study, &sources).write(path)
}

fn page(study: &Study, sources: &Sources) -> Page {
    let mut page = Page::new(TITLE);
    introduce(&mut page, study, sources);
    overview(&mut page, study);
    for (scenario, cells) in study.blocks() {
        show(&mut page, study, scenario, &cells);
        let patterns = scenario.patterns.iter();
        let links = patterns.map(|(name, file)| ((*name).to_owned(), sources.link(file)));
        page.links("Where to read on:", links);
    }
    if let Some(audit) = &study.audit {
        page.heading("The audit of the hybrid way");
        let text = format!(
            "{} orders of all its scenarios in both databases and on both topics: {} violations.",
            audit.orders,
            audit.violations().len()
        );
        page.verdict(audit.is_ok(), &text);
    }
    page
}

fn introduce(page: &mut Page, study: &Study, sources: &Sources) {
    let length = if study.quick {
        " Quick run: figures are coarse."
    } else {
        ""
    };
    page.paragraph(&format!(
        "The same real orders, with the same heavy work, are run in four ways through the same disturbances. The heavy work is a \
         payment provider that answers after {} ms; at most {IN_FLIGHT} orders are in work at once, by call or by event, which is a \
         capacity of {} orders per second. A user waits at most {} s. Engines: {}.{length}",
        PAYMENT.as_millis(),
        number(capacity()),
        CHECKOUT.as_secs(),
        study.engines
    ));
    for way in Way::ALL {
        let links = [(way.name().to_owned(), sources.link(way.file()))];
        page.links_before(links, way.about());
    }
    page.paragraph(
        "Times count from when an order was due, also while the system was slow. Some orders are bad, as in real data: 4 of 100 \
         payments are declined, and some lines are out of stock or unknown. An order that is refused for such a reason is a no, \
         not an error.",
    );
}

fn overview(page: &mut Page, study: &Study) {
    for (name, text) in OVERVIEWS {
        page.heading(name);
        let mut table = Table::new(heads("scenario"));
        for (scenario, cells) in study.blocks() {
            let cells = cells.into_iter().map(text);
            table.row(std::iter::once(scenario.name.to_owned()).chain(cells));
        }
        page.table(&table);
    }
}

/// A head for the names of the rows, and one per way.
fn heads(rows: &'static str) -> impl Iterator<Item = &'static str> {
    std::iter::once(rows).chain(Way::ALL.map(Way::name))
}

fn show(page: &mut Page, study: &Study, scenario: &Scenario, cells: &[&Cell]) {
    page.heading(&capitalized(scenario.name));
    page.paragraph(scenario.about);
    let mut plots = vec![
        bars(cells, "Time to a definite answer, p99", |cell| {
            cell.confirm_p99
        }),
        share_bars(cells, "Users who saw an error", Cell::error_share),
    ];
    if let Some(disturbed) = Lengths::of(study.quick).disturbed(scenario.disturbance) {
        plots.extend(over_time(cells, disturbed).map(|plot| plot.to_string()));
    }
    plots.push(bars(cells, "Time to the outcome, p99", |cell| {
        cell.outcome_p99
    }));
    plots.push(share_bars(
        cells,
        "Told yes, and not done",
        Cell::broken_share,
    ));
    page.plots(plots);
    // The way is in the head.
    let mut table = Table::new(heads("figure"));
    for (name, text) in &COLUMNS[1..] {
        let cells = cells.iter().map(|cell| text(cell));
        table.row(std::iter::once((*name).to_owned()).chain(cells));
    }
    page.table(&table);
    page.paragraph(&findings::sentences(cells).join(" "));
}

fn bars(cells: &[&Cell], title: &str, time: fn(&Cell) -> Option<f64>) -> String {
    let plot = BarPlot::new(title, " ms");
    let bar =
        |plot: BarPlot, cell: &&Cell| plot.bar(cell.way.name(), time(cell).unwrap_or(f64::NAN));
    cells.iter().fold(plot, bar).to_string()
}

/// In per cent, rounded as in the tables.
fn share_bars(cells: &[&Cell], title: &str, share: fn(&Cell) -> f64) -> String {
    let plot = BarPlot::new(title, " %");
    let bar = |plot: BarPlot, cell: &&Cell| {
        plot.bar(cell.way.name(), (share(cell) * 1_000.0).round() / 10.0)
    };
    cells.iter().fold(plot, bar).to_string()
}

/// Answers and errors by the second in which an order was due, with begin and end of what is unusual.
fn over_time(cells: &[&Cell], (begin, end): (Duration, Duration)) -> [LinePlot; 2] {
    let titles = [
        ("Answer p99, by when the order was sent", Axis::log("ms")),
        (
            "Errors per second, by when the order was sent",
            Axis::linear("users"),
        ),
    ];
    let values: [fn(&Second) -> f64; 2] = [
        // Without an answer there is a gap.
        |second| second.confirm_p99.unwrap_or(f64::NAN),
        |second| second.errors as f64,
    ];
    let mut values = values.into_iter();
    titles.map(|(title, axis)| {
        let plot = LinePlot::new(title, Axis::linear("seconds"), axis)
            .mark(begin.as_secs_f64(), "begins")
            .mark(end.as_secs_f64(), "ends");
        let Some(value) = values.next() else {
            return plot;
        };
        cells.iter().fold(plot, |plot, cell| {
            let seconds = (0_u32..).zip(&cell.seconds);
            let points = seconds.map(|(second, of)| (f64::from(second) + 0.5, value(of)));
            plot.line(cell.way.name(), points)
        })
    })
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Links from the page's folder to files of the repository.
struct Sources {
    /// The way from the page to the root of the repository, such as `../`.
    root: String,
}

impl Sources {
    fn seen_from(folder: &Path) -> Result<Self> {
        let root = normal(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        let folder = normal(&std::path::absolute(folder.join("."))?);
        let shared = root.components().zip(folder.components());
        let shared = shared.take_while(|(one, other)| one == other).count();
        let up = folder.components().skip(shared).map(|_| "..".to_owned());
        let down = root.components().skip(shared);
        let down = down.map(|part| part.as_os_str().to_string_lossy().into_owned());
        let root = up.chain(down).map(|part| part + "/").collect();
        Ok(Self { root })
    }

    fn link(&self, file: &str) -> String {
        format!("{}{file}", self.root)
    }
}

/// Without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cell::tests::any_cell;
    use super::*;

    fn any_study() -> impl Strategy<Value = Study> {
        let cells: Vec<_> = Way::ALL.map(|way| any_cell(way).boxed()).to_vec();
        cells.prop_map(|cells| Study {
            engines: "embedded broker, SQLite".to_owned(),
            quick: true,
            cells,
            audit: None,
        })
    }

    #[test]
    fn links_lead_from_the_page_to_the_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");

        let below = Sources::seen_from(&root.join(".local/pages")).unwrap();
        let at = Sources::seen_from(&root).unwrap();

        assert_eq!(below.link("README.md"), "../../README.md");
        assert_eq!(at.link("README.md"), "README.md");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_page_has_every_figure_and_every_sentence_of_a_scenario(study in any_study()) {
            let sources = Sources { root: String::new() };

            let page = page(&study, &sources).to_string();

            let (scenario, cells) = study.blocks().remove(0);
            for sentence in findings::sentences(&cells) {
                prop_assert!(page.contains(&sentence), "{}", sentence);
            }
            for (_, text) in &COLUMNS[1..] {
                let cells = cells.iter().map(|cell| format!("<td>{}</td>", text(cell)));
                let row: String = cells.collect();
                prop_assert!(page.contains(&row), "{}", row);
            }
            for (_, file) in scenario.patterns {
                let link = format!("href=\"{file}\"");
                prop_assert!(page.contains(&link), "{}", file);
            }
        }
    }
}

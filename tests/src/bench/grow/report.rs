//! What grew with what: tables for the terminal and the docs, a page with plots, JSON.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{BenchArguments, GrowParameter, GrowRow};
use crate::bench::table::{markdown, number};
use crate::page::Page;
use crate::page::plot::LinePlot;
use crate::page::scale::Axis;
use crate::page::table::Table;
use crate::report::write_json;

/// The results for all values of one parameter.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    pub(super) parameter: GrowParameter,
    pub(super) rows: Vec<GrowRow>,
}

/// Writes the files that the arguments name.
pub(super) fn write(grown: &[Growth], arguments: &BenchArguments) -> Result<()> {
    if let Some(path) = &arguments.json {
        write_json(path, &json(grown))?;
    }
    match &arguments.html {
        Some(path) => page(grown).write(path),
        None => Ok(()),
    }
}

fn json(grown: &[Growth]) -> Value {
    let of = |growth: &Growth| {
        let rows = growth.rows.iter().map(|row| {
            json!({
                "value": row.value,
                "orders_per_s": row.per_second,
                "cpu_us_per_order": row.cost.cpu,
                "wal_bytes_per_order": row.cost.wal,
            })
        });
        (growth.parameter.name().to_owned(), rows.collect())
    };
    Value::Object(grown.iter().map(of).collect::<Map<_, _>>())
}

fn page(grown: &[Growth]) -> Page {
    let mut page = Page::new("How cost grows");
    page.paragraph(
        "Orders per second to their final state, and the CPU time of an order, by one parameter at a time. Each value was \
         measured once: small differences between neighbours are noise.",
    );
    for growth in grown {
        page.heading(growth.parameter.name());
        page.plots(growth.plots());
        page.table(&growth.html_table());
    }
    page
}

impl Growth {
    /// In Markdown.
    pub(super) fn table(&self) -> String {
        markdown(std::iter::once(self.head().map(str::to_owned)).chain(self.cells()))
    }

    fn html_table(&self) -> Table {
        let mut table = Table::new(self.head());
        for cells in self.cells() {
            table.row(cells);
        }
        table
    }

    fn head(&self) -> [&'static str; 5] {
        [
            self.parameter.name(),
            "orders/s",
            "CPU per order, µs",
            "of each process",
            "WAL, B",
        ]
    }

    fn cells(&self) -> impl Iterator<Item = [String; 5]> {
        self.rows.iter().map(|row| {
            let each = row.cost.cpu.iter();
            let each: Vec<_> = each
                .map(|(name, micros)| format!("{name} {micros:.0}"))
                .collect();
            [
                row.value.to_string(),
                number(row.per_second),
                number(row.cost.total()),
                each.join(", "),
                number(row.cost.wal),
            ]
        })
    }

    fn plots(&self) -> [LinePlot; 2] {
        let rate = LinePlot::new("Throughput", self.axis(), Axis::linear("orders/s"))
            .line("orders/s", self.points(|row| row.per_second));
        let axis = Axis::linear("µs of CPU per order");
        let mut cost = LinePlot::new("CPU time of an order", self.axis(), axis);
        let processes = self.rows.first().map(|row| row.cost.cpu.keys());
        for name in processes.into_iter().flatten() {
            let of_process = self.points(|row| row.cost.cpu.get(name).copied().unwrap_or(f64::NAN));
            cost = cost.line(name, of_process);
        }
        [rate, cost]
    }

    fn axis(&self) -> Axis {
        let name = self.parameter.name();
        match self.shift() {
            0 => Axis::log(name),
            shift => Axis::log(&format!("{name} + {shift}")),
        }
    }

    /// A logarithmic axis has no place for 0.
    fn shift(&self) -> u64 {
        u64::from(self.rows.iter().any(|row| row.value == 0))
    }

    fn points(&self, y: impl Fn(&GrowRow) -> f64) -> Vec<(f64, f64)> {
        let place = |row: &GrowRow| ((row.value + self.shift()) as f64, y(row));
        self.rows.iter().map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::bench::usage::CostPerOrder;

    fn watched(values: &[u64]) -> Growth {
        let row = |value: &u64| GrowRow {
            value: *value,
            per_second: 2_500.0,
            cost: CostPerOrder {
                cpu: BTreeMap::from([("broker", 100.0), ("driver", 51.0)]),
                wal: 9_000.0,
            },
        };
        Growth {
            parameter: GrowParameter::Watchers,
            rows: values.iter().map(row).collect(),
        }
    }

    #[test]
    fn a_row_has_the_sum_and_the_share_of_each_process() {
        let table = watched(&[10]).table();

        let row = table.lines().last().unwrap();
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert_eq!(
            cells[1..6],
            ["10", "2,500", "151", "broker 100, driver 51", "9,000"]
        );
    }

    #[test]
    fn no_watcher_at_all_has_a_place_on_the_axis() {
        let points = |growth: Growth| growth.points(|row| row.per_second);

        assert_eq!(points(watched(&[0, 10]))[0], (1.0, 2_500.0));
        assert_eq!(points(watched(&[1, 10]))[0], (1.0, 2_500.0));
    }

    #[test]
    fn every_parameter_has_its_plots_on_the_page_and_its_rows_in_the_json() {
        let grown = [watched(&[0, 10])];

        let page = page(&grown).to_string();

        assert_eq!(page.matches("<svg").count(), 2);
        assert_eq!(json(&grown)["watchers"][1]["value"], 10);
    }
}

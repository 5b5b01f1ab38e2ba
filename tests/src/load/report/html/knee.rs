//! The knee on the page: latency and answers by load.

use crate::load::knee::{Knee, KneeStep};
use crate::page::Page;
use crate::page::plot::LinePlot;
use crate::page::scale::Axis;
use crate::page::table::Table;
use crate::page::text::number;

pub(super) fn add(page: &mut Page, knee: &Knee) {
    page.heading("The knee");
    let text = match knee.per_second {
        Some(rate) => format!(
            "All objectives hold up to {rate:.0} calls per second; {}.",
            knee.limit
        ),
        None => format!("No rate holds all objectives: {}.", knee.limit),
    };
    page.paragraph(&text);
    page.plots([knee_latency(knee), shed_curve(knee)]);
    let columns = [
        "offered/s",
        "accepted/s",
        "refused/s",
        "failed/s",
        "p50 ms",
        "p99 ms",
    ];
    let mut table = Table::new(columns).with_words("objectives");
    for step in knee.curve() {
        let rates = [
            step.per_second,
            step.accepted_per_second,
            step.refused_per_second,
            step.failed_per_second,
        ];
        let times = [step.p50, step.p99].map(|time| time.map_or("-".to_owned(), number));
        let strain = step.strain.clone().unwrap_or_else(|| "hold".to_owned());
        table.row(rates.map(number).into_iter().chain(times).chain([strain]));
    }
    page.table(&table);
}

fn knee_latency(knee: &Knee) -> LinePlot {
    let line = |value: fn(&KneeStep) -> Option<f64>| {
        let steps = knee.curve().into_iter();
        steps
            .map(|step| (step.per_second, value(step).unwrap_or(f64::NAN)))
            .collect::<Vec<_>>()
    };
    let plot = LinePlot::new(
        "Latency of accepted orders by load",
        Axis::linear("calls/s offered"),
        Axis::log("ms"),
    );
    marked(plot, knee)
        .line("p50", line(|step| step.p50))
        .line("p99", line(|step| step.p99))
}

fn shed_curve(knee: &Knee) -> LinePlot {
    let line = |value: fn(&KneeStep) -> f64| {
        let steps = knee.curve().into_iter();
        steps
            .map(|step| (step.per_second, value(step)))
            .collect::<Vec<_>>()
    };
    let plot = LinePlot::new(
        "What becomes of the load",
        Axis::linear("calls/s offered"),
        Axis::linear("calls/s"),
    );
    marked(plot, knee)
        .line("accepted", line(|step| step.accepted_per_second))
        .line("refused", line(|step| step.refused_per_second))
        .line("failed or dropped", line(|step| step.failed_per_second))
}

fn marked(plot: LinePlot, knee: &Knee) -> LinePlot {
    match knee.per_second {
        Some(rate) => plot.mark(rate, "knee"),
        None => plot,
    }
}

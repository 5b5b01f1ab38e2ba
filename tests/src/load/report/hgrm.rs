//! Latencies in the percentile text format of HdrHistogram (`.hgrm`), in milliseconds, for its plotters.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;

use crate::load::figures::LoadFigures;

/// Rows per halving of the distance to 100 %.
const ROWS: u32 = 5;

/// Writes `place.hgrm`, `place-naive.hgrm` and so on for each operation with accepted calls, and `outcome.hgrm`.
pub(super) fn write_all(figures: &LoadFigures, directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let save = |name: &str, histogram: &Histogram<u64>| match histogram.is_empty() {
        true => Ok(()),
        false => write(&directory.join(format!("{name}.hgrm")), &text(histogram)),
    };
    for operation in figures.operations.keys() {
        let latencies = figures.latencies(*operation);
        save(operation.name(), latencies.corrected.histogram())?;
        save(
            &format!("{operation}-naive"),
            latencies.uncorrected.histogram(),
        )?;
    }
    save("outcome", figures.order_outcomes.times.histogram())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Of a histogram of microseconds.
pub(super) fn text(histogram: &Histogram<u64>) -> String {
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut total = 0;
    for row in histogram.iter_quantiles(ROWS) {
        total += row.count_since_last_iteration();
        let (value, quantile) = (
            millis(row.value_iterated_to() as f64),
            row.quantile_iterated_to(),
        );
        // Writing to a string cannot fail, here and below.
        let _ = match quantile < 1.0 {
            true => writeln!(
                text,
                "{value:>12.3} {quantile:>14.12} {total:>10} {:>14.2}",
                1.0 / (1.0 - quantile)
            ),
            false => writeln!(text, "{value:>12.3} {quantile:>14.12} {total:>10}"),
        };
    }
    let _ = write!(
        text,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n#[Max     = {:>12.3}, Total count    = {:>12}]\n\
         #[Buckets = {:>12}, SubBuckets     = {:>12}]\n",
        millis(histogram.mean()),
        millis(histogram.stdev()),
        millis(histogram.max() as f64),
        histogram.len(),
        histogram.buckets(),
        SUB_BUCKETS
    );
    text
}

/// Of three digits of precision.
const SUB_BUCKETS: u32 = 2_048;

fn millis(micros: f64) -> f64 {
    micros / 1_000.0
}

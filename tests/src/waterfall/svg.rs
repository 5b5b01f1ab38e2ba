//! The waterfall as an SVG picture, readable on light and dark pages, with real text.

use std::fmt::Write as _;
use std::time::Duration;

use super::{WaterfallRow, length};
use crate::page::text::escaped;

/// In pixels, here and below.
const WIDTH: usize = 1_200;
const ROW: usize = 22;
/// Height of the scale.
const TOP: usize = 34;
/// Height of the legend.
const BOTTOM: usize = 36;
/// Left edge of the bars.
const BARS: usize = 620;
/// Width of the time behind the last bar.
const RIGHT: usize = 90;
const INDENT: usize = 14;

/// Readable on white and on black; a service without an entry is grey.
const COLOURS: [(&str, &str); 2] = [
    ("order-service", "#4c8dd6"),
    ("processing-service", "#d98a3d"),
];
const GREY: &str = "#8b949e";
const RED: &str = "#d9534f";

pub fn render(rows: &[WaterfallRow]) -> String {
    let height = TOP + rows.len() * ROW + BOTTOM;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"12\" fill=\"{GREY}\">\n\
         <title>The trace of one order</title>\n"
    );
    let whole = length(rows);
    svg += &scale(whole, height - BOTTOM);
    for (number, row) in rows.iter().enumerate() {
        svg += &of_row(row, TOP + number * ROW, whole);
    }
    svg + &legend(height - BOTTOM / 2) + "</svg>\n"
}

/// Five lines with their times.
fn scale(whole: Duration, bottom: usize) -> String {
    let mut svg = String::new();
    for quarter in 0..=4_u32 {
        let time = whole * quarter / 4;
        let x = x(time, whole);
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"{GREY}\" stroke-opacity=\"0.3\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            TOP - 12,
            milliseconds(time)
        );
    }
    svg
}

fn of_row(row: &WaterfallRow, top: usize, whole: Duration) -> String {
    let colour = if row.failed {
        RED
    } else {
        colour(&row.service)
    };
    let (start, end) = (x(row.offset, whole), x(row.end(), whole));
    let baseline = top + ROW - 7;
    let link = if row.is_linked { " ~" } else { "" };
    let what = escaped(&format!("{} {}{link}", row.kind, row.name));
    format!(
        "<text x=\"{}\" y=\"{baseline}\" fill=\"{colour}\">{what}</text>\
         <rect x=\"{start:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" rx=\"2\" fill=\"{colour}\"/>\
         <text x=\"{:.1}\" y=\"{baseline}\" font-size=\"11\">{}</text>\n",
        10 + row.depth * INDENT,
        top + 4,
        // A minimum width keeps spans of zero duration visible.
        (end - start).max(2.0),
        ROW - 8,
        end.max(start + 2.0) + 6.0,
        milliseconds(row.duration)
    )
}

fn legend(baseline: usize) -> String {
    let mut svg = String::new();
    for (number, (service, colour)) in COLOURS.iter().enumerate() {
        let left = 10 + number * 170;
        let _ = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"{baseline}\">{service}</text>",
            baseline - 10,
            left + 18
        );
    }
    let left = 10 + COLOURS.len() * 170 + 20;
    svg + &format!("<text x=\"{left}\" y=\"{baseline}\">~ has links to other spans</text>\n")
}

fn x(time: Duration, whole: Duration) -> f64 {
    let share = time.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
    BARS as f64 + share * (WIDTH - BARS - RIGHT) as f64
}

fn colour(service: &str) -> &'static str {
    let known = COLOURS.iter().find(|(name, _)| *name == service);
    known.map_or(GREY, |(_, colour)| colour)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

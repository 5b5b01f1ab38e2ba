use super::bars::BarPlot;
use super::plot::LinePlot;
use super::scale::Axis;
use super::text::number;
use super::*;

fn page() -> String {
    let mut page = Page::new("A <run>");
    page.heading("Latency");
    page.verdict(false, "p99 < 50 ms: broken");
    let x = Axis::percentile("share of the calls");
    let plot = LinePlot::new("Latency", x, Axis::log("ms"));
    let plot = plot.line("corrected", [(0.5, 3.0), (0.99, 40.0), (0.999, 200.0)]);
    page.plots([plot]);
    let mut table = Table::new(["code", "calls"]).with_words("for example");
    table.row(["UNAVAILABLE", "3", "\"down\" & out"]);
    page.table(&table);
    page.to_string()
}

#[test]
fn a_page_loads_nothing_and_runs_nothing() {
    let page = page();

    for outside in [
        "http://", "https://", "url(", "@import", "<script", "<link", "src=",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    assert!(page.contains("width=device-width"));
}

#[test]
fn a_link_has_its_text_and_its_address() {
    let mut page = Page::new("");
    let link = || [("a & b".to_owned(), "../src/main.rs".to_owned())];
    page.links("See", link());
    page.links_before(link(), "what it does");

    let page = page.to_string();

    let anchor = "<a href=\"../src/main.rs\">a &amp; b</a>";
    assert!(page.contains(&format!("<p>See {anchor}</p>")));
    assert!(page.contains(&format!("<p>{anchor}: what it does</p>")));
}

#[test]
fn text_is_shown_as_it_is() {
    let page = page();

    assert!(page.contains("<title>A &lt;run&gt;</title>"));
    assert!(page.contains("&quot;down&quot; &amp; out"));
    assert!(page.contains("p99 &lt; 50 ms: broken"));
}

#[test]
fn each_nine_of_a_percentile_axis_is_one_step() {
    let axis = Axis::percentile("");
    let range = axis.range([0.0, 0.999].into_iter());

    let positions = [0.0, 0.9, 0.99, 0.999].map(|share| (range.position(share) * 3.0).round());

    assert_eq!(positions, [0.0, 1.0, 2.0, 3.0]);
    let labels: Vec<_> = range.ticks().into_iter().map(|(_, label)| label).collect();
    assert_eq!(labels, ["0%", "50%", "90%", "99%", "99.9%"]);
}

#[test]
fn a_linear_axis_begins_at_zero_and_ends_at_a_tick() {
    let range = Axis::linear("").range([3.0, 870.0].into_iter());

    let ticks = range.ticks();

    let labels: Vec<_> = ticks.iter().map(|(_, label)| label.as_str()).collect();
    assert_eq!(labels, ["0", "200", "400", "600", "800", "1000"]);
    assert_eq!(ticks[5].0, 1.0);
}

#[test]
fn a_value_without_a_place_is_a_gap_in_the_line() {
    let plot = LinePlot::new("", Axis::linear("s"), Axis::linear("ms"));
    let points = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 2.0)];

    let svg = plot.line("p99", points).to_string();

    let path = svg.split("d=\"").nth(1).unwrap();
    let path = path.split('"').next().unwrap();
    assert_eq!(path.matches('M').count(), 2, "{path}");
    assert_eq!(path.matches('L').count(), 1, "{path}");
    // The point after the gap has no neighbour.
    assert_eq!(svg.matches("<circle").count(), 1);
    assert!(!svg.contains("NaN"));
}

#[test]
fn a_plot_without_points_has_its_axes() {
    let plot = LinePlot::new("", Axis::linear("s"), Axis::log("ms")).line("none", []);

    assert!(!plot.to_string().contains("NaN"));
}

#[test]
fn the_longest_bar_fills_the_row_and_a_missing_value_has_none() {
    let bars = BarPlot::new("to outcome", " ms");
    let bars = bars
        .bar("sync", 220.0)
        .bar("async", 110.0)
        .bar("none", f64::NAN);

    let svg = bars.to_string();

    for shown in [
        "width=\"220.0\"",
        "width=\"110.0\"",
        "width=\"0.0\"",
        "220 ms",
        ">-<",
    ] {
        assert!(svg.contains(shown), "{shown}: {svg}");
    }
}

#[test]
fn columns_of_numbers_are_right_aligned_and_others_are_not() {
    let mut table = Table::new(["scenario", "ms", "code"]).with_words("seen");
    table.row(["calm", "3.2", "OK", "nothing"]);
    table.row(["spike", "-", "OK", "refusals"]);

    let html = table.to_string();

    for cell in [
        "<th>ms</th>",
        "<td>-</td>",
        "<td class=\"text\">OK</td>",
        "<td class=\"words\">refusals</td>",
    ] {
        assert!(html.contains(cell), "{cell}: {html}");
    }
}

#[test]
fn numbers_have_three_significant_digits() {
    let shown = [1234.4, 567.8, 56.78, 8.90, 0.1234, 0.0123, 0.0, -2.5].map(number);

    assert_eq!(
        shown,
        ["1234", "568", "56.8", "8.9", "0.12", "0.012", "0", "-2.5"]
    );
}

//! Horizontal bars, one per name, with the value written behind it.

use std::fmt::{self, Write as _};

use super::text::{escaped, number};

/// In units of the picture, as for a line plot.
const WIDTH: f64 = 480.0;
const ROW: f64 = 26.0;
/// Left edge of the bars, and room for the values behind them.
const LEFT: f64 = 170.0;
const RIGHT: f64 = 90.0;

/// Bars of one unit.
#[derive(Clone, Debug)]
pub struct BarPlot {
    title: String,
    unit: String,
    bars: Vec<(String, f64)>,
}

impl BarPlot {
    /// `unit` follows each value, such as ` ms`.
    pub fn new(title: &str, unit: &str) -> Self {
        Self {
            title: title.to_owned(),
            unit: unit.to_owned(),
            bars: Vec::new(),
        }
    }

    /// Adds a bar; a value that is not finite or below zero has none.
    #[must_use]
    pub fn bar(mut self, name: &str, value: f64) -> Self {
        self.bars.push((name.to_owned(), value));
        self
    }

    fn write_bar(&self, svg: &mut String, row: usize, longest: f64) -> fmt::Result {
        let (name, value) = &self.bars[row];
        let top = row as f64 * ROW;
        let is_shown = value.is_finite() && *value > 0.0;
        let share = if is_shown { value / longest } else { 0.0 };
        let length = share * (WIDTH - LEFT - RIGHT);
        let shown = match value.is_finite() {
            true => format!("{}{}", number(*value), escaped(&self.unit)),
            false => "-".to_owned(),
        };
        write!(
            svg,
            "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect class=\"f0\" x=\"{LEFT}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" rx=\"2\"/>\
             <text x=\"{:.1}\" y=\"{}\">{shown}</text>",
            LEFT - 8.0,
            top + 17.0,
            escaped(name),
            top + 4.0,
            ROW - 8.0,
            LEFT + length + 6.0,
            top + 17.0
        )
    }
}

/// A `figure` element.
impl fmt::Display for BarPlot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.bars.iter().map(|(_, value)| *value);
        let longest = values
            .filter(|value| value.is_finite())
            .fold(f64::MIN_POSITIVE, f64::max);
        let mut svg = String::new();
        for row in 0..self.bars.len() {
            self.write_bar(&mut svg, row, longest)?;
        }
        let title = escaped(&self.title);
        let height = self.bars.len() as f64 * ROW;
        writeln!(
            formatter,
            "<figure><h3>{title}</h3>\n<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">{svg}</svg>\n\
             </figure>"
        )
    }
}

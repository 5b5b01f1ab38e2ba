//! Lines over two axes, as an inline SVG with a legend below it.

use std::fmt::{self, Write as _};

use super::scale::{Axis, Range};
use super::text::escaped;

/// In units of the picture: narrow enough that its text stays readable when a phone shrinks it.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 280.0;
/// Room for the labels of the axes.
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 44.0;
const TOP: f64 = 24.0;
const RIGHT: f64 = 16.0;

/// Colours in the style sheet; further series repeat them.
pub(super) const COLOURS: usize = 6;

/// A plot of one or more series.
#[derive(Clone, Debug)]
pub struct LinePlot {
    title: String,
    x: Axis,
    y: Axis,
    series: Vec<Series>,
    marks: Vec<(f64, String)>,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

/// The range of each axis.
struct Frame {
    x: Range,
    y: Range,
}

impl LinePlot {
    pub fn new(title: &str, x: Axis, y: Axis) -> Self {
        Self {
            title: title.to_owned(),
            x,
            y,
            series: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Adds a line through these points, in this order. Points without a place on the axes, such as NaN, are gaps.
    #[must_use]
    pub fn line(mut self, name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.series.push(Series {
            name: name.to_owned(),
            points: points.into_iter().collect(),
        });
        self
    }

    /// Adds a dashed vertical line with a label, such as the beginning of an outage.
    #[must_use]
    pub fn mark(mut self, x: f64, label: &str) -> Self {
        self.marks.push((x, label.to_owned()));
        self
    }

    fn frame(&self) -> Frame {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let marks = self.marks.iter().map(|(x, _)| *x);
        Frame {
            x: self.x.range(points().map(|(x, _)| *x).chain(marks)),
            y: self.y.range(points().map(|(_, y)| *y)),
        }
    }

    /// Grid lines, the labels of their ticks, and the labels of the axes.
    fn write_axes(&self, svg: &mut String, frame: &Frame) -> fmt::Result {
        for (position, label) in frame.x.ticks() {
            let (x, bottom) = (x_of(position), HEIGHT - BOTTOM);
            write!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text class=\"label\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                bottom + 16.0
            )?;
        }
        for (position, label) in frame.y.ticks() {
            let (y, right) = (y_of(position), WIDTH - RIGHT);
            write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"label\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 6.0,
                y + 4.0
            )?;
        }
        write!(
            svg,
            "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text class=\"label\" x=\"4\" y=\"14\">{}</text>",
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - 8.0,
            escaped(&self.x.label),
            escaped(&self.y.label)
        )
    }

    fn write_marks(&self, svg: &mut String, frame: &Frame) -> fmt::Result {
        for (x, label) in &self.marks {
            let position = frame.x.position(*x);
            // On the side with more room.
            let (anchor, gap) = if position > 0.6 {
                ("end", -4.0)
            } else {
                ("start", 4.0)
            };
            let x = x_of(position);
            write!(
                svg,
                "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\"/>\
                 <text class=\"label\" x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                HEIGHT - BOTTOM,
                x + gap,
                TOP + 12.0,
                escaped(label)
            )?;
        }
        Ok(())
    }

    /// The path of a series, and a dot for each point that has no neighbour, which no path would show.
    fn write_series(&self, svg: &mut String, frame: &Frame) -> fmt::Result {
        for (number, series) in self.series.iter().enumerate() {
            let colour = number % COLOURS;
            let shown = |(x, y): &(f64, f64)| self.x.shows(*x) && self.y.shows(*y);
            let mut path = String::new();
            for run in series.points.split(|point| !shown(point)) {
                let places = run.iter().map(|(x, y)| frame.place(*x, *y));
                for (step, (x, y)) in places.enumerate() {
                    let command = if step == 0 { 'M' } else { 'L' };
                    write!(path, "{command}{x:.1} {y:.1}")?;
                    if run.len() == 1 {
                        write!(
                            svg,
                            "<circle class=\"f{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"
                        )?;
                    }
                }
            }
            write!(svg, "<path class=\"s{colour}\" d=\"{path}\"/>")?;
        }
        Ok(())
    }
}

impl Frame {
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (x_of(self.x.position(x)), y_of(self.y.position(y)))
    }
}

fn x_of(position: f64) -> f64 {
    LEFT + position * (WIDTH - LEFT - RIGHT)
}

fn y_of(position: f64) -> f64 {
    HEIGHT - BOTTOM - position * (HEIGHT - BOTTOM - TOP)
}

/// A `figure` element.
impl fmt::Display for LinePlot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = self.frame();
        let mut svg = String::new();
        self.write_axes(&mut svg, &frame)?;
        self.write_marks(&mut svg, &frame)?;
        self.write_series(&mut svg, &frame)?;
        let title = escaped(&self.title);
        writeln!(
            formatter,
            "<figure><h3>{title}</h3>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">{svg}</svg>"
        )?;
        let names = self.series.iter().map(|series| series.name.as_str());
        writeln!(formatter, "{}</figure>", legend(names))
    }
}

/// The colours and names of the series.
pub(super) fn legend<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let entries = names.enumerate().map(|(number, name)| {
        let colour = number % COLOURS;
        format!("<span><i class=\"s{colour}\"></i>{}</span>", escaped(name))
    });
    format!("<figcaption>{}</figcaption>\n", entries.collect::<String>())
}

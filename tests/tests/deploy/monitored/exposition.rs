//! The series that the collector exposes, as recorded from its endpoint, in either format.

use std::collections::BTreeMap;
use std::fmt;

/// What Prometheus 2 asks for first.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0";

/// What every other scraper understands. It writes `le="60"` where OpenMetrics writes `le="60.0"`.
pub(crate) const CLASSIC: &str = "text/plain;version=0.0.4";

/// A name and its labels. The values of labels are kept as they are written, with their escapes, which PromQL shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// The series of an exposition.
pub(crate) fn parse(exposition: &str) -> Vec<Series> {
    let lines = exposition.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(Series::parse).collect()
}

impl Series {
    /// The series at the start of the text: `name{label="value",…}`, and whatever follows.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let end = text.find(['{', ' ']).unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        let mut labels = BTreeMap::new();
        while let Some(after) = rest.strip_prefix(['{', ',']) {
            let Some((label, after)) = after.split_once("=\"") else {
                break;
            };
            let end = end_of_value(after)?;
            labels.insert(label.trim().to_owned(), after[..end].to_owned());
            rest = &after[end + 1..];
        }
        let name = name.to_owned();
        (!name.is_empty()).then_some(Self { name, labels })
    }

    /// Whether it has this name and these labels, and maybe more. Bounds of buckets are numbers.
    pub(crate) fn is(&self, wanted: &Self) -> bool {
        let has = |(label, value): (&String, &String)| match self.labels.get(label) {
            Some(found) if label == "le" => found.parse::<f64>() == value.parse::<f64>(),
            found => found == Some(value),
        };
        self.name == wanted.name && wanted.labels.iter().all(has)
    }
}

fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.find(|symbol| {
        let ends = symbol == '"' && !escaped;
        escaped = symbol == '\\' && !escaped;
        ends
    })
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.labels.iter();
        let labels: Vec<_> = labels
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        write!(formatter, "{}{{{}}}", self.name, labels.join(","))
    }
}

#[test]
fn both_formats_are_read() {
    let text = r##"# TYPE calls histogram
calls_bucket{job="a\"}b",le="60.0"} 7.0 # {trace_id="1"} 0.5
up 1
"##;

    let found = parse(text);

    let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(shown, [r#"calls_bucket{job="a\"}b",le="60.0"}"#, "up{}"]);
    let classic = Series::parse(r#"calls_bucket{le="60"}"#).unwrap();
    assert!(found[0].is(&classic));
    assert!(!found[1].is(&classic));
}

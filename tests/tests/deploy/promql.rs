//! What PromQL asks for, and what Prometheus calls what the services emit.
//!
//! Whether an expression parses is `promtool`'s business: the reading here relies on it.

use std::collections::BTreeSet;

use telemetry::vocabulary::{Instrument, Metric};

/// Words of the language that stand where a name could.
const WORDS: [&str; 14] = [
    "and",
    "atan2",
    "bool",
    "by",
    "group_left",
    "group_right",
    "ignoring",
    "inf",
    "nan",
    "offset",
    "on",
    "or",
    "unless",
    "without",
];

/// Words that a list of labels follows.
const BEFORE_LABELS: [&str; 6] = [
    "by",
    "group_left",
    "group_right",
    "ignoring",
    "on",
    "without",
];

/// The metrics that an expression names.
pub(crate) fn metrics_of(expression: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = expression;
    while let Some(next) = rest.chars().next() {
        rest = match next {
            '"' | '\'' => behind_text(rest, next),
            '{' => behind_braces(rest),
            '[' => behind(rest, ']'),
            // A number, or a time such as 5m.
            '0'..='9' => {
                rest.trim_start_matches(|symbol: char| symbol.is_alphanumeric() || symbol == '.')
            }
            _ if is_of_name(next) => {
                let end = rest
                    .find(|symbol| !is_of_name(symbol))
                    .unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                behind_name(name, after, &mut names)
            }
            _ => &rest[next.len_utf8()..],
        };
    }
    names
}

/// Takes a word for a metric, unless it is a function or belongs to the language.
fn behind_name<'a>(name: &str, after: &'a str, names: &mut BTreeSet<String>) -> &'a str {
    let next = after.trim_start();
    let call = next.starts_with('(');
    let aggregation = next.starts_with("by ") || next.starts_with("without ");
    if BEFORE_LABELS.contains(&name) {
        return if call { behind(after, ')') } else { after };
    }
    if !call && !aggregation && !WORDS.contains(&name) {
        names.insert(name.to_owned());
    }
    after
}

fn is_of_name(symbol: char) -> bool {
    symbol.is_ascii_alphanumeric() || symbol == '_' || symbol == ':'
}

fn behind(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, after)| after)
}

fn behind_text(text: &str, quote: char) -> &str {
    let mut escaped = false;
    for (place, symbol) in text.char_indices().skip(1) {
        if symbol == quote && !escaped {
            return &text[place + 1..];
        }
        escaped = symbol == '\\' && !escaped;
    }
    ""
}

fn behind_braces(text: &str) -> &str {
    let mut rest = &text[1..];
    while let Some(next) = rest.chars().next() {
        rest = match next {
            '"' | '\'' => behind_text(rest, next),
            '}' => return &rest[1..],
            _ => &rest[next.len_utf8()..],
        };
    }
    ""
}

/// The names of the series of a metric, as the collector's exporter makes them.
pub(crate) fn series_of(metric: &Metric) -> Vec<String> {
    let mut name = metric.name.replace('.', "_");
    let unit = match (metric.unit, metric.instrument) {
        ("s", _) => "_seconds",
        ("By", _) => "_bytes",
        ("1", Instrument::Gauge) => "_ratio",
        _ => "",
    };
    name.push_str(unit);
    match metric.instrument {
        Instrument::Counter => vec![format!("{name}_total")],
        Instrument::Gauge | Instrument::UpDownCounter => vec![name],
        Instrument::Histogram(_) => ["bucket", "count", "sum"]
            .map(|part| format!("{name}_{part}"))
            .into(),
    }
}

#[test]
fn metrics_are_told_from_labels_functions_and_words() {
    let expression = r#"sum by (le, job) (rate(calls_bucket{to="a\"}b", le=~"x"}[5m] offset 1h)) / on (slo) group_left () (1 - slo:objective)
        > 5 and {otel="true"} unless up"#;

    let found = metrics_of(expression);

    let expected = ["calls_bucket", "slo:objective", "up"].map(str::to_owned);
    assert_eq!(found, expected.into());
}

#[test]
fn series_are_called_as_the_exporter_calls_them() {
    use telemetry::names::metrics as of;

    let names: Vec<_> = [
        of::OUTBOX_OLDEST_AGE,
        of::CLIENT_BREAKER_STATE,
        of::PROCESS_CPU_TIME,
        of::PROCESS_MEMORY_USAGE,
        of::GROUP_COMMIT_BATCH_SIZE,
    ]
    .iter()
    .flat_map(series_of)
    .collect();

    let expected = [
        "outbox_oldest_age_seconds",
        "client_breaker_state",
        "process_cpu_time_seconds_total",
        "process_memory_usage_bytes",
        "group_commit_batch_size_bucket",
        "group_commit_batch_size_count",
        "group_commit_batch_size_sum",
    ];
    assert_eq!(names, expected);
}

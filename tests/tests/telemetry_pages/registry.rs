//! Generates the registry in the format of OpenTelemetry Weaver.

use telemetry::vocabulary::{
    Attribute, Instrument, Metric, NameOrigin, Requirement, SpanType, Use, ValueType,
};

use crate::{events, names};

pub(crate) fn written() -> String {
    let mut text = String::from(
        "# Every name that the pair emits, in the form of OpenTelemetry Weaver. Generated from the code:\n\
         # UPDATE_PAGES=1 cargo test -p tests --test telemetry_pages\ngroups:\n",
    );
    text += &group(
        "attributes",
        "attribute_group",
        "All attributes",
        "development",
    );
    text += "    attributes:\n";
    text.extend(names::attributes().iter().map(definition));
    text.extend(names::metrics().iter().map(metric));
    let spans = names::spans();
    text.extend(
        spans
            .iter()
            .enumerate()
            .map(|(n, (of, uses))| span(n, of, uses)),
    );
    let events: Vec<_> = events::all().into_iter().flatten().collect();
    text.extend((0..events.len()).map(|n| event(&events, n)));
    text
}

/// A text in YAML quotes, which are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn group(id: &str, kind: &str, brief: &str, stability: &str) -> String {
    let (id, brief) = (quoted(id), quoted(brief));
    format!("  - id: {id}\n    type: {kind}\n    brief: {brief}\n    stability: {stability}\n")
}

fn definition(attribute: &Attribute) -> String {
    let (name, brief) = (quoted(attribute.name), quoted(attribute.brief));
    let value = type_name(attribute.value);
    let source = source(attribute.source);
    format!(
        "      - id: {name}\n        type: {value}\n        brief: {brief}\n        stability: development\n        \
         annotations: {{source: {source}}}\n"
    )
}

pub(crate) fn type_name(value: ValueType) -> &'static str {
    match value {
        ValueType::Text => "string",
        ValueType::Int => "int",
        ValueType::Flag => "boolean",
    }
}

pub(crate) fn source(source: NameOrigin) -> &'static str {
    match source {
        NameOrigin::Conventions => "conventions",
        NameOrigin::Own => "own",
    }
}

fn used(uses: &[Use]) -> String {
    let mut text = String::new();
    for used in uses {
        let name = quoted(used.attribute.name);
        let level = match used.requirement {
            Requirement::Required => "required".to_owned(),
            Requirement::If(condition) => {
                format!("{{conditionally_required: {}}}", quoted(condition))
            }
        };
        text += &format!("      - ref: {name}\n        requirement_level: {level}\n");
    }
    match uses {
        [] => "    attributes: []\n".to_owned(),
        _ => format!("    attributes:\n{text}"),
    }
}

pub(crate) fn instrument(instrument: Instrument) -> (&'static str, &'static [f64]) {
    match instrument {
        Instrument::Counter => ("counter", &[]),
        Instrument::UpDownCounter => ("updowncounter", &[]),
        Instrument::Gauge => ("gauge", &[]),
        Instrument::Histogram(boundaries) => ("histogram", boundaries),
    }
}

fn metric(metric: &Metric) -> String {
    let id = format!("metric.{}", metric.name);
    let (instrument, boundaries) = instrument(metric.instrument);
    let head = group(&id, "metric", metric.brief, "development");
    let (name, unit, source) = (
        quoted(metric.name),
        quoted(metric.unit),
        source(metric.source),
    );
    let boundaries = match boundaries {
        [] => String::new(),
        some => format!(", boundaries: {some:?}"),
    };
    format!(
        "{head}    metric_name: {name}\n    instrument: {instrument}\n    unit: {unit}\n    \
         annotations: {{source: {source}{boundaries}}}\n{}",
        used(metric.attributes)
    )
}

/// Spans of one kind may share the pattern of their names, so each has a number.
fn span(number: usize, span: &SpanType, uses: &[Use]) -> String {
    let id = format!("span.{number}");
    let head = group(&id, "span", span.brief, "development");
    let kind = format!("{:?}", span.kind).to_lowercase();
    let (name, relations) = (quoted(span.name), quoted(span.relations));
    let source = source(span.source);
    format!(
        "{head}    span_kind: {kind}\n    note: {relations}\n    annotations: {{source: {source}, span_name: {name}}}\n{}",
        used(uses)
    )
}

/// The same message may have other fields elsewhere, so its id needs a number.
fn event(events: &[events::Event], position: usize) -> String {
    let event = &events[position];
    let is_same =
        |other: &&events::Event| (other.level, &other.message) == (event.level, &event.message);
    let before = events[..position].iter().filter(is_same).count();
    let mut id = format!("event.{}.{}", event.level, event.message.replace(' ', "_"));
    if before > 0 {
        id += &format!(".{}", before + 1);
    }
    let head = group(&id, "event", &event.message, "development");
    let fields = event.fields.join(", ");
    format!(
        "{head}    name: {}\n    annotations: {{level: {}, fields: [{fields}]}}\n",
        quoted(&event.message),
        event.level
    )
}

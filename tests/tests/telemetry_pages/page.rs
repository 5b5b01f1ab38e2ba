//! Generates docs/telemetry.md.

use telemetry::vocabulary::{Requirement, Use};

use crate::registry::{instrument, source, type_name};
use crate::{events, names};

/// The resource attributes, which are the same for every signal.
const FIXED: &str = "\
## Resource\n\n\
| attribute | meaning |\n|---|---|\n\
| `service.name` | `order-service` or `processing-service`, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` has it |\n\
| `service.version` | the version of the release |\n\
| `service.instance.id` | the instance: from `OTEL_RESOURCE_ATTRIBUTES`, else generated at the start |\n\
| others | from `OTEL_RESOURCE_ATTRIBUTES`, such as `k8s.pod.name` |\n\n";

pub(crate) fn written() -> String {
    let head = "# Telemetry\n\n\
        Every span, metric, attribute and log event that the pair emits; [registry.yaml](telemetry/registry.yaml) has the \
        same in machine-readable form. Names of the source `conventions` are those of OpenTelemetry's semantic conventions 1.42, \
        the others are this project's own. An attribute that is not always present is listed with its condition.\n\n\
        This page is generated from the code that emits the telemetry: `UPDATE_PAGES=1 cargo test -p tests --test telemetry_pages`.\n\n";
    [
        head.to_owned(),
        spans(),
        metrics(),
        attributes(),
        FIXED.to_owned(),
        log_events(),
    ]
    .concat()
}

fn used(uses: &[Use]) -> String {
    let each = uses.iter().map(|used| match used.requirement {
        Requirement::Required => format!("`{}`", used.attribute.name),
        Requirement::If(condition) => format!("`{}` (if {condition})", used.attribute.name),
    });
    each.collect::<Vec<_>>().join("<br>")
}

fn spans() -> String {
    let head = "## Spans\n\n| name | kind | meaning | parent and links | attributes |\n|---|---|---|---|---|\n";
    let rows = names::spans().into_iter().map(|(span, uses)| {
        let (name, kind, brief) = (span.name, &span.kind, span.brief);
        let (relations, uses) = (span.relations, used(&uses));
        format!("| `{name}` | {kind:?} | {brief} | {relations} | {uses} |\n")
    });
    format!("{head}{}\n", rows.collect::<String>())
}

fn metrics() -> String {
    let head = "## Metrics\n\n| name | instrument | unit | meaning | attributes | source |\n|---|---|---|---|---|---|\n";
    let rows = names::metrics().into_iter().map(|metric| {
        let (kind, boundaries) = instrument(metric.instrument);
        let boundaries = match boundaries {
            [] => String::new(),
            some => format!("<br>{some:?}"),
        };
        let (name, unit, brief) = (metric.name, metric.unit, metric.brief);
        let (uses, source) = (used(metric.attributes), source(metric.source));
        format!("| `{name}` | {kind}{boundaries} | `{unit}` | {brief} | {uses} | {source} |\n")
    });
    format!("{head}{}\n", rows.collect::<String>())
}

fn attributes() -> String {
    let head = "## Attributes\n\n| name | type | meaning | source |\n|---|---|---|---|\n";
    let rows = names::attributes().into_iter().map(|attribute| {
        let (name, brief) = (attribute.name, attribute.brief);
        let (value, source) = (type_name(attribute.value), source(attribute.source));
        format!("| `{name}` | {value} | {brief} | {source} |\n")
    });
    format!("{head}{}\n", rows.collect::<String>())
}

fn log_events() -> String {
    let head = "## Log events\n\n\
        Messages are constant, facts are in fields; `trace_id` and `span_id` are those of the current span. DEBUG events are \
        not listed.\n\n| message | level | fields |\n|---|---|---|\n";
    let rows = events::all().into_iter().flatten().map(|event| {
        let fields = event.fields.iter().map(|field| format!("`{field}`"));
        let fields = fields.collect::<Vec<_>>().join(", ");
        format!("| {} | {} | {fields} |\n", event.message, event.level)
    });
    format!("{head}{}", rows.collect::<String>())
}

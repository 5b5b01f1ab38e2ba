//! Expected text, and the required content of the picture.

use super::*;
use crate::otlp::Attributes;
use crate::otlp::span::Link;

fn span(id: &str, parent: Option<&str>, name: &str, (start, end): (u64, u64)) -> Span {
    const MILLISECOND: u64 = 1_000_000;
    Span {
        trace_id: "7".to_owned(),
        span_id: id.to_owned(),
        parent: parent.map(ToOwned::to_owned),
        name: name.to_owned(),
        kind: SpanKind::Server,
        service: "front-service".to_owned(),
        attributes: Attributes::new(),
        links: Vec::new(),
        failed: false,
        start: start * MILLISECOND,
        end: end * MILLISECOND,
    }
}

/// A call with two children, one of which continues in the other service after the call.
fn trace() -> Trace {
    let commit = Span {
        kind: SpanKind::Internal,
        ..span("2", Some("1"), "commit place", (1_010, 1_020))
    };
    let link = Link {
        trace_id: "7".to_owned(),
        span_id: "1".to_owned(),
    };
    let process = Span {
        kind: SpanKind::Consumer,
        service: "background-service".to_owned(),
        links: vec![link],
        failed: true,
        ..span("3", Some("1"), "process a & b", (1_040, 1_100))
    };
    let call = span("1", Some("of the caller"), "PlaceOrder", (1_000, 1_030));
    let statement = span("4", Some("2"), "INSERT orders", (1_011, 1_011));
    Trace::of(vec![process, statement, commit, call])
}

#[test]
fn a_span_is_indented_below_its_parent_with_a_bar_at_its_position_in_time() {
    let text = text::render(&rows(&trace()), 80);

    let expected = "\
span                                      from ms takes ms
front server PlaceOrder                       0.0     30.0 ██████
  front internal commit place                10.0     10.0   ██
    front server INSERT orders               11.0      0.0   █
  background consumer process a & b ~ !      40.0     60.0         █████████████
~ has links to other spans   ! failed
";
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut rows = rows(&trace());
    rows[3].depth = 40;

    for width in [60, 80, 100, 200] {
        let text = text::render(&rows, width);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(width), "{widest:?} of {width}\n{text}");
    }
}

#[test]
fn an_empty_trace_is_incomplete_and_renders() {
    let nothing = Trace::default();

    assert!(!is_complete(&nothing));
    assert_eq!(rows(&nothing), []);
    assert!(!svg::render(&rows(&nothing)).contains("NaN"));
}

#[test]
fn a_picture_has_every_span_as_text() {
    let picture = svg::render(&rows(&trace()));

    for name in [
        "PlaceOrder",
        "commit place",
        "process a &amp; b ~",
        "60.0 ms",
    ] {
        assert!(picture.contains(name), "{name} in {picture}");
    }
}

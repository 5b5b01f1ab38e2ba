//! `show`: one event with all its fields, except the bytes of its payload.

use std::io::Write;

use serde_json::{Value, json};

use super::text;
use super::{OperatorError, Vocabulary, list};
use crate::operator::arguments::Show;
use crate::retry_store::operations::{Operations, OperatorRefusal, RetryEvent, State};
use kafka::headers::{self, Headers};

/// Characters of a trace id in a `traceparent` header (W3C Trace Context).
const TRACE_ID_LENGTH: usize = 32;

pub(super) async fn show(
    arguments: &Show,
    events: &dyn Operations,
    vocabulary: Vocabulary,
    output: &mut (dyn Write + Send),
) -> Result<(), OperatorError> {
    let id = arguments.id;
    let event = events
        .get(id)
        .await?
        .ok_or(OperatorRefusal::Unknown { id })?;
    if arguments.json {
        return Ok(writeln!(output, "{}", json(&event, vocabulary))?);
    }
    for (name, value) in facts(&event, vocabulary) {
        writeln!(output, "{name:<10} {value}")?;
    }
    writeln!(output, "\nheaders")?;
    for (name, value) in &event.record.headers {
        let (name, value) = (text::printable(name), text::bytes(value));
        writeln!(output, "  {name:<18} {value}")?;
    }
    writeln!(output, "\nevent")?;
    for line in (vocabulary.describe)(&event.record).lines() {
        writeln!(output, "  {}", text::printable(line))?;
    }
    Ok(())
}

fn facts(event: &RetryEvent, vocabulary: Vocabulary) -> Vec<(&'static str, String)> {
    let record = &event.record;
    let place = format!("{}[{}]@{}", record.topic, record.partition, record.offset);
    let mut facts = vec![
        ("id", event.id.to_string()),
        ("state", event.state.name().to_owned()),
        ("order", list::place(event)),
        ("record", place),
        ("key", text::key(record.key.as_deref())),
    ];
    if let Some(event_type) = (vocabulary.event_type)(&record.headers) {
        facts.push(("type", text::printable(event_type)));
    }
    if let Some(trace) = trace_id(&record.headers) {
        facts.push(("trace", trace.to_owned()));
    }
    if let Some(at) = record.timestamp_ms {
        facts.push(("published", text::time(at)));
    }
    facts.extend(history(event));
    facts
}

/// Its history in the retry store.
fn history(event: &RetryEvent) -> Vec<(&'static str, String)> {
    let age = text::age(event.age);
    let stored = format!("{}, {age} ago", text::time(event.stored_at));
    let mut history = vec![("stored", stored)];
    if let Some(fault) = &event.fault {
        let (first, last) = (fault.first_failed_at, fault.last_failed_at);
        history.extend([
            ("class", fault.class.name().to_owned()),
            ("reason", text::printable(&fault.message)),
            ("attempts", fault.attempts.to_string()),
            ("first", text::time(first)),
            ("last", text::time(last)),
        ]);
    }
    history.push(("rounds", event.rounds.to_string()));
    history.push(("redrives", event.redrives.to_string()));
    if let (State::Waiting, Some(at)) = (event.state, event.next_attempt_at) {
        history.push(("next", text::time(at)));
    }
    history
}

fn json(event: &RetryEvent, vocabulary: Vocabulary) -> Value {
    let mut json = list::json(event, vocabulary);
    let headers = event.record.headers.iter();
    json["headers"] = headers
        .map(|(name, value)| json!([name, text::bytes(value)]))
        .collect();
    json["trace"] = trace_id(&event.record.headers).into();
    json["event"] = (vocabulary.describe)(&event.record).into();
    json
}

fn trace_id(headers: &Headers) -> Option<&str> {
    let trace = headers::text(headers, "traceparent")?.split('-').nth(1)?;
    let is_id = trace.len() == TRACE_ID_LENGTH && trace.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then_some(trace)
}

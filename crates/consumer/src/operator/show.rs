//! `show`: one event with all its fields, except the bytes of its payload.

use serde_json::{Value, json};

use super::text;
use super::{Operator, OperatorError, Vocabulary, list};
use crate::operator::arguments::Show;
use crate::retry_store::operations::{RetryEvent, State};
use kafka::headers::RecordHeaders;

/// Characters of a trace id in a `traceparent` header (W3C Trace Context).
const TRACE_ID_LENGTH: usize = 32;

impl Operator<'_> {
    pub(super) async fn show(&mut self, arguments: &Show) -> Result<(), OperatorError> {
        let event = self.event(arguments.id).await?;
        if arguments.json {
            let json = json(&event, self.vocabulary);
            return Ok(writeln!(self.output, "{json}")?);
        }
        for (name, value) in self.facts(&event) {
            writeln!(self.output, "{name:<10} {value}")?;
        }
        writeln!(self.output, "\nheaders")?;
        for (name, value) in &event.record.headers {
            let (name, value) = (text::bytes(name), header_value(value));
            writeln!(self.output, "  {name:<18} {value}")?;
        }
        writeln!(self.output, "\nevent")?;
        for line in (self.vocabulary.describe)(&event.record).lines() {
            writeln!(self.output, "  {}", text::printable(line))?;
        }
        Ok(())
    }

    fn facts(&self, event: &RetryEvent) -> Vec<(&'static str, String)> {
        let record = &event.record;
        let place = format!("{}[{}]@{}", record.topic, record.partition, record.offset);
        let trace = trace_id(&record.headers).map(str::to_owned);
        let mut facts = vec![
            ("id", event.id.to_string()),
            ("state", event.state.name().to_owned()),
            ("order", list::place(event)),
            ("record", place),
            ("key", text::key(record.key.as_deref())),
        ];
        facts.extend(self.event_type(event).map(|name| ("type", name)));
        facts.extend(trace.map(|trace| ("trace", trace)));
        facts.extend(record.timestamp_ms.map(|at| ("published", text::time(at))));
        facts.extend(history(event));
        facts
    }
}

/// Its history in the retry store.
fn history(event: &RetryEvent) -> Vec<(&'static str, String)> {
    let age = text::age(event.age);
    let stored = format!("{}, {age} ago", text::time(event.stored_at));
    let mut history = vec![("stored", stored)];
    if let Some(fault) = &event.fault {
        history.extend([
            ("class", fault.class.name().to_owned()),
            ("reason", text::printable(&fault.message)),
            ("attempts", fault.attempts.to_string()),
            ("first", text::time(fault.first_failed_at)),
            ("last", text::time(fault.last_failed_at)),
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
        .map(|(name, value)| json!([text::bytes(name), value.map(text::bytes)]))
        .collect();
    json["trace"] = trace_id(&event.record.headers).into();
    json["event"] = (vocabulary.describe)(&event.record).into();
    json
}

fn header_value(value: Option<&[u8]>) -> String {
    value.map_or_else(|| "(null)".to_owned(), text::bytes)
}

fn trace_id(headers: &RecordHeaders) -> Option<&str> {
    let trace = headers.text("traceparent")?.split('-').nth(1)?;
    let is_id = trace.len() == TRACE_ID_LENGTH && trace.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then_some(trace)
}

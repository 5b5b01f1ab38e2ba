//! `list`: one line per event.

use serde_json::{Value, json};

use super::text::{self, NOTHING, Table};
use super::{Operator, OperatorError, Vocabulary};
use crate::operator::arguments::List;
use crate::retry_store::Fault;
use crate::retry_store::operations::{Filter, Listing, MAX_COUNTED_BEHIND, RetryEvent};

impl Operator<'_> {
    pub(super) async fn list(&mut self, arguments: &List) -> Result<(), OperatorError> {
        let filter = Filter {
            state: arguments.state,
            class: arguments.class,
            key: arguments.key.clone().map(String::into_bytes),
            ..Filter::default()
        };
        let listing = self.events.list(&filter, arguments.limit).await?;
        if arguments.json {
            return self.write_json(&listing);
        }
        self.write_table(&listing)?;
        let limit = arguments.limit;
        if listing.events.len() + listing.damaged.len() == limit as usize {
            writeln!(
                self.output,
                "{limit} are shown, there may be more: see --limit"
            )?;
        }
        Ok(())
    }

    fn write_json(&mut self, listing: &Listing) -> Result<(), OperatorError> {
        for event in &listing.events {
            writeln!(self.output, "{}", json(event, self.vocabulary))?;
        }
        for id in &listing.damaged {
            writeln!(self.output, "{}", json!({ "id": id, "damaged": true }))?;
        }
        Ok(())
    }

    fn write_table(&mut self, listing: &Listing) -> Result<(), OperatorError> {
        if listing.events.is_empty() && listing.damaged.is_empty() {
            return Ok(writeln!(self.output, "the retry store is empty")?);
        }
        let mut table = Table::with_head([
            "ID", "STATE", "ORDER", "KEY", "TYPE", "CLASS", "ATTEMPTS", "REDRIVES", "AGE", "REASON",
        ]);
        for event in &listing.events {
            table.push(self.row(event));
        }
        table.write(self.output)?;
        for id in &listing.damaged {
            writeln!(self.output, "{id} is damaged: this release cannot read it")?;
        }
        Ok(())
    }

    fn row(&self, event: &RetryEvent) -> [String; 10] {
        let nothing = || NOTHING.to_owned();
        let fault = event.fault.as_ref();
        let of_fault = |text: fn(&Fault) -> String| fault.map_or_else(nothing, text);
        [
            event.id.to_string(),
            event.state.name().to_owned(),
            place(event),
            text::key(event.record.key.as_deref()),
            self.event_type(event).unwrap_or_else(nothing),
            of_fault(|fault| fault.class.name().to_owned()),
            of_fault(|fault| fault.attempts.to_string()),
            event.redrives.to_string(),
            text::age(event.age),
            of_fault(|fault| text::shortened(&text::printable(&fault.message))),
        ]
    }
}

/// Its position among the events of its key.
pub(super) fn place(event: &RetryEvent) -> String {
    match (event.head, event.behind) {
        (Some(head), _) if head != event.id => format!("behind {head}"),
        (_, 0) => NOTHING.to_owned(),
        (_, MAX_COUNTED_BEHIND..) => format!("{MAX_COUNTED_BEHIND} or more behind it"),
        (_, behind) => format!("{behind} behind it"),
    }
}

pub(super) fn json(event: &RetryEvent, vocabulary: Vocabulary) -> Value {
    let record = &event.record;
    let fault = event.fault.as_ref();
    json!({
        "id": event.id,
        "state": event.state.name(),
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "key": record.key.as_deref().map(text::bytes),
        "type": (vocabulary.event_type)(&record.headers),
        "head": event.head,
        "behind": event.behind,
        "class": fault.map(|fault| fault.class.name()),
        "reason": fault.map(|fault| &fault.message),
        "attempts": fault.map(|fault| fault.attempts),
        "first_failed_at": fault.map(|fault| fault.first_failed_at),
        "last_failed_at": fault.map(|fault| fault.last_failed_at),
        "rounds": event.rounds,
        "redrives": event.redrives,
        "stored_at": event.stored_at,
        "next_attempt_at": event.next_attempt_at,
    })
}

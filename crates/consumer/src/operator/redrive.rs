//! `redrive`: one event, or many at a limited rate.

use std::io::Write;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::text;
use super::{OperatorError, Vocabulary};
use crate::operator::arguments::{Redrive, Selection};
use crate::retry_store::operations::{
    Filter, OperationError, Operations, OperatorRefusal, RetryEvent, State,
};

/// Events per query: their headers are in memory.
const PAGE: u32 = 100;

pub(super) async fn redrive(
    arguments: &Redrive,
    events: &dyn Operations,
    vocabulary: Vocabulary,
    output: &mut (dyn Write + Send),
) -> Result<(), OperatorError> {
    let redriver = Redriver {
        arguments,
        events,
        vocabulary,
    };
    match arguments.selection.id {
        Some(id) => {
            let event = events
                .get(id)
                .await?
                .ok_or(OperatorRefusal::Unknown { id })?;
            Ok(redriver.one(&event, output).await??)
        }
        None => redriver.many(output).await,
    }
}

struct Redriver<'a> {
    arguments: &'a Redrive,
    events: &'a dyn Operations,
    vocabulary: Vocabulary,
}

#[derive(Default)]
struct Tally {
    all: usize,
    refused: usize,
}

impl Redriver<'_> {
    /// Each event once, by ascending id: an event that dies again meanwhile is not redriven again.
    async fn many(&self, output: &mut (dyn Write + Send)) -> Result<(), OperatorError> {
        let mut filter = filter(&self.arguments.selection);
        let mut tally = Tally::default();
        loop {
            let page = self.events.list(&filter, PAGE).await?;
            let ids = page.events.iter().map(|event| event.id);
            let Some(last) = ids.chain(page.damaged.iter().copied()).max() else {
                break;
            };
            filter.after = last;
            self.page(&page.events, &mut tally, output).await?;
            for id in page.damaged {
                tally.all += 1;
                tally.refused += 1;
                writeln!(output, "refused: {}", OperatorRefusal::Unreadable { id })?;
            }
        }
        self.conclude(&tally, output)
    }

    async fn page(
        &self,
        events: &[RetryEvent],
        tally: &mut Tally,
        output: &mut (dyn Write + Send),
    ) -> Result<(), OperatorError> {
        for event in events {
            let next = Instant::now() + self.pause();
            tally.all += 1;
            if let Err(refusal) = self.one(event, output).await? {
                tally.refused += 1;
                writeln!(output, "refused: {refusal}")?;
            }
            sleep_until(next).await;
        }
        Ok(())
    }

    fn conclude(
        &self,
        tally: &Tally,
        output: &mut (dyn Write + Send),
    ) -> Result<(), OperatorError> {
        let Tally { all, refused } = *tally;
        let verb = self.verb();
        writeln!(output, "{verb} {} of {all} dead", all - refused)?;
        if refused > 0 {
            return Err(OperatorError::SomeRefused { refused, all });
        }
        Ok(())
    }

    async fn one(
        &self,
        event: &RetryEvent,
        output: &mut (dyn Write + Send),
    ) -> Result<Result<(), OperatorRefusal>, OperatorError> {
        let Redrive {
            actor,
            force,
            dry_run,
            ..
        } = self.arguments;
        let done = if *dry_run {
            event.may_be_redriven(*force).map_err(OperationError::from)
        } else {
            self.events.redrive(event.id, &actor.name, *force).await
        };
        match done {
            Ok(()) => {
                self.report(event, output)?;
                Ok(Ok(()))
            }
            Err(OperationError::Refused(refusal)) => Ok(Err(refusal)),
            Err(OperationError::RetryStore(error)) => Err(error.into()),
        }
    }

    fn report(
        &self,
        event: &RetryEvent,
        output: &mut (dyn Write + Send),
    ) -> Result<(), OperatorError> {
        let event_type = (self.vocabulary.event_type)(&event.record.headers);
        let event_type = text::printable(event_type.unwrap_or(text::NOTHING));
        let key = text::key(event.record.key.as_deref());
        let (verb, id) = (self.verb(), event.id);
        Ok(writeln!(output, "{verb} {id}: {event_type} of {key}")?)
    }

    fn verb(&self) -> &'static str {
        if self.arguments.dry_run {
            "would redrive"
        } else {
            "redriven"
        }
    }

    fn pause(&self) -> Duration {
        if self.arguments.dry_run {
            return Duration::ZERO;
        }
        Duration::from_secs(1) / self.arguments.per_second.get()
    }
}

fn filter(selection: &Selection) -> Filter {
    Filter {
        state: Some(State::Dead),
        class: selection.class,
        key: selection.key.clone().map(String::into_bytes),
        only_heads: true,
        ..Filter::default()
    }
}

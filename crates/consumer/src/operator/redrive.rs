//! `redrive`: one event, or many at a limited rate.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::text;
use super::{Operator, OperatorError};
use crate::operator::arguments::{Redrive, Selection};
use crate::retry_store::operations::{Filter, OperationError, OperatorRefusal, RetryEvent, State};

/// Events per query: their headers are in memory.
const PAGE: u32 = 100;

impl Operator<'_> {
    pub(super) async fn redrive(&mut self, arguments: &Redrive) -> Result<(), OperatorError> {
        match arguments.selection.id {
            Some(id) => {
                let event = self.event(id).await?;
                Ok(self.redrive_one(&event, arguments).await??)
            }
            None => self.redrive_many(arguments).await,
        }
    }

    /// Each event once, by ascending id: an event that dies again meanwhile is not redriven again.
    async fn redrive_many(&mut self, arguments: &Redrive) -> Result<(), OperatorError> {
        let mut filter = filter(&arguments.selection);
        let (mut all, mut refused) = (0, 0);
        loop {
            let page = self.events.list(&filter, PAGE).await?;
            let ids = page.events.iter().map(|event| event.id);
            let Some(last) = ids.chain(page.damaged.iter().copied()).max() else {
                break;
            };
            filter.after = last;
            all += page.events.len() + page.damaged.len();
            refused += page.damaged.len();
            for event in &page.events {
                let next = Instant::now() + pause(arguments);
                if let Err(refusal) = self.redrive_one(event, arguments).await? {
                    refused += 1;
                    self.report_refusal(&refusal)?;
                }
                sleep_until(next).await;
            }
            for id in page.damaged {
                self.report_refusal(&OperatorRefusal::Unreadable { id })?;
            }
        }
        let verb = verb(arguments);
        writeln!(self.output, "{verb} {} of {all} dead", all - refused)?;
        match refused {
            0 => Ok(()),
            refused => Err(OperatorError::SomeRefused { refused, all }),
        }
    }

    async fn redrive_one(
        &mut self,
        event: &RetryEvent,
        arguments: &Redrive,
    ) -> Result<Result<(), OperatorRefusal>, OperatorError> {
        let (id, force) = (event.id, arguments.force);
        let done = if arguments.dry_run {
            event.may_be_redriven(force).map_err(OperationError::from)
        } else {
            self.events.redrive(id, &arguments.actor.name, force).await
        };
        match done {
            Ok(()) => {
                let event_type = self.event_type(event);
                let event_type = event_type.as_deref().unwrap_or(text::NOTHING);
                let (verb, key) = (verb(arguments), text::key(event.record.key.as_deref()));
                writeln!(self.output, "{verb} {id}: {event_type} of {key}")?;
                Ok(Ok(()))
            }
            Err(OperationError::Refused(refusal)) => Ok(Err(refusal)),
            Err(OperationError::RetryStore(error)) => Err(error.into()),
        }
    }

    fn report_refusal(&mut self, refusal: &OperatorRefusal) -> Result<(), OperatorError> {
        Ok(writeln!(self.output, "refused: {refusal}")?)
    }
}

fn verb(arguments: &Redrive) -> &'static str {
    if arguments.dry_run {
        "would redrive"
    } else {
        "redriven"
    }
}

fn pause(arguments: &Redrive) -> Duration {
    if arguments.dry_run {
        return Duration::ZERO;
    }
    Duration::from_secs(1) / arguments.per_second
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

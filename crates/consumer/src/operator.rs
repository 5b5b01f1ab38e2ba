//! The subcommand `dead-letters`: lists and shows events of the retry store, redrives and skips dead ones.
//!
//! * Output is an aligned table; with `--json` one object per line.
//! * External text (keys, headers, reasons) is shown without control characters: a record must not control the terminal of
//!   the operator.
//! * A payload is never shown as it is, since only the service knows its secrets: the service provides the description.

use std::io::{self, Write};

use crate::operator::arguments::{Command, DeadLetters, Skip};
use crate::retry_store::RetryStoreError;
use crate::retry_store::operations::{OperationError, Operations, OperatorRefusal, RetryEvent};
use clap::{CommandFactory as _, FromArgMatches as _};
use kafka::headers::RecordHeaders;
use kafka::record::Record;
use service::command_line::{Command as CommandOfService, ExitError};
use service::config::ConfigError;
use sql::database::{Database, DatabaseConfig, InspectionError};
use sql::migrations::Migrations;

pub mod arguments;

mod audit;
mod list;
mod redrive;
mod show;
mod text;

/// How a service describes its events.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    /// Name of the service.
    pub service: &'static str,
    /// Type of an event, from its headers.
    pub event_type: fn(&RecordHeaders) -> Option<&str>,
    /// The event as text, without secrets; may have several lines.
    pub describe: fn(&Record) -> String,
}

/// Why a command failed, or is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The operation was refused.
    #[error(transparent)]
    Refused(#[from] OperatorRefusal),
    /// Some of several events were not redriven; the output names them.
    #[error("{refused} of {all} were refused")]
    SomeRefused {
        /// Refused events.
        refused: usize,
        /// All selected events.
        all: usize,
    },
    /// The database failed.
    #[error(transparent)]
    RetryStore(#[from] RetryStoreError),
    /// The output is closed.
    #[error("writing the output")]
    Output(#[from] io::Error),
}

impl From<OperationError> for OperatorError {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Refused(refusal) => Self::Refused(refusal),
            OperationError::RetryStore(error) => Self::RetryStore(error),
        }
    }
}

/// The subcommand `dead-letters`, for the command line of a service: opens its database and runs the command.
pub fn command(
    config: impl FnOnce() -> Result<DatabaseConfig, ConfigError> + 'static,
    migrations: Migrations,
    vocabulary: Vocabulary,
) -> CommandOfService {
    CommandOfService::with_arguments(DeadLetters::command(), async move |matches| {
        let arguments = DeadLetters::from_arg_matches(&matches).map_err(ExitError::failed)?;
        let database = Database::inspect(&config()?, migrations, vocabulary.service).await;
        let database = database.map_err(not_opened)?;
        let events = crate::retry_store::database::operations(&database);
        let done = execute(&arguments.command, &*events, vocabulary, &mut io::stdout()).await;
        database.close().await;
        done.map_err(ExitError::failed)
    })
}

fn not_opened(error: InspectionError) -> ExitError {
    if error.is_configuration() {
        ExitError::configuration(error)
    } else {
        ExitError::failed(error)
    }
}

/// Runs one command and writes its output.
///
/// # Errors
/// [`OperatorError`]; changes made before it stay, and are in the output and in the audit.
pub async fn execute(
    command: &Command,
    events: &dyn Operations,
    vocabulary: Vocabulary,
    output: &mut (dyn Write + Send),
) -> Result<(), OperatorError> {
    let mut operator = Operator {
        events,
        vocabulary,
        output,
    };
    match command {
        Command::List(list) => operator.list(list).await,
        Command::Show(show) => operator.show(show).await,
        Command::Redrive(redrive) => operator.redrive(redrive).await,
        Command::Skip(skip) => operator.skip(skip).await,
        Command::Audit(audit) => operator.audit(audit).await,
    }
}

/// Runs the commands; each is a method in the file of its name.
struct Operator<'a> {
    events: &'a dyn Operations,
    vocabulary: Vocabulary,
    output: &'a mut (dyn Write + Send),
}

impl Operator<'_> {
    async fn event(&self, id: i64) -> Result<RetryEvent, OperatorError> {
        let event = self.events.get(id).await?;
        Ok(event.ok_or(OperatorRefusal::Unknown { id })?)
    }

    /// The type of an event without control characters.
    fn event_type(&self, event: &RetryEvent) -> Option<String> {
        (self.vocabulary.event_type)(&event.record.headers).map(text::printable)
    }

    async fn skip(&mut self, Skip { id, reason, actor }: &Skip) -> Result<(), OperatorError> {
        self.events.skip(*id, &actor.name, reason).await?;
        Ok(writeln!(self.output, "skipped {id}")?)
    }
}

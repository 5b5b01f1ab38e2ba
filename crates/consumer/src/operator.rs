//! What `dead-letters` does: shows parked events to an operator, redrives and skips them.
//!
//! * Output is for people, aligned; with `--json` one object per line.
//! * What comes from outside (keys, headers, reasons) is shown without its control characters: a record must not be able to
//!   write to the operator's terminal.
//! * A payload is never shown as it is, since only the service knows what in it is secret: it hands in how to tell it.

use std::io::{self, Write};

use crate::operator::arguments::{Command, DeadLetters};
use crate::retry_store::RetryStoreError;
use crate::retry_store::operations::{OperationError, Operations, Refusal};
use clap::{CommandFactory as _, FromArgMatches as _};
use kafka::headers::Headers;
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

/// What only the service knows of its events.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    /// The name of the service.
    pub service: &'static str,
    /// The type of the event in a record, by its headers.
    pub event_type: fn(&Headers) -> Option<&str>,
    /// The event in a record as text, without secrets; may have several lines.
    pub describe: fn(&Record) -> String,
}

/// Why a command is not done, or not completely.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The database cannot be used.
    #[error(transparent)]
    Inspection(#[from] InspectionError),
    /// It must not be done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Of several events some were not redriven; each was named.
    #[error("{refused} of {all} were refused")]
    SomeRefused {
        /// How many.
        refused: usize,
        /// Of how many.
        all: usize,
    },
    /// The database failed.
    #[error(transparent)]
    RetryStore(#[from] RetryStoreError),
    /// Nobody reads the output.
    #[error("writing the output")]
    Output(#[from] io::Error),
}

impl From<OperatorError> for ExitError {
    fn from(error: OperatorError) -> Self {
        match error {
            OperatorError::Inspection(found) if found.is_configuration() => {
                Self::configuration(found)
            }
            error => Self::failed(error),
        }
    }
}

impl From<OperationError> for OperatorError {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Refused(refusal) => Self::Refused(refusal),
            OperationError::RetryStore(error) => Self::RetryStore(error),
        }
    }
}

/// The subcommand `dead-letters`.
pub fn command(
    config: impl FnOnce() -> Result<DatabaseConfig, ConfigError> + 'static,
    migrations: Migrations,
    vocabulary: Vocabulary,
) -> CommandOfService {
    CommandOfService::with_arguments(DeadLetters::command(), async move |matches| {
        let arguments = DeadLetters::from_arg_matches(&matches).map_err(ExitError::failed)?;
        Ok(run(&arguments, &config()?, migrations, vocabulary).await?)
    })
}

/// Opens the database of the service and does what the command line asks for.
///
/// # Errors
/// [`OperatorError`]; what was done before it stays done, and is in the output and in the audit.
pub async fn run(
    arguments: &DeadLetters,
    database: &DatabaseConfig,
    migrations: Migrations,
    vocabulary: Vocabulary,
) -> Result<(), OperatorError> {
    let database = Database::inspect(database, migrations, vocabulary.service).await?;
    let events = crate::retry_store::database::operations(&database);
    let done = execute(&arguments.command, &*events, vocabulary, &mut io::stdout()).await;
    database.close().await;
    done
}

/// Does one command and writes what there is to say.
///
/// # Errors
/// As [`run`].
pub async fn execute(
    command: &Command,
    events: &dyn Operations,
    vocabulary: Vocabulary,
    output: &mut (dyn Write + Send),
) -> Result<(), OperatorError> {
    match command {
        Command::List(list) => list::list(list, events, vocabulary, output).await,
        Command::Show(show) => show::show(show, events, vocabulary, output).await,
        Command::Redrive(redrive) => redrive::redrive(redrive, events, vocabulary, output).await,
        Command::Skip(skip) => {
            let (id, actor) = (skip.id, &skip.actor.name);
            events.skip(id, actor, &skip.reason).await?;
            Ok(writeln!(output, "skipped {id}")?)
        }
        Command::Audit(audit) => audit::audit(audit, events, output).await,
    }
}

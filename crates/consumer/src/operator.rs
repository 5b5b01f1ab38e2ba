//! The subcommand `dead-letters`: lists and shows events of the retry store, redrives and skips dead ones.
//!
//! * Output is an aligned table; with `--json` one object per line.
//! * External text (keys, headers, reasons) is shown without control characters: a record must not control the terminal of
//!   the operator.
//! * A payload is never shown as it is, since only the service knows its secrets: the service provides the description.

use std::io::{self, Write};

use crate::operator::arguments::{Command, DeadLetters};
use crate::retry_store::RetryStoreError;
use crate::retry_store::operations::{OperationError, Operations, OperatorRefusal};
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

/// How a service describes its events.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    /// Name of the service.
    pub service: &'static str,
    /// Type of an event, from its headers.
    pub event_type: fn(&Headers) -> Option<&str>,
    /// The event as text, without secrets; may have several lines.
    pub describe: fn(&Record) -> String,
}

/// Why a command failed, or is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The database cannot be opened.
    #[error(transparent)]
    Inspection(#[from] InspectionError),
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

/// The subcommand `dead-letters`, for the command line of a service.
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

/// Opens the database of the service and runs the command.
///
/// # Errors
/// [`OperatorError`]; changes made before it stay, and are in the output and in the audit.
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

/// Runs one command and writes its output.
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

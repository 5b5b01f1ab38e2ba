//! The command line of `dead-letters`; [`crate::operator`] runs it.

use clap::{Args, Parser, Subcommand};

use crate::retry_store::FaultClass;
use crate::retry_store::operations::{MAX_TEXT, State};

/// Upper bound of `--limit`: each event of a list is read with its headers.
const MAX_LISTED: i64 = 1_000;

/// The arguments of `dead-letters`.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(
    name = "dead-letters",
    about = "Lists and shows events of the retry store, redrives or skips dead ones",
    long_about = "Lists and shows events of the retry store, redrives or skips dead ones.\n\n\
        It uses the database and the settings of the service (DATABASE_URL, see --help of the service). The service may \
        run meanwhile: it handles redriven events.\n\n\
        Exit codes: 0 done, 1 refused or failed, 64 wrong usage, 78 wrong configuration.",
    subcommand_required = true,
    arg_required_else_help = false
)]
pub struct DeadLetters {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// List events of the retry store: dead ones, waiting ones, and those behind them
    List(List),
    /// Show one event: its record, its description and its last failure
    Show(Show),
    /// Retry dead events, in the order of their keys
    Redrive(Redrive),
    /// Skip a dead event, so that the next of its key is handled; its row is kept
    Skip(Skip),
    /// List redrives and skips with their operators, latest first
    Audit(Audit),
}

/// Arguments of `list`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Only in this state: waiting, dead or skipped
    #[arg(long, value_parser = state)]
    pub state: Option<State>,
    /// Only with this failure: rejected, retries-spent, panicked, killed-the-process or unpublished
    #[arg(long, value_parser = class)]
    pub class: Option<FaultClass>,
    /// Only with this key
    #[arg(long)]
    pub key: Option<String>,
    /// Maximum number of events, up to 1000
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u32).range(1..=MAX_LISTED))]
    pub limit: u32,
    /// As one JSON object per line; times are unix milliseconds
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `show`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Show {
    /// The id that `list` shows
    pub id: i64,
    /// As one JSON object; times are unix milliseconds
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `redrive`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// The selected events.
    #[command(flatten)]
    pub selection: Selection,
    /// Print what would be redriven, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Maximum events per second, up to 1000: limits the extra load of the service
    #[arg(long, default_value = "10", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub per_second: u32,
    /// Also events that were redriven five times and died each time
    #[arg(long)]
    pub force: bool,
    /// The operator.
    #[command(flatten)]
    pub actor: Actor,
}

/// One event, or all of a kind. Only the head of each key is redriven; the events behind it follow by themselves.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[group(required = true, multiple = false)]
pub struct Selection {
    /// The id that `list` shows
    pub id: Option<i64>,
    /// The dead event of this key
    #[arg(long)]
    pub key: Option<String>,
    /// All dead events with this failure: rejected, retries-spent, panicked, killed-the-process or unpublished
    #[arg(long, value_parser = class)]
    pub class: Option<FaultClass>,
    /// All dead events
    #[arg(long)]
    pub all: bool,
}

/// Arguments of `skip`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The id that `list` shows
    pub id: i64,
    /// Reason, for the audit
    #[arg(long, value_parser = text)]
    pub reason: String,
    /// The operator.
    #[command(flatten)]
    pub actor: Actor,
}

/// The operator.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Name of the operator, for the audit
    #[arg(long = "actor", env = "USER", default_value = "unknown", value_parser = text)]
    pub name: String,
}

/// Arguments of `audit`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Maximum number of entries, up to 1000
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u32).range(1..=MAX_LISTED))]
    pub limit: u32,
    /// As one JSON object per line; times are unix milliseconds
    #[arg(long)]
    pub json: bool,
}

fn state(name: &str) -> Result<State, String> {
    let found = State::ALL.into_iter().find(|state| state.name() == name);
    found.ok_or_else(|| one_of(State::ALL.map(State::name)))
}

fn class(name: &str) -> Result<FaultClass, String> {
    FaultClass::named(name).ok_or_else(|| one_of(FaultClass::ALL.map(FaultClass::name)))
}

fn one_of<const N: usize>(names: [&str; N]) -> String {
    format!("expected one of {}", names.join(", "))
}

fn text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.len() > MAX_TEXT {
        return Err(format!("expected 1 to {MAX_TEXT} bytes of text"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<DeadLetters, clap::Error> {
        DeadLetters::try_parse_from([&["dead-letters"], arguments].concat())
    }

    fn is_refused(arguments: &[&str]) -> bool {
        parsed(arguments).is_err_and(|error| error.use_stderr())
    }

    #[test]
    fn a_command_and_its_arguments_are_read() {
        let Ok(DeadLetters {
            command: Command::List(list),
        }) = parsed(&["list", "--state", "dead", "--class", "retries-spent"])
        else {
            panic!("not understood");
        };

        assert_eq!(list.state, Some(State::Dead));
        assert_eq!(list.class, Some(FaultClass::RetriesSpent));
        assert_eq!(list.limit, 50);
    }

    #[test]
    fn the_help_documents_every_command_and_argument() {
        let overview = parsed(&["--help"]).unwrap_err().to_string();
        let redrive = parsed(&["redrive", "--help"]).unwrap_err().to_string();

        for part in ["list", "show", "redrive", "skip", "audit", "64", "78"] {
            assert!(overview.contains(part), "{overview}");
        }
        for part in [
            "ID",
            "--key",
            "--class",
            "--all",
            "--dry-run",
            "--per-second",
            "--force",
            "--actor",
        ] {
            assert!(redrive.contains(part), "{redrive}");
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for wrong in [
            &[][..],
            &["bury"],
            &["list", "--state", "alive"],
            &["list", "--limit", "0"],
            &["list", "--limit", "1001"],
            &["show"],
            &["show", "first"],
            &["redrive"],
            &["redrive", "1", "--all"],
            &["redrive", "--key", "a", "--class", "rejected"],
            &["redrive", "--all", "--per-second", "0"],
            &["skip", "1"],
            &["skip", "1", "--reason", " "],
        ] {
            assert!(is_refused(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_reason_is_bounded() {
        let longest = "x".repeat(MAX_TEXT);

        assert!(!is_refused(&["skip", "1", "--reason", &longest]));
        assert!(is_refused(&[
            "skip",
            "1",
            "--reason",
            &format!("{longest}x")
        ]));
    }
}

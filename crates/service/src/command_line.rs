//! The `main` of a service: command line, subcommands, exit code.
//!
//! Without a subcommand the service runs. Settings are environment variables; `--help` lists them.

use std::error::Error;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::ArgMatches;
use tokio::runtime::Runtime;

use crate::ServiceIdentity;
use crate::config::{ConfigError, SettingDoc};
use crate::error_chain::ErrorChain;

/// Exit code for a wrong command line: `EX_USAGE` of sysexits.h.
pub const EXIT_USAGE: u8 = 64;

/// Exit code for a wrong configuration: `EX_CONFIG` of sysexits.h. A restart does not help; a setting must change.
pub const EXIT_CONFIG: u8 = 78;

/// The failure of a service or a subcommand, with the exit code of the process.
#[derive(Debug)]
pub struct ExitError {
    code: u8,
    cause: Box<dyn Error + Send + Sync>,
}

impl ExitError {
    /// A failure that a restart may fix: exit code 1.
    pub fn failed(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: 1,
            cause: cause.into(),
        }
    }

    /// A wrong setting, or a wrong file or server that a setting points to: exit code 78.
    pub fn configuration(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: EXIT_CONFIG,
            cause: cause.into(),
        }
    }

    /// Adds the operation that failed.
    #[must_use]
    pub fn context(self, operation: &str) -> Self {
        let cause = format!("{operation}: {}", ErrorChain(&*self.cause));
        Self {
            code: self.code,
            cause: cause.into(),
        }
    }

    pub fn code(&self) -> u8 {
        self.code
    }
}

impl std::fmt::Display for ExitError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", ErrorChain(&*self.cause))
    }
}

impl From<ConfigError> for ExitError {
    fn from(error: ConfigError) -> Self {
        Self::configuration(error)
    }
}

impl From<io::Error> for ExitError {
    fn from(error: io::Error) -> Self {
        Self::failed(error)
    }
}

type Outcome = Pin<Box<dyn Future<Output = Result<(), ExitError>>>>;

/// A subcommand, which runs instead of the service.
pub struct Command {
    arguments: clap::Command,
    run: Box<dyn FnOnce(ArgMatches) -> Outcome>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Command")
            .field(&self.arguments.get_name())
            .finish()
    }
}

impl Command {
    /// A subcommand without arguments.
    pub fn new<F>(
        name: &'static str,
        about: &'static str,
        run: impl FnOnce() -> F + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), ExitError>> + 'static,
    {
        Self::with_arguments(clap::Command::new(name).about(about), |_| run())
    }

    /// A subcommand with the name and arguments of `arguments`.
    pub fn with_arguments<F>(
        arguments: clap::Command,
        run: impl FnOnce(ArgMatches) -> F + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), ExitError>> + 'static,
    {
        Self {
            arguments,
            run: Box::new(|matches| Box::pin(run(matches))),
        }
    }
}

/// Parses the command line and runs the service or a subcommand. Errors go to standard error.
pub fn main(
    identity: ServiceIdentity,
    settings: &[SettingDoc],
    run: impl FnOnce() -> Result<(), ExitError>,
    commands: Vec<Command>,
) -> ExitCode {
    let mut matches = match parser(identity, settings, &commands).try_get_matches() {
        Ok(matches) => matches,
        Err(message) => return show(&message),
    };
    let done = match matches.remove_subcommand() {
        None => run(),
        Some((name, arguments)) => run_command(&name, arguments, commands),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(format!("{}: {error}", identity.name));
            ExitCode::from(error.code)
        }
    }
}

/// Time for the reader of standard error: a pipe that is full and not read must not keep the process.
const REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes to standard error. Its failure is ignored: the exit code remains.
fn report(message: String) {
    let (done, written) = mpsc::channel();
    thread::spawn(move || {
        let _ = writeln!(io::stderr(), "{message}");
        let _ = done.send(());
    });
    let _ = written.recv_timeout(REPORT_TIMEOUT);
}

fn run_command(name: &str, arguments: ArgMatches, commands: Vec<Command>) -> Result<(), ExitError> {
    let mut commands = commands.into_iter();
    match commands.find(|command| command.arguments.get_name() == name) {
        Some(command) => Runtime::new()?.block_on((command.run)(arguments)),
        // Not reached: clap rejects unknown subcommands.
        None => Ok(()),
    }
}

/// Help and version go to standard output with exit code 0; every other message is wrong usage.
fn show(message: &clap::Error) -> ExitCode {
    // The output is closed; there is nowhere else to report that.
    let _ = message.print();
    if message.use_stderr() {
        ExitCode::from(EXIT_USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

fn parser(
    identity: ServiceIdentity,
    settings: &[SettingDoc],
    commands: &[Command],
) -> clap::Command {
    clap::Command::new(identity.name)
        .version(identity.version)
        .about(identity.about)
        .subcommands(commands.iter().map(|command| command.arguments.clone()))
        .disable_help_subcommand(true)
        .after_help(describe(settings))
}

fn describe(settings: &[SettingDoc]) -> String {
    let mut text = "Settings (environment variables):".to_owned();
    for SettingDoc {
        name,
        default,
        help,
    } in settings
    {
        let default = if default.is_empty() { "unset" } else { default };
        text += &format!("\n  {name} [{default}]\n      {help}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: ServiceIdentity = ServiceIdentity {
        name: "some-service",
        version: "1.2.3",
        about: "Does something.",
    };

    fn parse(arguments: &[&str]) -> Result<ArgMatches, clap::Error> {
        let settings = [SettingDoc {
            name: "SOME_LIMIT",
            default: "5s",
            help: "how long something may take",
        }];
        let commands = [
            Command::new("migrate", "migrates", async || Ok(())),
            Command::new("topics", "creates topics", async || Ok(())),
        ];
        let arguments = [&["some-service"], arguments].concat();
        parser(SERVICE, &settings, &commands).try_get_matches_from(arguments)
    }

    #[test]
    fn without_arguments_the_service_runs() {
        assert_eq!(parse(&[]).unwrap().subcommand_name(), None);
    }

    #[test]
    fn a_subcommand_takes_no_second_subcommand() {
        assert_eq!(
            parse(&["migrate"]).unwrap().subcommand_name(),
            Some("migrate")
        );
        assert_eq!(
            parse(&["topics"]).unwrap().subcommand_name(),
            Some("topics")
        );
        assert!(parse(&["migrate", "topics"]).is_err());
    }

    #[test]
    fn the_help_names_every_command_and_every_setting_with_its_default() {
        let help = parse(&["--help"]).unwrap_err();

        assert!(!help.use_stderr());
        for part in [
            "some-service",
            "migrate",
            "SOME_LIMIT",
            "5s",
            "how long something may take",
        ] {
            assert!(help.to_string().contains(part), "{help}");
        }
    }

    #[test]
    fn the_version_is_shown() {
        assert_eq!(
            parse(&["-V"]).unwrap_err().to_string(),
            "some-service 1.2.3\n"
        );
    }

    #[test]
    fn an_unknown_argument_is_named() {
        let refused = parse(&["--fast"]).unwrap_err();

        assert!(refused.use_stderr());
        assert!(refused.to_string().contains("--fast"), "{refused}");
    }
}

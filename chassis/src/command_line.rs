//! The command line of a service: what it is to do, and nothing to set. Settings are environment variables.

use std::fmt::Write;

pub mod dead_letters;

use dead_letters::DeadLetters;

use crate::config::SettingDoc;
use crate::telemetry::ServiceIdentity;

/// Exit code for a command line that cannot be understood: `EX_USAGE` of sysexits.h.
pub const EXIT_USAGE: u8 = 64;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// To run the service.
    Run,
    /// To bring the database schema up to date and end.
    Migrate,
    /// To create the topics that the service writes and end.
    Topics,
    /// To ask the service that runs with the same settings whether it is ready, and end.
    Probe,
    /// To look at events that could not be handled, or to do something about them, and end.
    DeadLetters(DeadLetters),
    /// To print a text and end.
    Show(String),
    /// Something that does not exist; the text says so.
    Unknown(String),
}

impl Invocation {
    /// Reads the arguments behind the program's name; `settings` is what `--help` documents.
    pub fn parse(
        arguments: impl IntoIterator<Item = String>,
        service: &ServiceIdentity,
        settings: &[SettingDoc],
    ) -> Self {
        let mut arguments = arguments.into_iter();
        let mut invocation = Self::Run;
        while let Some(argument) = arguments.next() {
            if argument == "dead-letters" && invocation == Self::Run {
                return dead_letters::parse(service.name, arguments);
            }
            invocation = match argument.as_str() {
                "migrate" if invocation == Self::Run => Self::Migrate,
                "topics" if invocation == Self::Run => Self::Topics,
                "probe" if invocation == Self::Run => Self::Probe,
                "--help" | "-h" => Self::Show(help(service, settings)),
                "--version" | "-V" => Self::Show(format!("{} {}", service.name, service.version)),
                _ => return Self::Unknown(unknown(service, &argument)),
            };
        }
        invocation
    }
}

fn unknown(service: &ServiceIdentity, argument: &str) -> String {
    let name = service.name;
    format!(
        "{name}: unknown argument {argument:?}; settings are environment variables, see {name} --help"
    )
}

const COMMANDS: &str = "  (none)        run the service
  migrate       bring the database schema up to date and end
  topics        create the Kafka topics that the service writes and end; differences of existing ones are an error
  probe         ask the running service on this machine whether it is ready and end: 0 if it is, 1 if not
  dead-letters  show the events that could not be handled, redrive or skip them; see dead-letters --help
  --help        show this text
  --version     show the version";

fn help(service: &ServiceIdentity, settings: &[SettingDoc]) -> String {
    let ServiceIdentity {
        name,
        version,
        about,
    } = service;
    let mut text = format!(
        "{name} {version}\n{about}\n\nUsage: {name} [COMMAND]\n\nCommands:\n{COMMANDS}\n\nSettings (environment variables):"
    );
    for setting in settings {
        let default = match setting.default {
            "" => "unset",
            default => default,
        };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n  {} [{default}]\n      {}",
            setting.name, setting.help
        );
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

    fn parse(arguments: &[&str]) -> Invocation {
        let settings = [SettingDoc {
            name: "SOME_LIMIT",
            default: "5s",
            help: "how long something may take",
        }];
        let arguments = arguments.iter().map(|&argument| argument.to_owned());
        Invocation::parse(arguments, &SERVICE, &settings)
    }

    #[test]
    fn without_arguments_the_service_runs() {
        assert_eq!(parse(&[]), Invocation::Run);
    }

    #[test]
    fn a_command_is_one_word() {
        assert_eq!(parse(&["migrate"]), Invocation::Migrate);
        assert_eq!(parse(&["topics"]), Invocation::Topics);
        assert_eq!(parse(&["probe"]), Invocation::Probe);
        assert!(matches!(
            parse(&["migrate", "topics"]),
            Invocation::Unknown(_)
        ));
    }

    #[test]
    fn what_follows_dead_letters_is_its_own() {
        assert!(matches!(
            parse(&["dead-letters", "list"]),
            Invocation::DeadLetters(_)
        ));
        assert!(matches!(parse(&["dead-letters"]), Invocation::Unknown(_)));
        assert!(matches!(
            parse(&["migrate", "dead-letters", "list"]),
            Invocation::Unknown(_)
        ));
    }

    #[test]
    fn the_help_names_every_setting_and_its_default() {
        let Invocation::Show(help) = parse(&["--help"]) else {
            panic!("no help");
        };

        for part in [
            "some-service",
            "SOME_LIMIT",
            "5s",
            "how long something may take",
        ] {
            assert!(help.contains(part), "{help}");
        }
    }

    #[test]
    fn the_version_is_shown() {
        assert_eq!(
            parse(&["-V"]),
            Invocation::Show("some-service 1.2.3".to_owned())
        );
    }

    #[test]
    fn an_unknown_argument_is_named_wherever_it_stands() {
        let Invocation::Unknown(message) = parse(&["--help", "--fast"]) else {
            panic!("accepted");
        };

        assert!(message.contains("--fast"), "{message}");
    }
}

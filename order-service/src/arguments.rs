//! The command line: there is nothing to set on it, only to ask.

use std::fmt::Write;

use crate::config::Config;

/// The name of the program and of the service.
pub const NAME: &str = "order-service";

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Exit code for arguments that make no sense: `EX_USAGE` of sysexits.h.
pub const EXIT_CODE: u8 = 64;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// To run the service.
    Run,
    /// To print a text and end.
    Show(String),
    /// Something that does not exist; the text says so.
    Unknown(String),
}

impl Arguments {
    /// Reads the arguments behind the program's name.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Self {
        match arguments.next().as_deref() {
            None => Self::Run,
            Some("--help" | "-h") => Self::Show(help()),
            Some("--version" | "-V") => Self::Show(format!("{NAME} {VERSION}")),
            Some(unknown) => Self::Unknown(format!(
                "{NAME}: unknown argument {unknown:?}; settings are environment variables, see {NAME} --help"
            )),
        }
    }
}

fn help() -> String {
    let mut text = format!(
        "{NAME} {VERSION}\nTakes orders: a durable confirmation at once, the outcome later.\n\n\
         Usage: {NAME} [--help | --version]\n\nSettings (environment variables):"
    );
    for setting in Config::documentation() {
        let default = match setting.default {
            "" => "unset",
            default => default,
        };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n  {:<28} {} [{default}]",
            setting.name, setting.help
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Arguments {
        Arguments::parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn without_arguments_the_service_runs() {
        assert_eq!(parse(&[]), Arguments::Run);
    }

    #[test]
    fn help_names_every_setting_and_its_default() {
        let Arguments::Show(help) = parse(&["--help"]) else {
            panic!("no help");
        };

        for setting in Config::documentation() {
            assert!(help.contains(setting.name), "{help}");
            assert!(help.contains(setting.default), "{help}");
        }
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let Arguments::Unknown(message) = parse(&["--port=1"]) else {
            panic!("accepted");
        };

        assert!(message.contains("--port=1"));
    }
}

//! The command line: it has no options but the two that every program has, because all settings are environment
//! variables.

use std::fmt::Write;

use crate::config::Config;

/// Exit code for a command line that cannot be understood: `EX_USAGE` of sysexits.h.
pub const EXIT_USAGE: u8 = 64;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Run the service.
    Run,
    /// Show what it is and its settings.
    Help,
    /// Show its version.
    Version,
    /// This argument is not known.
    Unknown(String),
}

impl Invocation {
    /// Reads the arguments behind the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Self {
        let mut invocation = Self::Run;
        for argument in arguments {
            match argument.as_str() {
                "--help" | "-h" => invocation = Self::Help,
                "--version" | "-V" => invocation = Self::Version,
                _ => return Self::Unknown(argument),
            }
        }
        invocation
    }
}

/// What the service is, and the table of its settings.
pub fn help() -> String {
    let mut text = format!(
        "{} {}\n{}\n\nUsage: {} [--help | --version]\n\nSettings (environment variables):\n",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_DESCRIPTION"),
        env!("CARGO_PKG_NAME"),
    );
    for setting in Config::documentation() {
        let default = if setting.default.is_empty() {
            "unset"
        } else {
            setting.default
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "  {} [{default}]\n      {}",
            setting.name, setting.help
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Invocation {
        Invocation::parse(arguments.iter().map(|&argument| argument.to_owned()))
    }

    #[test]
    fn without_arguments_the_service_runs() {
        assert_eq!(parse(&[]), Invocation::Run);
    }

    #[test]
    fn an_unknown_argument_is_named_wherever_it_stands() {
        assert_eq!(
            parse(&["--help", "--fast"]),
            Invocation::Unknown("--fast".to_owned())
        );
    }

    #[test]
    fn the_help_names_every_setting() {
        let help = help();

        for setting in Config::documentation() {
            assert!(help.contains(setting.name), "{}", setting.name);
        }
    }
}

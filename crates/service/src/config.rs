//! Configuration from the environment: typed, documented where it is read, and with every mistake reported at once.
//!
//! A service reads its settings through [`Settings`]. Each read names the variable, its default and its meaning, so
//! `--help` and the configuration page are generated from the calls that read the values. A value that does not parse
//! is recorded, the default is used, and [`Settings::finish`] fails with all recorded mistakes. Variables that no call
//! reads are ignored, except the names given to [`Settings::renamed`] and [`Settings::unsupported`].

use std::collections::BTreeMap;
use std::fmt;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod value;

pub use value::{FromSetting, parse};

/// Where settings come from: the environment, or a map in tests.
pub trait SettingsSource {
    fn get(&self, name: &str) -> Option<String>;

    /// The names of all settings, used and unused ones.
    fn names(&self) -> Vec<String>;
}

struct Environment;

impl SettingsSource for Environment {
    fn get(&self, name: &str) -> Option<String> {
        // Invalid Unicode becomes replacement characters, so that the parser rejects it under the name of the setting.
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn names(&self) -> Vec<String> {
        let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        names.collect()
    }
}

impl SettingsSource for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// The configuration of a service: data, read once.
pub trait Configuration: Sized {
    fn read(settings: &mut Settings<'_>) -> Self;

    /// Reads the environment of the process.
    ///
    /// # Errors
    /// As [`Configuration::from_source`].
    fn from_environment() -> Result<Self, ConfigError> {
        Self::from_source(&Environment)
    }

    /// # Errors
    /// [`ConfigError`] with every setting that is invalid, alone or in combination.
    fn from_source(source: &dyn SettingsSource) -> Result<Self, ConfigError> {
        let mut settings = Settings::new(source);
        let config = Self::read(&mut settings);
        settings.finish(config)
    }

    /// All settings with their defaults, in reading order.
    fn documentation() -> Vec<SettingDoc> {
        let nothing = BTreeMap::new();
        let mut settings = Settings::new(&nothing);
        Self::read(&mut settings);
        settings.documentation
    }
}

/// One setting as its reader declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDoc {
    pub name: &'static str,
    /// In the syntax of the variable; empty for an optional setting.
    pub default: &'static str,
    /// The meaning, with the unit.
    pub help: &'static str,
}

/// Reads settings and collects their documentation and all mistakes.
pub struct Settings<'a> {
    source: &'a dyn SettingsSource,
    documentation: Vec<SettingDoc>,
    mistakes: Vec<String>,
    /// Names given to [`Settings::unsupported`].
    known: Vec<&'static str>,
}

impl fmt::Debug for Settings<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The source may hold secrets.
        formatter
            .debug_struct("Settings")
            .field("mistakes", &self.mistakes)
            .finish_non_exhaustive()
    }
}

impl<'a> Settings<'a> {
    pub fn new(source: &'a dyn SettingsSource) -> Self {
        Self {
            source,
            documentation: Vec::new(),
            mistakes: Vec::new(),
            known: Vec::new(),
        }
    }

    /// Reads a setting that has a default.
    pub fn value<T: FromSetting>(
        &mut self,
        name: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> T {
        match self.read(name, default, help) {
            Some(value) => value,
            None => parse_default(name, default),
        }
    }

    /// Reads a setting that has no default.
    pub fn optional<T: FromSetting>(
        &mut self,
        name: &'static str,
        help: &'static str,
    ) -> Option<T> {
        self.read(name, "", help)
    }

    /// Records the use of an old name as a mistake that gives the new one. Ignoring it would silently apply the default.
    pub fn renamed(&mut self, old: &'static str, new: &'static str) {
        if self.text(old).is_some() {
            self.reject(old, format_args!("unknown, use {new}"));
        }
    }

    /// Records the use of a variable that others support. Ignoring it would surprise its operator.
    pub fn unsupported(&mut self, name: &'static str, why: impl fmt::Display) {
        self.known.push(name);
        if self.text(name).is_some() {
            self.reject(name, why);
        }
    }

    /// The variables with this prefix that are set and have no effect, sorted: no earlier call has read them.
    pub fn unread(&self, prefix: &str) -> Vec<String> {
        let is_read = |name: &str| self.documentation.iter().any(|read| read.name == name);
        let mut names = self.source.names();
        names.retain(|name| {
            let is_known = is_read(name) || self.known.contains(&name.as_str());
            name.starts_with(prefix) && !is_known && self.text(name).is_some()
        });
        names.sort();
        names
    }

    /// Records a mistake that the parser cannot find, such as a conflict between settings.
    pub fn reject(&mut self, name: &'static str, why: impl fmt::Display) {
        self.mistakes.push(format!("{name}: {why}"));
    }

    /// Records a mistake unless `is_valid`.
    pub fn require(&mut self, is_valid: bool, name: &'static str, why: impl fmt::Display) {
        if !is_valid {
            self.reject(name, why);
        }
    }

    /// Returns the configuration if there is no mistake.
    ///
    /// # Errors
    /// [`ConfigError`] with all mistakes.
    pub fn finish<C>(self, config: C) -> Result<C, ConfigError> {
        if self.mistakes.is_empty() {
            return Ok(config);
        }
        Err(ConfigError {
            mistakes: self.mistakes,
        })
    }

    fn read<T: FromSetting>(
        &mut self,
        name: &'static str,
        default: &'static str,
        help: &'static str,
    ) -> Option<T> {
        self.documentation.push(SettingDoc {
            name,
            default,
            help,
        });
        let text = self.text(name)?;
        if let Err(why) = value::check_text(&text) {
            self.reject(name, why);
            return None;
        }
        match T::from_setting(&text) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.reject(name, value::mistake::<T>(&text, &expected));
                None
            }
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        // Empty means unset: a Kubernetes manifest can hardly unset a variable.
        self.source.get(name).filter(|text| !text.is_empty())
    }
}

#[expect(
    clippy::panic,
    reason = "a default is part of the code: the configuration test of each service reads them all"
)]
fn parse_default<T: FromSetting>(name: &str, default: &str) -> T {
    match T::from_setting(default) {
        Ok(value) => value,
        Err(expected) => panic!("default of {name} is wrong: expected {expected}"),
    }
}

/// All mistakes in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    mistakes: Vec<String>,
}

impl ConfigError {
    /// One line per mistake, starting with the variable.
    pub fn mistakes(&self) -> &[String] {
        &self.mistakes
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "invalid configuration:")?;
        self.mistakes
            .iter()
            .try_for_each(|mistake| write!(formatter, "\n  {mistake}"))
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    fn read(settings: &mut Settings<'_>) -> (SocketAddr, Duration, Option<u32>) {
        let listen = settings.value("LISTEN", "127.0.0.1:1", "address");
        let grace = settings.value("GRACE", "20s", "time");
        let limit = settings.optional("LIMIT", "count");
        (listen, grace, limit)
    }

    #[test]
    fn an_empty_environment_gives_the_defaults() {
        let source = environment(&[("LIMIT", "")]);
        let mut settings = Settings::new(&source);

        let config = read(&mut settings);

        let config = settings.finish(config).unwrap();
        assert_eq!(
            config,
            (
                "127.0.0.1:1".parse().unwrap(),
                Duration::from_secs(20),
                None
            )
        );
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let source = environment(&[("LISTEN", "everywhere"), ("GRACE", "soon"), ("LIMIT", "-1")]);
        let mut settings = Settings::new(&source);

        let config = read(&mut settings);
        settings.reject("GRACE", "too long");

        let error = settings.finish(config).unwrap_err();
        let names: Vec<_> = error
            .mistakes()
            .iter()
            .map(|m| m.split(':').next().unwrap())
            .collect();
        assert_eq!(names, ["LISTEN", "GRACE", "LIMIT", "GRACE"]);
    }

    #[test]
    fn a_setting_under_its_old_name_is_a_mistake_that_names_the_new_one() {
        let source = environment(&[("WAIT", "5s"), ("PAUSE", "")]);
        let mut settings = Settings::new(&source);

        settings.renamed("WAIT", "GRACE");
        settings.renamed("PAUSE", "GRACE");

        let error = settings.finish(()).unwrap_err();
        assert_eq!(error.mistakes(), ["WAIT: unknown, use GRACE"]);
    }

    #[test]
    fn what_no_value_may_contain_is_refused_by_name_and_not_repeated() {
        for hostile in [
            " ",
            "hunter2\n",
            "hunter2\r\n",
            "hun\tter2",
            "hunter2\u{fffd}",
        ] {
            let source = environment(&[("PASSWORD", hostile)]);
            let mut settings = Settings::new(&source);

            let read: Option<String> = settings.optional("PASSWORD", "password");

            assert_eq!(read, None);
            let error = settings.finish(()).unwrap_err();
            assert!(error.mistakes()[0].starts_with("PASSWORD: must"), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_error_repeats_only_the_begin_of_a_huge_value() {
        let source = environment(&[("GRACE", &"9".repeat(100_000))]);
        let mut settings = Settings::new(&source);

        let config = read(&mut settings);

        let error = settings.finish(config).unwrap_err().to_string();
        assert!(error.len() < 300, "{}", error.len());
    }

    #[test]
    fn variables_that_are_set_and_not_read_are_known() {
        let source = environment(&[
            ("A_USED", "1"),
            ("A_LOST", "1"),
            ("A_EMPTY", ""),
            ("B", "1"),
        ]);
        let mut settings = Settings::new(&source);

        let _: Option<u32> = settings.optional("A_USED", "count");

        assert_eq!(settings.unread("A_"), ["A_LOST"]);
    }

    #[test]
    fn an_unsupported_variable_is_a_mistake_only_if_it_is_set() {
        let source = environment(&[("A_FORMAT", "xml")]);
        let mut settings = Settings::new(&source);

        settings.unsupported("A_FORMAT", "not supported");
        settings.unsupported("A_COLOUR", "not supported");

        assert!(settings.unread("A_").is_empty());
        let error = settings.finish(()).unwrap_err();
        assert_eq!(error.mistakes(), ["A_FORMAT: not supported"]);
    }

    #[test]
    fn every_setting_that_is_read_is_documented() {
        let source = environment(&[]);
        let mut settings = Settings::new(&source);

        read(&mut settings);

        let names: Vec<_> = settings.documentation.iter().map(|doc| doc.name).collect();
        assert_eq!(names, ["LISTEN", "GRACE", "LIMIT"]);
    }

    #[test]
    fn a_wrong_secret_is_not_repeated_in_its_error() {
        struct Secret;
        impl FromSetting for Secret {
            const SECRET: bool = true;

            fn from_setting(text: &str) -> Result<Self, String> {
                if text == "right" {
                    Ok(Self)
                } else {
                    Err("a secret".to_owned())
                }
            }
        }
        let source = environment(&[("PASSWORD", "hunter2")]);
        let mut settings = Settings::new(&source);

        let secret: Secret = settings.value("PASSWORD", "right", "password");

        let error = settings.finish(secret).err().unwrap().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

//! Configuration from the environment: typed, documented where it is read, and with every mistake reported at once.
//!
//! A service reads its settings through [`Settings`]. Each read names the variable, its default and what it means, so
//! that `--help` and the configuration page are made from the very calls that read the values. A value that does not
//! parse is recorded and the default stands in until [`Settings::finish`], which fails with the whole list.

use std::collections::BTreeMap;
use std::fmt;

mod value;

pub use value::FromSetting;

/// Where settings come from; tests pass a map.
pub trait Source {
    /// The value of the variable, if it is set.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug)]
pub struct Environment;

impl Source for Environment {
    fn get(&self, name: &str) -> Option<String> {
        // A value that is no Unicode is shown with replacement characters, so that its parser can refuse it by name.
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

impl Source for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).cloned()
    }
}

/// One setting as its reader declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDoc {
    /// The environment variable.
    pub name: &'static str,
    /// The default as one would write it; empty when the setting is optional and unset.
    pub default: &'static str,
    /// What it means, with its unit.
    pub help: &'static str,
}

/// Reads settings, collecting their documentation and every mistake.
pub struct Settings<'a> {
    source: &'a dyn Source,
    documentation: Vec<SettingDoc>,
    mistakes: Vec<String>,
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
    /// A reader of this source.
    pub fn new(source: &'a dyn Source) -> Self {
        Self {
            source,
            documentation: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    /// The value of a setting, or its default.
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

    /// The value of a setting that has no default.
    pub fn optional<T: FromSetting>(
        &mut self,
        name: &'static str,
        help: &'static str,
    ) -> Option<T> {
        self.read(name, "", help)
    }

    /// Records a mistake that only the combination of several settings shows.
    pub fn reject(&mut self, name: &'static str, why: impl fmt::Display) {
        self.mistakes.push(format!("{name}: {why}"));
    }

    /// The configuration, or every mistake that was made in it.
    pub fn finish<C>(self, config: C) -> Result<C, ConfigError> {
        if self.mistakes.is_empty() {
            return Ok(config);
        }
        Err(ConfigError {
            mistakes: self.mistakes,
        })
    }

    /// What was read so far, in reading order.
    pub fn documentation(&self) -> &[SettingDoc] {
        &self.documentation
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
        // Kubernetes manifests can hardly unset a variable: empty means unset.
        let text = self.source.get(name).filter(|text| !text.is_empty())?;
        match T::from_setting(&text) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.reject(name, value::refusal::<T>(&text, &expected));
                None
            }
        }
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

/// Every mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    mistakes: Vec<String>,
}

impl ConfigError {
    /// One sentence per mistake, beginning with the variable.
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
    fn what_is_read_is_documented() {
        let source = environment(&[]);
        let mut settings = Settings::new(&source);

        read(&mut settings);

        let names: Vec<_> = settings
            .documentation()
            .iter()
            .map(|doc| doc.name)
            .collect();
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

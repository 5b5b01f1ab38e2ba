//! The environment of a service.

use std::collections::BTreeMap;

use service::config::Configuration;

/// Lines of `NAME=value` as the settings of both services.
pub(crate) fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let settings: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    refuse_by_name(order_service::config::Config::from_source(&settings).err());
    refuse_by_name(processing_service::config::Config::from_source(&settings).err());
}

/// A configuration error names the settings.
fn refuse_by_name(refused: Option<service::config::ConfigError>) {
    if let Some(error) = refused {
        assert!(!error.mistakes().is_empty());
    }
}

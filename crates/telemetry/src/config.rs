//! Settings of logging, of the trace context and of the export.
//!
//! The variables of the OpenTelemetry specification are honoured where this file, `config/export.rs`,
//! `config/resource.rs` or `sampling.rs` reads them. One that is set and not read is named in a warning at the start.
//! One that would send telemetry elsewhere, or nowhere, is an invalid setting.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use service::config::{FromSetting, Settings};

use crate::propagation::TraceStatePolicy;
use crate::sampling::Sampling;

mod export;
mod resource;
mod values;

pub(crate) use export::{ExportConfig, Receiver};
pub(crate) use resource::ResourceConfig;

/// Settings of logging and export.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    pub(crate) filter: LogFilter,
    pub(crate) trace_state: TraceStatePolicy,
    pub(crate) sampling: Sampling,
    pub(crate) export: ExportConfig,
    pub(crate) resource: ResourceConfig,
    /// Variables of OpenTelemetry that are set and not supported.
    pub(crate) without_effect: Vec<String>,
}

impl TelemetryConfig {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let filter = settings.value(
            "LOG_FILTER",
            "info",
            "log filter, for example `info` or `info,consumer=debug`",
        );
        let trace_state = TraceStatePolicy::read(settings);
        read_propagators(settings);
        Self {
            filter,
            trace_state,
            sampling: Sampling::read(settings),
            export: ExportConfig::read(settings),
            resource: ResourceConfig::read(settings),
            without_effect: settings.unread("OTEL_"),
        }
    }
}

fn read_propagators(settings: &mut Settings<'_>) {
    let _: Propagators = settings.value(
        "OTEL_PROPAGATORS",
        "tracecontext",
        "propagators; `tracecontext` is the only one, a list must contain it, and `baggage` is dropped",
    );
}

/// A list with `tracecontext`. Without it, the traces of callers would end here.
struct Propagators;

impl FromSetting for Propagators {
    fn from_setting(text: &str) -> Result<Self, String> {
        let expected = "tracecontext, alone or with baggage, which is dropped";
        let mut names: Vec<_> = text.split(',').map(str::trim).collect();
        names.retain(|name| *name != "baggage");
        match names[..] {
            ["tracecontext"] => Ok(Self),
            _ => Err(expected.to_owned()),
        }
    }
}

/// A valid `EnvFilter` directive.
#[derive(Clone, Debug)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    pub(crate) fn filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl FromSetting for LogFilter {
    fn from_setting(text: &str) -> Result<Self, String> {
        // A word that is no level would be a target, and everything else silent: `warning`, `inf`.
        let is_misspelled = |directive: &str| {
            let directive = directive.trim();
            let is_word = !directive.is_empty() && !directive.contains(['=', '[', ']', '{', '}']);
            is_word && directive.parse::<LevelFilter>().is_err()
        };
        if text.split(',').any(is_misspelled) || text.parse::<EnvFilter>().is_err() {
            return Err("a filter such as info or info,consumer=debug".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use service::config::ConfigError;

    use super::*;

    pub(super) fn read(pairs: &[(&str, &str)]) -> Result<TelemetryConfig, ConfigError> {
        let source: BTreeMap<String, String> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut settings = Settings::new(&source);
        let config = TelemetryConfig::read(&mut settings);
        settings.finish(config)
    }

    /// The variable that the only mistake names.
    pub(super) fn mistaken(pairs: &[(&str, &str)]) -> String {
        let error = read(pairs).expect_err(&format!("{pairs:?}"));
        let [mistake] = error.mistakes() else {
            panic!("{pairs:?}: {error}")
        };
        mistake.split(':').next().unwrap().to_owned()
    }

    #[test]
    fn a_word_that_is_no_level_is_no_filter() {
        for text in ["warning", "info,debg", "inf", "info,=", "a=b=c"] {
            assert!(LogFilter::from_setting(text).is_err(), "{text}");
        }
        for text in ["info", "WARN", "off", "info,consumer=debug", "info,h2=off,"] {
            assert!(LogFilter::from_setting(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn without_the_trace_context_no_propagator_is_accepted() {
        for text in ["b3", "none", "baggage", "tracecontext,b3", ","] {
            assert_eq!(mistaken(&[("OTEL_PROPAGATORS", text)]), "OTEL_PROPAGATORS");
        }
        for text in [
            "tracecontext",
            "tracecontext,baggage",
            "baggage, tracecontext",
        ] {
            assert!(read(&[("OTEL_PROPAGATORS", text)]).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_variable_of_opentelemetry_without_effect_is_named() {
        let config = read(&[
            ("OTEL_LOG_LEVEL", "debug"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_SERVICE_NAME", "orders"),
            ("OTEL_BSP_EXPORT_TIMEOUT", ""),
        ]);

        let named = config.unwrap().without_effect;
        assert_eq!(named, ["OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_LOG_LEVEL"]);
    }
}

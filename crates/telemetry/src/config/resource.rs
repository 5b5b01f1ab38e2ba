//! The resource: which process the telemetry is from.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_semantic_conventions::resource::{
    SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION,
};
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use service::ServiceIdentity;
use service::config::{FromSetting, Settings};

#[derive(Clone, Debug)]
pub(crate) struct ResourceConfig {
    service_name: Option<String>,
    attributes: Option<NameValueList>,
}

impl ResourceConfig {
    pub(super) fn read(settings: &mut Settings<'_>) -> Self {
        Self {
            service_name: settings.optional(
                "OTEL_SERVICE_NAME",
                "`service.name` of the telemetry; the name of the program if unset here and in OTEL_RESOURCE_ATTRIBUTES",
            ),
            attributes: settings.optional(
                "OTEL_RESOURCE_ATTRIBUTES",
                "resource attributes: `name=value` separated by commas, values percent-encoded",
            ),
        }
    }

    /// The resource of this process. Its version is the program's own, whatever the settings say.
    pub(crate) fn resource(&self, identity: ServiceIdentity) -> Resource {
        let given = self
            .attributes
            .iter()
            .flat_map(|list| list.0.iter().cloned());
        let given = given.map(|(name, value)| KeyValue::new(name, value));
        let defaults = [
            KeyValue::new(SERVICE_NAME, identity.name),
            KeyValue::new(SERVICE_INSTANCE_ID, Uuid::new_v4().to_string()),
        ];
        let named = self.service_name.clone();
        let named = named.map(|name| KeyValue::new(SERVICE_NAME, name));
        Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_attributes(defaults)
            .with_attributes(given)
            .with_attributes(named)
            .with_attribute(KeyValue::new(SERVICE_VERSION, identity.version))
            .build()
    }
}

/// `name=value` separated by commas, values percent-encoded, as in the specification of OpenTelemetry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameValueList(pub(super) Vec<(String, String)>);

impl NameValueList {
    /// `None` if an entry has no name or is not encoded correctly. An empty entry is skipped: generated lists have them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let entries = text.split(',').map(str::trim);
        let entries = entries.filter(|entry| !entry.is_empty());
        entries.map(parse_entry).collect::<Option<_>>().map(Self)
    }
}

fn parse_entry(entry: &str) -> Option<(String, String)> {
    let (name, value) = entry.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
}

impl FromSetting for NameValueList {
    fn from_setting(text: &str) -> Result<Self, String> {
        let expected =
            "a list such as k8s.pod.name=orders-1,k8s.node.name=a, values percent-encoded";
        Self::parse(text).ok_or_else(|| expected.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

    use super::super::tests::{mistaken, read};
    use super::*;

    const IDENTITY: ServiceIdentity = ServiceIdentity {
        name: "some-service",
        version: "1.2.3",
        about: "Does something.",
    };

    fn attribute(pairs: &[(&str, &str)], name: &'static str) -> Option<String> {
        let resource = read(pairs).unwrap().resource.resource(IDENTITY);
        let value = resource.get(&Key::from_static_str(name));
        value.map(|value| value.to_string())
    }

    #[test]
    fn the_service_has_the_name_of_its_program_unless_a_variable_names_it() {
        let in_list = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=listed");
        let own = ("OTEL_SERVICE_NAME", "own");
        for (given, expected) in [
            (&[][..], "some-service"),
            (&[in_list], "listed"),
            (&[in_list, own], "own"),
        ] {
            let name = attribute(given, SERVICE_NAME);
            assert_eq!(name.as_deref(), Some(expected), "{given:?}");
        }
    }

    #[test]
    fn attributes_are_decoded_and_the_version_is_the_programs_own() {
        let given = [(
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=a%2Cb%20c,service.version=9,service.instance.id=pod-1,",
        )];

        assert_eq!(attribute(&given, "team").as_deref(), Some("a,b c"));
        let version = attribute(&given, SERVICE_VERSION);
        assert_eq!(version.as_deref(), Some("1.2.3"));
        let instance = attribute(&given, SERVICE_INSTANCE_ID);
        assert_eq!(instance.as_deref(), Some("pod-1"));
        assert!(attribute(&[], SERVICE_INSTANCE_ID).is_some());
    }

    #[test]
    fn a_list_with_an_entry_without_a_name_or_a_value_is_refused() {
        for text in ["team", "=a", "team=a,b", "team=%ff"] {
            let name = mistaken(&[("OTEL_RESOURCE_ATTRIBUTES", text)]);
            assert_eq!(name, "OTEL_RESOURCE_ATTRIBUTES", "{text}");
        }
    }
}

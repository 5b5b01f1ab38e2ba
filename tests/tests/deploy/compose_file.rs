//! The compose files with their anchors and merge keys resolved.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::launch::{Launch, service_of_image};
use crate::manifests::{list, text};
use crate::{SERVICES, read};

#[derive(Clone, Debug)]
pub(crate) struct Compose {
    file: &'static str,
    content: Value,
}

impl Compose {
    pub(crate) fn read() -> Self {
        Self::of("deploy/compose.yaml")
    }

    /// The file on top of it, alone.
    pub(crate) fn telemetry() -> Self {
        Self::of("deploy/compose.telemetry.yaml")
    }

    fn of(file: &'static str) -> Self {
        let content = serde_saphyr::from_str(&read(file)).expect(file);
        Self { file, content }
    }

    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.content
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{} has no {pointer}", self.file))
    }

    /// Every container by name.
    pub(crate) fn containers(&self) -> BTreeMap<String, Value> {
        serde_json::from_value(self.at("/services").clone()).expect("services")
    }

    /// The containers that run the services' programs.
    pub(crate) fn ours(&self) -> BTreeMap<String, Value> {
        let mut containers = self.containers();
        containers.retain(|_, container| SERVICES.contains(&image(container).as_str()));
        containers
    }

    /// The programs of the services' containers.
    pub(crate) fn launches(&self) -> Vec<Launch> {
        self.ours()
            .iter()
            .map(|(name, container)| Launch {
                origin: format!("{}: {name}", self.file),
                service: image(container),
                arguments: list(container.get("command")).iter().map(text).collect(),
                environment: serde_json::from_value(container["environment"].clone())
                    .expect("names and texts"),
                files: self.files(container),
            })
            .collect()
    }

    fn files(&self, container: &Value) -> BTreeMap<String, String> {
        let configs = list(container.get("configs"));
        let mounted = configs.iter().map(|config| {
            let source = self.at(&format!("/configs/{}/file", text(&config["source"])));
            (
                text(&config["target"]),
                read(&format!("deploy/{}", text(source))),
            )
        });
        mounted.collect()
    }
}

fn image(container: &Value) -> String {
    service_of_image(&text(&container["image"]))
}

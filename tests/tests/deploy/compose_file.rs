//! `deploy/compose.yaml` with its anchors and merge keys resolved.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::launch::{Launch, service_of_image};
use crate::manifests::{list, text};
use crate::{SERVICES, read};

const FILE: &str = "deploy/compose.yaml";

#[derive(Clone, Debug)]
pub(crate) struct Compose(Value);

impl Compose {
    pub(crate) fn read() -> Self {
        Self(serde_saphyr::from_str(&read(FILE)).expect(FILE))
    }

    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.0
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{FILE} has no {pointer}"))
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
                origin: format!("{FILE}: {name}"),
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

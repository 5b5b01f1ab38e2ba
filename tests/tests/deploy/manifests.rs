//! The Kubernetes objects of a kustomization, as `kubectl` renders them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::launch::{Launch, service_of_image};
use crate::{project, secrets};

/// One object.
#[derive(Clone, Debug)]
pub(crate) struct Object(Value);

impl Object {
    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub(crate) fn find(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }

    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.find(pointer)
            .unwrap_or_else(|| panic!("{} {} has no {pointer}", self.kind(), self.name()))
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        let text = self.0.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_else(|| panic!("no text at {pointer} of {}", self.0))
    }

    pub(crate) fn number(&self, pointer: &str) -> u64 {
        let number = self.at(pointer).as_u64();
        number
            .unwrap_or_else(|| panic!("no number at {pointer} of {} {}", self.kind(), self.name()))
    }

    /// A field of the object's only container.
    pub(crate) fn container(&self, pointer: &str) -> Option<&Value> {
        self.find(&format!("/spec/template/spec/containers/0{pointer}"))
    }

    /// Labels or data at a pointer; empty if there are none.
    pub(crate) fn labels(&self, pointer: &str) -> BTreeMap<String, String> {
        let labels = self
            .find(pointer)
            .map(|map| serde_json::from_value(map.clone()));
        labels
            .transpose()
            .expect("names and texts")
            .unwrap_or_default()
    }

    /// Whether the pods of a workload have all these labels.
    pub(crate) fn carries(&self, labels: &BTreeMap<String, String>) -> bool {
        let own = self.labels("/spec/template/metadata/labels");
        labels
            .iter()
            .all(|(name, value)| own.get(name) == Some(value))
    }
}

/// All objects of a rendered overlay.
#[derive(Clone, Debug)]
pub(crate) struct Manifests(Vec<Object>);

impl Manifests {
    /// Of `overlays/production`, rendered once.
    pub(crate) fn production() -> &'static Self {
        static PRODUCTION: LazyLock<Manifests> = LazyLock::new(|| {
            Manifests::of(&project().join("deploy/kubernetes/overlays/production"))
        });
        &PRODUCTION
    }

    /// Of `overlays/dev`.
    pub(crate) fn dev() -> Self {
        Self::of(&project().join("deploy/kubernetes/overlays/dev"))
    }

    /// Of `overlays/staging`.
    pub(crate) fn staging() -> Self {
        Self::of(&project().join("deploy/kubernetes/overlays/staging"))
    }

    /// Of a kustomization.
    pub(crate) fn of(kustomization: &Path) -> Self {
        Self::parse(&render(kustomization))
    }

    pub(crate) fn parse(text: &str) -> Self {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML documents");
        Self(documents.into_iter().map(Object).collect())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Object> {
        self.0.iter()
    }

    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Object> {
        self.0.iter().filter(move |object| object.kind() == kind)
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> &Object {
        self.of_kind(kind)
            .find(|object| object.name() == name)
            .unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// The objects with a pod template.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = &Object> {
        self.of_kind("Deployment").chain(self.of_kind("Job"))
    }

    /// The workloads whose pods have all these labels.
    pub(crate) fn chosen(&self, labels: &BTreeMap<String, String>) -> Vec<String> {
        self.workloads()
            .filter(|workload| workload.carries(labels))
            .map(|workload| format!("{} {}", workload.kind(), workload.name()))
            .collect()
    }

    /// The programs of all workloads, with every reference to a ConfigMap or a Secret resolved.
    pub(crate) fn launches(&self) -> Vec<Launch> {
        self.workloads()
            .map(|workload| self.launch(workload))
            .collect()
    }

    fn launch(&self, workload: &Object) -> Launch {
        let containers = workload.at("/spec/template/spec/containers");
        assert_eq!(
            containers.as_array().map(Vec::len),
            Some(1),
            "{}",
            workload.name()
        );
        assert!(
            workload.container("/command").is_none(),
            "the image has the entry point"
        );
        let image = workload.text("/spec/template/spec/containers/0/image");
        let arguments = workload.container("/args").cloned().unwrap_or_default();
        Launch {
            origin: format!("{} {}", workload.kind(), workload.name()),
            service: service_of_image(image),
            arguments: list(Some(&arguments)).iter().map(text).collect(),
            environment: self.environment(workload),
            files: self.files(workload),
        }
    }

    fn environment(&self, workload: &Object) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        for source in list(workload.container("/envFrom")) {
            let name = text(&source["configMapRef"]["name"]);
            environment.extend(self.get("ConfigMap", &name).labels("/data"));
        }
        for variable in list(workload.container("/env")) {
            let value = value_of(&variable, &environment);
            environment.insert(text(&variable["name"]), value);
        }
        environment
    }

    fn files(&self, workload: &Object) -> BTreeMap<String, String> {
        let volumes = list(workload.find("/spec/template/spec/volumes"));
        let mut files = BTreeMap::new();
        for mount in list(workload.container("/volumeMounts")) {
            let volume = volumes
                .iter()
                .find(|volume| volume["name"] == mount["name"]);
            let volume = volume.unwrap_or_else(|| panic!("{mount} names no volume"));
            for (file, content) in self.content(volume) {
                files.insert(format!("{}/{file}", text(&mount["mountPath"])), content);
            }
        }
        files
    }

    fn content(&self, volume: &Value) -> BTreeMap<String, String> {
        if let Some(name) = volume.pointer("/configMap/name") {
            return self.get("ConfigMap", &text(name)).labels("/data");
        }
        if let Some(name) = volume.pointer("/secret/secretName") {
            return secrets::certificate(&text(name));
        }
        let mut files = BTreeMap::new();
        for source in list(volume.pointer("/projected/sources")) {
            let secret = &source["secret"];
            for item in list(secret.pointer("/items")) {
                let content = secrets::value(&text(&secret["name"]), &text(&item["key"]));
                files.insert(text(&item["path"]), content);
            }
        }
        files
    }
}

/// The value of a variable in a pod; for a field of the pod, the path of the field.
fn value_of(variable: &Value, environment: &BTreeMap<String, String>) -> String {
    if let Some(secret) = variable.pointer("/valueFrom/secretKeyRef") {
        return secrets::value(&text(&secret["name"]), &text(&secret["key"]));
    }
    if let Some(path) = variable.pointer("/valueFrom/fieldRef/fieldPath") {
        return text(path);
    }
    // Variables defined before it may be referenced in it.
    environment
        .iter()
        .fold(text(&variable["value"]), |value, (name, content)| {
            value.replace(&format!("$({name})"), content)
        })
}

fn render(kustomization: &Path) -> String {
    let rendered = Command::new("kubectl")
        .arg("kustomize")
        .arg(kustomization)
        .output()
        .unwrap_or_else(|error| panic!("this test needs kubectl; install it: {error}"));
    let errors = String::from_utf8_lossy(&rendered.stderr);
    assert!(
        rendered.status.success(),
        "{}: {errors}",
        kustomization.display()
    );
    String::from_utf8(rendered.stdout).expect("text")
}

pub(crate) fn list(value: Option<&Value>) -> Vec<Value> {
    value.and_then(Value::as_array).cloned().unwrap_or_default()
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not a string"))
        .to_owned()
}

//! The changes that each component makes to the production overlay, as documented in `deploy/README.md`: security and
//! telemetry. Those for the kind of cluster are in `clusters`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::launch::Launch;
use crate::manifests::{Manifests, list, text};
use crate::{SERVICES, project, read};

const OVERLAY: &str = "overlays/production";

/// The key of RFC 7517, appendix A.1, as a signature key.
const KEY_SET: &str = r#"{"keys": [{
  "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1",
  "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
}]}"#;

const KEY_SET_GENERATOR: &str = "configMapGenerator:
  - name: order-service-jwks
    files: [jwks.json]
    options: {disableNameSuffixHash: true}
";

/// All components that can be on at the same time: auth-url is the other kind of auth, openshift another kind of cluster, and
/// those of operators are of an overlay without servers elsewhere, see `staging_overlay`.
pub(crate) const TOGETHER: [&str; 8] = [
    "auth",
    "autoscaling",
    "external-secrets",
    "gateway",
    "ipv6",
    "mtls",
    "quotas",
    "telemetry",
];

/// The production overlay with these components, in a copy of the whole tree.
pub(crate) fn with_components(names: &[&str]) -> Manifests {
    with_components_in("orders", names)
}

/// The same in another namespace, which is one line of the overlay.
fn with_components_in(namespace: &str, names: &[&str]) -> Manifests {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&project().join("deploy/kubernetes"), copy.path());
    let overlay = copy.path().join(OVERLAY);
    let file = overlay.join("kustomization.yaml");
    let mut text = fs::read_to_string(&file).unwrap();
    let line = |namespace| format!("\nnamespace: {namespace}\n");
    assert!(text.contains(&line("orders")), "{text}");
    text = text.replace(&line("orders"), &line(namespace));
    if names.contains(&"auth") {
        fs::write(overlay.join("jwks.json"), KEY_SET).unwrap();
        text = text.replacen("configMapGenerator:\n", KEY_SET_GENERATOR, 1);
    }
    text.push_str("\ncomponents:\n");
    for name in names {
        text.push_str(&format!("  - ../../components/{name}\n"));
    }
    fs::write(&file, text).unwrap();
    Manifests::of(&overlay)
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn every_component_is_tested_together_with_the_others_or_with_its_own_kind() {
    let folder = project().join("deploy/kubernetes/components");
    let there: BTreeSet<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();

    let others = ["auth-url", "cloudnative-pg", "openshift", "strimzi"];
    let tested = TOGETHER.into_iter().chain(others);
    assert_eq!(there, tested.map(str::to_owned).collect());
}

#[test]
fn with_mtls_order_service_presents_a_certificate_and_processing_service_requires_one() {
    let launches = with_components(&["mtls"]).launches();
    let orders = Launch::server(&launches, "order-service");
    let processing = Launch::server(&launches, "processing-service");

    assert_eq!(
        orders.required("PROCESSING_ADDRESS"),
        "https://processing-service:50052"
    );
    for (launch, setting) in [
        (orders, "GRPC_TLS_CERTIFICATE_FILE"),
        (orders, "GRPC_TLS_KEY_FILE"),
        (orders, "PROCESSING_TLS_CA_FILE"),
        (orders, "PROCESSING_TLS_CERTIFICATE_FILE"),
        (orders, "PROCESSING_TLS_KEY_FILE"),
        (processing, "GRPC_TLS_CERTIFICATE_FILE"),
        (processing, "GRPC_TLS_KEY_FILE"),
        (processing, "GRPC_TLS_CLIENT_CA_FILE"),
    ] {
        let file = launch.required(setting);
        assert!(launch.files.contains_key(file), "{launch}: {setting}");
    }
    // Customers authenticate with tokens, not certificates.
    assert_eq!(orders.setting("GRPC_TLS_CLIENT_CA_FILE"), None);
}

#[test]
fn with_mtls_each_certificate_has_the_host_names_of_its_server() {
    let manifests = with_components(&["mtls"]);
    for service in SERVICES {
        let certificate = manifests.get("Certificate", service);

        assert_eq!(
            certificate.text("/spec/secretName"),
            format!("{service}-tls")
        );
        let names = list(certificate.find("/spec/dnsNames"));
        assert!(names.contains(&json!(service)), "{service}: {names:?}");
        let usages = list(certificate.find("/spec/usages"));
        assert!(usages.contains(&json!("client auth")), "{service}");
        // A file mounted with subPath is never updated.
        let deployment = manifests.get("Deployment", service);
        for mount in list(deployment.container("/volumeMounts")) {
            assert_eq!(mount.get("subPath"), None, "{service}");
            assert_eq!(mount["readOnly"], true, "{service}");
        }
    }
}

#[test]
fn in_another_namespace_every_object_and_every_host_name_follows() {
    let manifests = with_components_in("shop", &["mtls", "telemetry"]);

    for object in manifests.all().filter(|it| it.kind() != "Namespace") {
        assert_eq!(object.text("/metadata/namespace"), "shop");
    }
    manifests.get("Namespace", "shop");
    let certificate = manifests.get("Certificate", "order-service");
    assert_eq!(
        *certificate.at("/spec/dnsNames"),
        json!([
            "order-service",
            "order-service.shop",
            "order-service.shop.svc",
            "order-service.shop.svc.cluster.local"
        ])
    );
}

#[test]
fn with_mtls_no_kubernetes_probe_uses_grpc() {
    let manifests = with_components(&["mtls"]);
    for service in SERVICES {
        let deployment = manifests.get("Deployment", service);
        let port = deployment.container("/ports/0/containerPort").unwrap();

        let asked = deployment.container("/readinessProbe/exec/command");
        let program = format!("/usr/local/bin/{service}");
        assert_eq!(asked, Some(&json!([program, "probe"])));
        for probe in ["startupProbe", "livenessProbe"] {
            let asked = deployment.container(&format!("/{probe}/tcpSocket/port"));
            assert_eq!(asked, Some(port), "{service}: {probe}");
        }
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let grpc = deployment.container(&format!("/{probe}/grpc"));
            assert_eq!(grpc, None, "{service}: {probe}");
        }
    }
}

#[test]
fn a_changed_key_set_reaches_running_pods() {
    let manifests = with_components(&["auth"]);

    // The name has no hash suffix: the volume of a running pod follows the ConfigMap.
    let keys = manifests.get("ConfigMap", "order-service-jwks");

    assert_eq!(text(keys.at("/data/jwks.json")), KEY_SET);
    let guide = read("deploy/README.md");
    assert!(guide.contains(KEY_SET_GENERATOR), "deploy/README.md");
}

#[test]
fn only_order_service_may_connect_to_the_url_of_the_keys() {
    let manifests = with_components(&["auth-url"]);
    let launches = manifests.launches();
    let url = Launch::server(&launches, "order-service").required("AUTH_JWKS");
    assert!(url.starts_with("https://"), "{url}");

    let policy = manifests.get("NetworkPolicy", "to-issuer");

    assert_eq!(
        *policy.at("/spec/egress"),
        json!([{ "ports": [{ "port": 443 }] }])
    );
    let chosen = manifests.chosen(&policy.labels("/spec/podSelector/matchLabels"));
    assert_eq!(chosen, ["Deployment order-service"]);
}

#[test]
fn with_telemetry_each_pod_has_its_resource_attributes_and_records_all_traces_for_the_collector() {
    for launch in with_components(&["telemetry"]).launches() {
        let attributes = launch.required("OTEL_RESOURCE_ATTRIBUTES");

        // Kubernetes fills in these fields of the pod.
        let expected = "service.namespace=metadata.namespace,\
             service.instance.id=metadata.namespace.metadata.name.service,\
             k8s.namespace.name=metadata.namespace,k8s.node.name=spec.nodeName,\
             k8s.pod.name=metadata.name,k8s.pod.uid=metadata.uid,k8s.container.name=service";
        assert_eq!(attributes, expected, "{launch}");
        assert_eq!(launch.required("OTEL_TRACES_SAMPLER_ARG"), "1", "{launch}");
    }
}

//! The overlay for development: images, passwords and servers are those of compose, and it needs nothing from outside.

use crate::compose_file::Compose;
use crate::manifests::{Manifests, text};
use crate::secrets::{referred_to, value};
use crate::{SERVICES, read};

const KUSTOMIZATION: &str = "deploy/kubernetes/overlays/dev/kustomization.yaml";

#[test]
fn it_runs_the_images_that_compose_builds_and_the_same_servers() {
    let compose = Compose::read();
    let manifests = Manifests::dev();
    for (kind, names) in [
        ("Deployment", SERVICES),
        ("StatefulSet", ["kafka", "postgres"]),
    ] {
        for name in names {
            let image = manifests.get(kind, name).container("/image");

            let expected = compose.at(&format!("/services/{name}/image"));
            assert_eq!(image, Some(expected), "{name}");
        }
    }
}

#[test]
fn it_brings_every_secret_that_it_refers_to_with_the_passwords_of_the_roles() {
    let manifests = Manifests::dev();
    let kustomization = read(KUSTOMIZATION);
    for workload in manifests.workloads() {
        for secret in referred_to(workload.at("")) {
            manifests.get("Secret", &secret);
            let password = value(&secret, "password");
            let generated = format!("  - name: {secret}\n    literals: [password={password}]\n");
            assert!(kustomization.contains(&generated), "{generated}");
        }
    }
}

#[test]
fn every_address_in_it_is_a_service_with_pods_of_its_own() {
    let manifests = Manifests::dev();
    for launch in manifests.launches() {
        let (_, database) = launch.required("DATABASE_URL").split_once('@').unwrap();
        for address in [database, launch.required("KAFKA_BROKERS")] {
            let (host, _) = address.split_once(':').unwrap();
            let selector = manifests.get("Service", host).labels("/spec/selector");
            let pods = manifests.get("StatefulSet", host);
            assert!(pods.carries(&selector), "{host}");
        }
    }
}

#[test]
fn kafka_and_postgres_pass_the_pod_security_of_the_namespace() {
    let manifests = Manifests::dev();
    let namespace = manifests.of_kind("Namespace").next().unwrap();
    let labels = namespace.labels("/metadata/labels");
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    for server in manifests.of_kind("StatefulSet") {
        let name = server.name();
        let context = server.at("/spec/template/spec/securityContext");
        assert_eq!(context["runAsNonRoot"], true, "{name}");
        assert_eq!(text(&context["seccompProfile"]["type"]), "RuntimeDefault");
        let container = server.container("/securityContext").unwrap();
        assert_eq!(container["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(container["capabilities"]["drop"][0], "ALL", "{name}");
    }
}

//! The guarantees of the manifests about pods and rollouts.

use std::net::SocketAddr;
use std::time::Duration;

use grpc::health::LIVENESS;
use serde_json::json;
use service::config::FromSetting as _;

use crate::launch::Launch;
use crate::manifests::{Manifests, text};
use crate::secrets::referred_to;
use crate::{SERVICES, TELEMETRY_FLUSH, read};

#[test]
fn probes_and_service_name_the_port_that_the_program_listens_on() {
    let manifests = Manifests::production();
    let launches = manifests.launches();
    for service in SERVICES {
        let listen = Launch::server(&launches, service).required("GRPC_LISTEN");
        let listen: SocketAddr = listen.parse().unwrap();
        assert!(
            listen.ip().is_unspecified(),
            "{service} listens on a port without a probe"
        );

        let deployment = manifests.get("Deployment", service);
        let port = deployment.container("/ports/0").unwrap();
        assert_eq!(port["containerPort"], listen.port());
        let readiness = deployment.container("/readinessProbe/grpc").unwrap();
        assert_eq!(*readiness, json!({ "port": listen.port() }));
        for probe in ["startupProbe", "livenessProbe"] {
            let asked = deployment.container(&format!("/{probe}/grpc/port"));
            assert_eq!(asked, Some(&port["containerPort"]), "{service}: {probe}");
        }
        let offered = manifests.get("Service", service).at("/spec/ports/0");
        assert_eq!(offered["port"], port["containerPort"]);
        assert_eq!(offered["targetPort"], port["name"]);
    }
}

#[test]
fn order_service_resolves_a_headless_service_with_ready_replicas_only() {
    let manifests = Manifests::production();
    let launches = manifests.launches();
    let address = Launch::server(&launches, "order-service").required("PROCESSING_ADDRESS");
    let (_, authority) = address.split_once("://").unwrap();
    let (host, port) = authority.split_once(':').unwrap();

    let asked = manifests.get("Service", host);

    assert_eq!(asked.number("/spec/ports/0/port").to_string(), port);
    // A cluster IP would keep all calls at the replica that accepted the connection.
    assert_eq!(asked.text("/spec/clusterIP"), "None");
    assert_eq!(*asked.at("/spec/publishNotReadyAddresses"), false);
    let chosen = manifests.chosen(&asked.labels("/spec/selector"));
    assert_eq!(chosen, ["Deployment processing-service"]);
}

#[test]
fn an_outage_of_the_database_restarts_no_pod() {
    for deployment in Manifests::production().of_kind("Deployment") {
        for probe in ["startupProbe", "livenessProbe"] {
            // Without a service name, the health service reports readiness, which depends on the database.
            let asked = deployment.container(&format!("/{probe}/grpc/service"));
            assert_eq!(
                asked,
                Some(&json!(LIVENESS)),
                "{}: {probe}",
                deployment.name()
            );
        }
    }
}

#[test]
fn a_pod_has_a_grace_period_for_a_whole_stop() {
    let manifests = Manifests::production();
    let launches = manifests.launches();
    for service in SERVICES {
        let deployment = manifests.get("Deployment", service);
        let pause =
            deployment.number("/spec/template/spec/containers/0/lifecycle/preStop/sleep/seconds");
        let grace = Launch::server(&launches, service).required("SHUTDOWN_GRACE");
        let grace = Duration::from_setting(grace).unwrap();

        let grace_period = deployment.number("/spec/template/spec/terminationGracePeriodSeconds");

        let needed = Duration::from_secs(pause) + grace + TELEMETRY_FLUSH;
        assert!(
            Duration::from_secs(grace_period) > needed,
            "{service}: {needed:?}"
        );
    }
}

#[test]
fn a_rollout_keeps_all_replicas_ready_and_a_drain_evicts_one_at_a_time() {
    let manifests = Manifests::production();
    for service in SERVICES {
        let deployment = manifests.get("Deployment", service);
        let budget = manifests.get("PodDisruptionBudget", service);

        assert!(deployment.number("/spec/replicas") >= 2);
        assert_eq!(
            deployment.number("/spec/strategy/rollingUpdate/maxUnavailable"),
            0
        );
        assert_eq!(budget.number("/spec/maxUnavailable"), 1);
    }
}

#[test]
fn no_replica_is_left_without_a_partition() {
    let manifests = Manifests::production();
    let launches = manifests.launches();
    for service in SERVICES {
        let replicas = manifests
            .get("Deployment", service)
            .number("/spec/replicas");
        let partitions = Launch::server(&launches, service).required("KAFKA_TOPIC_PARTITIONS");

        assert!(replicas <= partitions.parse().unwrap(), "{service}");
    }
}

#[test]
fn every_pod_is_restricted() {
    let manifests = Manifests::production();
    let namespace = manifests.get("Namespace", "orders");
    let labels = namespace.labels("/metadata/labels");
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");

    for workload in manifests.workloads() {
        let name = workload.name();
        let pod = workload.at("/spec/template/spec");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["enableServiceLinks"], false, "{name}");
        let context = &pod["securityContext"];
        assert_eq!(context["runAsNonRoot"], true, "{name}");
        assert_eq!(
            context["seccompProfile"]["type"], "RuntimeDefault",
            "{name}"
        );
        let container = workload.container("/securityContext").unwrap();
        assert_eq!(container["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(container["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(
            container["capabilities"],
            json!({ "drop": ["ALL"] }),
            "{name}"
        );
    }
}

#[test]
fn every_pod_has_a_service_account_without_a_token_and_reserved_memory() {
    let manifests = Manifests::production();
    for workload in manifests.workloads() {
        let name = workload.name();
        let account = text(workload.at("/spec/template/spec/serviceAccountName"));
        let account = manifests.get("ServiceAccount", &account);
        assert_eq!(
            *account.at("/automountServiceAccountToken"),
            false,
            "{name}"
        );

        let resources = workload.container("/resources").unwrap();
        assert!(resources["limits"]["memory"].is_string(), "{name}");
        assert_eq!(
            resources["requests"]["memory"],
            resources["limits"]["memory"]
        );
    }
}

#[test]
fn images_are_pinned_and_named_after_the_service_in_them() {
    for workload in Manifests::production().workloads() {
        let image = workload.text("/spec/template/spec/containers/0/image");
        let name = image.rsplit('/').next().unwrap();
        let (service, version) = name.split_once([':', '@']).expect("a tag or a digest");
        assert!(SERVICES.contains(&service), "{image}");
        assert_ne!(version, "latest", "{image}");
    }
}

#[test]
fn selectors_match_the_servers_and_not_the_jobs() {
    let manifests = Manifests::production();
    let selectors = [
        ("Deployment", "/spec/selector/matchLabels"),
        ("Service", "/spec/selector"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
    ];
    for (kind, pointer) in selectors {
        for object in manifests.of_kind(kind) {
            let chosen = manifests.chosen(&object.labels(pointer));
            assert_eq!(chosen, [format!("Deployment {}", object.name())], "{kind}");
        }
    }
}

#[test]
fn the_guide_lists_every_secret_that_must_exist() {
    let guide = read("deploy/README.md");
    for workload in Manifests::production().workloads() {
        for secret in referred_to(workload.at("")) {
            assert!(guide.contains(&format!("| `{secret}` |")), "{secret}");
        }
    }
}

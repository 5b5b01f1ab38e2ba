//! The network policies of the manifests.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::launch::Launch;
use crate::manifests::{Manifests, Object, list};

const DNS: u64 = 53;

#[test]
fn traffic_without_a_policy_is_denied() {
    let policy = Manifests::production().get("NetworkPolicy", "deny-all");

    let everything = json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] });
    assert_eq!(*policy.at("/spec"), everything);
}

#[test]
fn pods_reach_only_the_addresses_in_their_settings() {
    for manifests in [
        Manifests::production().clone(),
        Manifests::dev(),
        Manifests::staging(),
    ] {
        for (workload, launch) in manifests.workloads().zip(manifests.launches()) {
            let mut needed = destinations(&launch);
            needed.insert(DNS);

            assert_eq!(allowed(&manifests, workload), needed, "{launch}");
        }
    }
}

/// The ports of all addresses in the settings of a launch. A job reads the address of processing-service but does not
/// connect.
fn destinations(launch: &Launch) -> BTreeSet<u64> {
    let (_, database) = launch.required("DATABASE_URL").split_once('@').unwrap();
    let (database, _) = database.split_once('/').unwrap();
    let telemetry = launch.required("OTEL_EXPORTER_OTLP_ENDPOINT");
    let telemetry = Some(telemetry).filter(|address| !address.is_empty());
    let brokers = launch.required("KAFKA_BROKERS").split(',');
    let is_server = launch.arguments.is_empty();
    let processing = launch.setting("PROCESSING_ADDRESS");
    let processing = processing.filter(|_| is_server);
    let addresses = brokers.chain([database]).chain(telemetry).chain(processing);
    addresses
        .map(|address| address.rsplit(':').next().unwrap().parse().unwrap())
        .collect()
}

/// The egress ports of a workload's pods; every rule must name its destination.
fn allowed(manifests: &Manifests, workload: &Object) -> BTreeSet<u64> {
    let mut ports = BTreeSet::new();
    for policy in manifests.of_kind("NetworkPolicy") {
        if !workload.carries(&policy.labels("/spec/podSelector/matchLabels")) {
            continue;
        }
        for rule in list(policy.find("/spec/egress")) {
            assert!(
                !list(rule.get("to")).is_empty(),
                "{} leads anywhere",
                policy.name()
            );
            ports.extend(
                list(rule.get("ports"))
                    .iter()
                    .filter_map(|port| port["port"].as_u64()),
            );
        }
    }
    ports
}

#[test]
fn callers_reach_only_order_service_and_only_its_port() {
    let manifests = Manifests::production();
    let policy = manifests.get("NetworkPolicy", "clients-to-order-service");

    let chosen = manifests.chosen(&policy.labels("/spec/podSelector/matchLabels"));

    assert_eq!(chosen, ["Deployment order-service"]);
    assert_eq!(*policy.at("/spec/ingress/0/ports"), port("order-service"));
    assert!(!list(policy.find("/spec/ingress/0/from")).is_empty());
}

#[test]
fn only_order_service_reaches_processing_service_and_only_its_port() {
    let manifests = Manifests::production();
    let there = manifests.get("NetworkPolicy", "order-service-to-processing-service");
    let here = manifests.get("NetworkPolicy", "processing-service-from-order-service");

    // Egress of the caller and ingress of the server.
    for (policy, own, rule, other) in [
        (there, "order-service", "egress/0/to", "processing-service"),
        (
            here,
            "processing-service",
            "ingress/0/from",
            "order-service",
        ),
    ] {
        let name = policy.name();
        let chosen = manifests.chosen(&policy.labels("/spec/podSelector/matchLabels"));
        assert_eq!(chosen, [format!("Deployment {own}")], "{name}");
        let peers = list(policy.find(&format!("/spec/{rule}")));
        assert_eq!(peers.len(), 1, "{name}");
        let labels = policy.labels(&format!("/spec/{rule}/0/podSelector/matchLabels"));
        assert_eq!(manifests.chosen(&labels), [format!("Deployment {other}")]);
        // Without a namespace selector the peer is in the same namespace.
        assert_eq!(peers[0].as_object().map(Map::len), Some(1), "{name}");
    }
    let ports = port("processing-service");
    assert_eq!(*there.at("/spec/egress/0/ports"), ports);
    assert_eq!(*here.at("/spec/ingress/0/ports"), ports);
}

#[test]
fn no_other_ingress_is_allowed() {
    let manifests = Manifests::production();
    let open: BTreeSet<_> = manifests
        .of_kind("NetworkPolicy")
        .filter(|policy| policy.find("/spec/ingress").is_some())
        .map(Object::name)
        .collect();

    let expected = [
        "clients-to-order-service",
        "processing-service-from-order-service",
    ];
    assert_eq!(open, expected.into());
}

/// The only port of a Service, in the form of a policy.
fn port(service: &str) -> Value {
    let offered = Manifests::production().get("Service", service);
    assert_eq!(list(offered.find("/spec/ports")).len(), 1, "{service}");
    json!([{ "port": offered.at("/spec/ports/0/port") }])
}

//! Who may talk to whom, by the manifests.

use std::collections::BTreeSet;

use serde_json::json;

use crate::launch::Launch;
use crate::manifests::{Manifests, Object, list};

const DNS: u64 = 53;

#[test]
fn what_no_policy_allows_is_forbidden() {
    let policy = Manifests::production().get("NetworkPolicy", "deny-all");

    let everything = json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] });
    assert_eq!(*policy.at("/spec"), everything);
}

#[test]
fn pods_reach_what_their_settings_name_and_nothing_else() {
    let manifests = Manifests::production();
    for (workload, launch) in manifests.workloads().zip(manifests.launches()) {
        let mut needed = destinations(&launch);
        needed.insert(DNS);

        assert_eq!(allowed(manifests, workload), needed, "{launch}");
    }
}

/// The ports of all addresses in the settings of a launch.
fn destinations(launch: &Launch) -> BTreeSet<u64> {
    let (_, database) = launch.required("DATABASE_URL").split_once('@').unwrap();
    let (database, _) = database.split_once('/').unwrap();
    let telemetry = launch.required("OTEL_EXPORTER_OTLP_ENDPOINT");
    let brokers = launch.required("KAFKA_BROKERS").split(',');
    let addresses = brokers.chain([database, telemetry]);
    addresses
        .map(|address| address.rsplit(':').next().unwrap().parse().unwrap())
        .collect()
}

/// The ports that the policies let the pods of a workload connect to, each at a place that is named.
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
fn callers_reach_order_service_alone_and_only_its_port() {
    let manifests = Manifests::production();
    let opens = |policy: &&Object| policy.find("/spec/ingress").is_some();
    let open: Vec<_> = manifests.of_kind("NetworkPolicy").filter(opens).collect();
    let [policy] = open[..] else {
        panic!("{open:?}");
    };

    let chosen = manifests.chosen(&policy.labels("/spec/podSelector/matchLabels"));
    assert_eq!(chosen, ["Deployment order-service"]);
    let offered = manifests
        .get("Service", "order-service")
        .at("/spec/ports/0/port");
    assert_eq!(
        *policy.at("/spec/ingress/0/ports"),
        json!([{ "port": offered }])
    );
    assert!(!list(policy.find("/spec/ingress/0/from")).is_empty());
}

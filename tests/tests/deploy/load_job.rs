//! The load test as a Job: its rights, what it reaches, and that the program accepts its arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use clap::Parser as _;
use serde_json::{Value, json};
use tests::load::OrdersLoadArguments;

use crate::manifests::{Manifests, Object, list};
use crate::project;

static LOAD: LazyLock<Manifests> =
    LazyLock::new(|| Manifests::of(&project().join("deploy/kubernetes/load")));

fn job() -> &'static Object {
    LOAD.get("Job", "orders-load")
}

fn arguments() -> Vec<String> {
    serde_json::from_value(job().container("/args").unwrap().clone()).unwrap()
}

#[test]
fn the_program_accepts_the_arguments_of_the_job() {
    let command = ["orders-load".to_owned()].into_iter().chain(arguments());

    let parsed = OrdersLoadArguments::try_parse_from(command);

    assert!(parsed.is_ok(), "{parsed:?}");
}

#[test]
fn the_job_calls_the_service_and_port_that_its_policy_allows() {
    let service = Manifests::production().get("Service", "order-service");
    let namespace = service.text("/metadata/namespace");
    let port = service.number("/spec/ports/0/port");
    let target = format!("--target=http://order-service.{namespace}:{port}");

    assert!(arguments().contains(&target), "{target}");
    let policy = LOAD.get("NetworkPolicy", "to-order-service");
    let peer = policy.at("/spec/egress/0/to/0");
    let name = json!({ "kubernetes.io/metadata.name": namespace });
    assert_eq!(peer["namespaceSelector"]["matchLabels"], name);
    let pods = policy.labels("/spec/egress/0/to/0/podSelector/matchLabels");
    let chosen = Manifests::production().chosen(&pods);
    assert_eq!(chosen, ["Deployment order-service"]);
    assert_eq!(
        *policy.at("/spec/egress/0/ports"),
        json!([{ "port": port }])
    );
}

#[test]
fn nothing_else_is_reached_and_nothing_reaches_the_job() {
    let policies: Vec<_> = LOAD.of_kind("NetworkPolicy").collect();
    let names: BTreeSet<_> = policies.iter().map(|policy| policy.name()).collect();

    let expected = ["deny-all", "to-dns", "to-order-service"];
    assert_eq!(names, BTreeSet::from(expected));
    for policy in policies {
        assert!(list(policy.find("/spec/ingress")).is_empty());
        for rule in list(policy.find("/spec/egress")) {
            assert!(!list(rule.get("to")).is_empty(), "{}", policy.name());
        }
    }
    let denied = LOAD.get("NetworkPolicy", "deny-all").at("/spec");
    let everything = json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] });
    assert_eq!(*denied, everything);
}

#[test]
fn the_job_asks_the_same_dns_as_the_pods_of_the_pair() {
    let here = LOAD.get("NetworkPolicy", "to-dns");
    let there = Manifests::production().get("NetworkPolicy", "to-dns");

    assert_eq!(here.at("/spec/egress"), there.at("/spec/egress"));
}

#[test]
fn order_service_admits_the_job() {
    let admits = Manifests::production().get("NetworkPolicy", "clients-to-order-service");
    let labels = |selector: &str| -> BTreeMap<String, String> {
        admits.labels(&format!("/spec/ingress/0/from/0/{selector}/matchLabels"))
    };

    assert!(job().carries(&labels("podSelector")));
    let namespace = LOAD.get("Namespace", "orders-load");
    let carried = namespace.labels("/metadata/labels");
    for (name, value) in labels("namespaceSelector") {
        assert_eq!(carried.get(&name), Some(&value));
    }
}

#[test]
fn the_job_has_no_more_rights_than_the_pods_of_the_pair() {
    let server = Manifests::production().get("Deployment", "order-service");
    let pod = |object: &Object, field: &str| -> Value {
        object.at(&format!("/spec/template/spec/{field}")).clone()
    };

    for field in [
        "securityContext",
        "automountServiceAccountToken",
        "enableServiceLinks",
    ] {
        assert_eq!(pod(job(), field), pod(server, field), "{field}");
    }
    let container = "/securityContext";
    assert_eq!(job().container(container), server.container(container));
    assert!(job().container("/resources/limits/memory").is_some());
    let account = LOAD.get("ServiceAccount", "orders-load");
    assert_eq!(*account.at("/automountServiceAccountToken"), false);
}

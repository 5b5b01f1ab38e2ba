//! Who may connect to whom: the network policies are evaluated for a table of connections, as the network plugin of a cluster
//! would. A connection needs the egress of its source and the ingress of its target; a pod that no policy selects is open.

use crate::components::with_components;
use crate::manifests::Manifests;
use crate::queries::FOLDER;
use crate::{SERVICES, project};
use evaluation::{Network, Peer, owned};

mod evaluation;

fn pod(namespace: &str, labels: &[(&str, &str)]) -> Peer {
    Peer::Pod {
        namespace: namespace.to_owned(),
        labels: owned(labels),
    }
}

/// A pod with this `app.kubernetes.io/name`.
fn named(namespace: &str, name: &str) -> Peer {
    pod(namespace, &[("app.kubernetes.io/name", name)])
}

/// The pods of a workload.
fn of(manifests: &Manifests, kind: &str, name: &str) -> Peer {
    let workload = manifests.get(kind, name);
    Peer::Pod {
        namespace: workload.text("/metadata/namespace").to_owned(),
        labels: workload.labels("/spec/template/metadata/labels"),
    }
}

fn address(text: &str) -> Peer {
    Peer::Address(text.parse().unwrap())
}

fn caller(namespace: &str) -> Peer {
    pod(namespace, &[("order-service-client", "true")])
}

fn collector() -> Manifests {
    Manifests::of(&project().join(FOLDER).join("kubernetes"))
}

/// Checks a table: from, to, port, whether the connection is allowed.
fn check(network: &Network, table: &[(&Peer, &Peer, u64, bool)]) {
    for (from, to, port, expected) in table {
        let allowed = network.allows(from, to, *port, "TCP");
        assert_eq!(allowed, *expected, "{from:?} to {to:?}, port {port}");
    }
}

#[test]
fn order_service_admits_callers_by_two_labels_and_processing_service_only_order_service() {
    let manifests = Manifests::production();
    let network = Network::of(&[manifests])
        .with_namespace("shop", &[("order-service-client", "true")])
        .with_namespace("other", &[]);
    let orders = of(manifests, "Deployment", "order-service");
    let processing = of(manifests, "Deployment", "processing-service");
    let migrate = of(manifests, "Job", "order-service-migrate");

    check(
        &network,
        &[
            (&caller("shop"), &orders, 50051, true),
            (&caller("other"), &orders, 50051, false),
            (&pod("shop", &[]), &orders, 50051, false),
            (&caller("shop"), &orders, 8080, false),
            (&caller("shop"), &processing, 50052, false),
            (&caller("shop"), &migrate, 50051, false),
            (&named("ingress", "gateway"), &orders, 50051, false),
            (&orders, &processing, 50052, true),
            (&orders, &processing, 50051, false),
            (&processing, &orders, 50051, false),
            (&migrate, &processing, 50052, false),
        ],
    );
}

#[test]
fn every_pod_reaches_database_kafka_and_dns_and_nothing_else() {
    let manifests = Manifests::production();
    let network = Network::of(&[manifests]);
    for workload in manifests.workloads() {
        let own = of(manifests, workload.kind(), workload.name());
        check(
            &network,
            &[
                (&own, &address("10.20.0.7"), 5432, true),
                (&own, &address("10.20.7.7"), 5432, false),
                (&own, &address("10.20.1.7"), 9093, true),
                (&own, &address("10.20.1.7"), 9092, false),
                (&own, &address("169.254.20.10"), 53, true),
                (&own, &address("8.8.8.8"), 53, false),
                (&own, &address("93.184.216.34"), 443, false),
                (&own, &named("kube-system", "coredns"), 53, true),
                (&own, &named("default", "anything"), 80, false),
            ],
        );
        let dns = named("kube-system", "coredns");
        assert!(network.allows(&own, &dns, 53, "UDP"), "{own:?}");
    }
}

#[test]
fn the_collector_admits_the_pair_of_any_labelled_namespace_and_prometheus() {
    let (manifests, collector) = (Manifests::production(), collector());
    let network = Network::of(&[manifests, &collector])
        .with_namespace("copy", &[("otel-collector-client", "true")])
        .with_namespace("other", &[]);
    let receiver = of(&collector, "Deployment", "otel-collector");
    let pair = [("app.kubernetes.io/part-of", "orders")];
    let prometheus = |namespace| named(namespace, "prometheus");
    for service in SERVICES {
        let own = of(manifests, "Deployment", service);
        check(
            &network,
            &[
                (&own, &receiver, 4318, true),
                (&own, &receiver, 8889, false),
            ],
        );
    }

    check(
        &network,
        &[
            (&pod("copy", &pair), &receiver, 4318, true),
            (&pod("other", &pair), &receiver, 4318, false),
            (&pod("copy", &[]), &receiver, 4318, false),
            (&prometheus("observability"), &receiver, 8889, true),
            (&prometheus("monitoring"), &receiver, 8889, true),
            (&prometheus("other"), &receiver, 8889, false),
            (&prometheus("monitoring"), &receiver, 4318, false),
            (&receiver, &named("observability", "tempo"), 4317, true),
            (&receiver, &named("observability", "loki"), 3100, true),
            (&receiver, &address("93.184.216.34"), 443, false),
        ],
    );
}

#[test]
fn components_open_only_what_they_name() {
    let issuer = address("93.184.216.34");
    let gateway = named("gateway", "envoy");
    let dns = named("openshift-dns", "dns-default");
    let (with_issuer, with_gateway, with_openshift) = ("auth-url", "gateway", "openshift");
    for component in [with_issuer, with_gateway, with_openshift] {
        let manifests = with_components(&[component]);
        let network = Network::of(&[&manifests]);
        let orders = of(&manifests, "Deployment", "order-service");
        let processing = of(&manifests, "Deployment", "processing-service");

        check(
            &network,
            &[
                (&orders, &issuer, 443, component == with_issuer),
                (&processing, &issuer, 443, false),
                (&gateway, &orders, 50051, component == with_gateway),
                (&gateway, &processing, 50052, false),
                (&processing, &dns, 5353, component == with_openshift),
            ],
        );
    }
}

#[test]
fn in_development_kafka_and_postgres_serve_the_pair_only() {
    let manifests = Manifests::dev();
    let network = Network::of(&[&manifests]);
    let kafka = of(&manifests, "StatefulSet", "kafka");
    let postgres = of(&manifests, "StatefulSet", "postgres");
    for workload in manifests.workloads() {
        let own = of(&manifests, workload.kind(), workload.name());
        check(
            &network,
            &[(&own, &kafka, 9093, true), (&own, &postgres, 5432, true)],
        );
    }

    check(
        &network,
        &[
            (&caller("orders"), &kafka, 9093, false),
            (&caller("orders"), &postgres, 5432, false),
            (&kafka, &postgres, 5432, false),
            (&kafka, &address("93.184.216.34"), 443, false),
        ],
    );
}

#[test]
fn in_staging_brokers_and_database_reach_each_other_and_answer_the_pair() {
    let manifests = Manifests::staging();
    let network =
        Network::of(&[&manifests]).with_namespace("other", &[("order-service-client", "true")]);
    let broker = pod(
        "orders-staging",
        &[
            ("strimzi.io/cluster", "kafka"),
            ("strimzi.io/broker-role", "true"),
        ],
    );
    let instance = pod("orders-staging", &[("cnpg.io/cluster", "postgres")]);
    let operator = pod(
        "cnpg-system",
        &[("app.kubernetes.io/name", "cloudnative-pg")],
    );
    let api = address("10.96.0.1");
    let job = of(&manifests, "Job", "order-service-migrate");

    check(
        &network,
        &[
            (&job, &instance, 5432, true),
            (&job, &instance, 8000, false),
            (&instance, &instance, 5432, true),
            (&operator, &instance, 8000, true),
            (&instance, &api, 443, true),
            (&instance, &broker, 9093, false),
            (&broker, &api, 443, true),
            (&broker, &instance, 5432, false),
            (&caller("other"), &instance, 5432, false),
        ],
    );
}

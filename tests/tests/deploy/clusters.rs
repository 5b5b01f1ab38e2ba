//! The components for what a cluster has: secret stores, autoscalers, a gateway, IPv6, OpenShift.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use proto::orders::v1::order_service_server::SERVICE_NAME;
use proto::topics;
use serde_json::json;

use crate::SERVICES;
use crate::components::with_components;
use crate::launch::Launch;
use crate::manifests::{Manifests, list};
use crate::secrets::{referred_to, value};

#[test]
fn with_ipv6_both_servers_listen_on_it_and_keep_their_ports() {
    let without = Manifests::production().launches();
    let with = with_components(&["ipv6"]).launches();
    for service in SERVICES {
        let [before, after] = [&without, &with]
            .map(|launches| Launch::server(launches, service).required("GRPC_LISTEN"))
            .map(|address| address.parse::<SocketAddr>().unwrap());

        assert!(before.is_ipv4() && after.is_ipv6(), "{service}");
        assert!(after.ip().is_unspecified(), "{service}");
        assert_eq!(before.port(), after.port(), "{service}");
    }
}

#[test]
fn on_openshift_no_user_is_fixed_and_dns_is_reached() {
    let manifests = with_components(&["openshift"]);
    for workload in manifests.workloads() {
        let context = workload.at("/spec/template/spec/securityContext");
        assert_eq!(context["runAsNonRoot"], true, "{}", workload.name());
        assert_eq!(context.get("runAsUser"), None, "{}", workload.name());
        assert_eq!(context.get("runAsGroup"), None, "{}", workload.name());
    }
    let policy = manifests.get("NetworkPolicy", "to-openshift-dns");
    let chosen = manifests.chosen(&policy.labels("/spec/podSelector/matchLabels"));
    assert_eq!(chosen.len(), manifests.workloads().count());
}

#[test]
fn external_secrets_create_every_secret_with_the_keys_that_pods_read() {
    let manifests = with_components(&["external-secrets"]);
    let created: BTreeSet<String> = manifests
        .of_kind("ExternalSecret")
        .map(|secret| secret.name().to_owned())
        .collect();

    let workloads = manifests.workloads();
    let needed: BTreeSet<String> = workloads.flat_map(|it| referred_to(it.at(""))).collect();
    assert_eq!(created, needed);
    for secret in manifests.of_kind("ExternalSecret") {
        let key = secret.text("/spec/data/0/secretKey");
        // Panics for a key that no pod reads.
        value(secret.name(), key);
    }
}

#[test]
fn with_autoscaling_no_release_sets_the_number_of_replicas() {
    let manifests = with_components(&["autoscaling"]);

    for deployment in manifests.of_kind("Deployment") {
        assert_eq!(deployment.find("/spec/replicas"), None);
    }
    let scaler = manifests.get("HorizontalPodAutoscaler", "order-service");
    assert_eq!(scaler.text("/spec/scaleTargetRef/name"), "order-service");
    assert!(scaler.number("/spec/minReplicas") >= 2);
}

#[test]
fn processing_service_is_scaled_by_the_lag_of_its_group_up_to_its_partitions() {
    let manifests = with_components(&["autoscaling"]);
    let launches = manifests.launches();
    let server = Launch::server(&launches, "processing-service");
    let scaler = manifests.get("ScaledObject", "processing-service");
    let trigger = scaler.at("/spec/triggers/0/metadata");

    let partitions = server.required("KAFKA_TOPIC_PARTITIONS");
    assert_eq!(
        scaler.number("/spec/maxReplicaCount").to_string(),
        partitions
    );
    assert!(scaler.number("/spec/minReplicaCount") >= 2);
    assert_eq!(trigger["topic"], topics::ORDER_EVENTS);
    assert_eq!(trigger["consumerGroup"], "processing-service");
    server.required("KAFKA_BROKERS");
    assert_eq!(trigger["bootstrapServersFromEnv"], "KAFKA_BROKERS");
    let authentication = manifests.get("TriggerAuthentication", "processing-service-kafka");
    for variable in list(authentication.find("/spec/env")) {
        server.required(variable["name"].as_str().unwrap());
    }
}

#[test]
fn keda_trusts_the_brokers_by_a_secret_of_the_pods() {
    for components in [&["autoscaling"][..], &["autoscaling", "strimzi"]] {
        let manifests = with_components(components);
        let server = manifests.get("Deployment", "processing-service");
        let authentication = manifests.get("TriggerAuthentication", "processing-service-kafka");

        let secret = authentication.text("/spec/secretTargetRef/0/name");
        let of_pods = referred_to(server.at(""));
        assert!(of_pods.contains(secret), "{components:?}: {secret}");
    }
}

#[test]
fn the_quota_has_room_for_the_pair_at_its_largest() {
    let manifests = with_components(&["autoscaling", "quotas"]);
    let quota = manifests.get("ResourceQuota", "orders");
    let scaler = manifests.get("HorizontalPodAutoscaler", "order-service");
    let orders = scaler.number("/spec/maxReplicas");
    let scaler = manifests.get("ScaledObject", "processing-service");
    let processing = scaler.number("/spec/maxReplicaCount");

    // One more of each during a rollout, and the jobs.
    let jobs = u64::try_from(manifests.of_kind("Job").count()).unwrap();
    let pods = orders + processing + 2 + jobs;
    let allowed = quota.text("/spec/hard/pods").parse::<u64>().unwrap();
    assert!(allowed >= pods, "{allowed} of {pods}");
    for service in SERVICES {
        let deployment = manifests.get("Deployment", service);
        let resources = deployment.container("/resources").unwrap();
        assert_eq!(resources["limits"]["memory"], "512Mi", "{service}");
        assert_eq!(resources["requests"]["cpu"], "250m", "{service}");
    }
    // 512 MiB and 250m for each server, 128 MiB and 50m for each job.
    let servers = orders + processing + 2;
    let memory = quota.text("/spec/hard/limits.memory");
    let memory = memory.strip_suffix("Gi").unwrap().parse::<u64>().unwrap();
    assert!(memory * 1024 >= servers * 512 + jobs * 128, "{memory} Gi");
    let processors = quota.text("/spec/hard/requests.cpu");
    let processors = processors.parse::<u64>().unwrap();
    assert!(processors * 1000 >= servers * 250 + jobs * 50);
}

#[test]
fn a_quota_for_memory_comes_with_a_default_for_pods_that_state_none() {
    let limits = with_components(&["quotas"]);
    let limits = limits.get("LimitRange", "orders").at("/spec/limits/0");

    assert_eq!(limits["type"], "Container");
    assert!(limits["default"]["memory"].is_string());
    // Throttling would only increase tail latency.
    assert_eq!(limits["default"].get("cpu"), None);
}

#[test]
fn the_gateway_reaches_only_order_service_and_only_its_own_api() {
    let manifests = with_components(&["gateway"]);
    let route = manifests.get("GRPCRoute", "order-service");
    let policy = manifests.get("NetworkPolicy", "gateway-to-order-service");

    let service = route.at("/spec/rules/0/matches/0/method/service");
    assert_eq!(service, SERVICE_NAME);
    let backend = route.at("/spec/rules/0/backendRefs/0");
    let port = manifests
        .get("Service", "order-service")
        .at("/spec/ports/0/port");
    assert_eq!(*backend, json!({ "name": "order-service", "port": port }));
    assert_eq!(
        *policy.at("/spec/ingress/0/ports"),
        json!([{ "port": port }])
    );
    let gateway = route.at("/spec/parentRefs/0/namespace");
    let admitted = policy
        .at("/spec/ingress/0/from/0/namespaceSelector/matchLabels/kubernetes.io~1metadata.name");
    assert_eq!(admitted, gateway);
    let chosen = manifests.chosen(&policy.labels("/spec/podSelector/matchLabels"));
    assert_eq!(chosen, ["Deployment order-service"]);
}

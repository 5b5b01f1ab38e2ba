//! `deploy/compose.telemetry.yaml`: the backends that it starts are those that collector, Prometheus and Grafana are configured for.

use serde_json::{Value, json};

use crate::compose_file::Compose;
use crate::manifests::{list, text};
use crate::promql::windows_of;
use crate::queries::{FOLDER, queries};
use crate::{SERVICES, project, read};

/// Host and port of an address.
fn authority(address: &str) -> (&str, &str) {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.split_once(':').expect("host and port")
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).expect(path)
}

#[test]
fn every_backend_is_pinned_limited_and_published_on_loopback_only() {
    for (name, container) in Compose::telemetry().containers() {
        for port in list(container.get("ports")) {
            assert!(text(&port).starts_with("127.0.0.1:"), "{name}: {port}");
        }
        if SERVICES.contains(&name.as_str()) {
            continue;
        }
        let image = text(&container["image"]);
        let (_, version) = image.rsplit_once(':').expect("a tag");
        assert_ne!(version, "latest", "{name}");
        let limits = &container["deploy"]["resources"]["limits"];
        assert!(
            limits["memory"].is_string() && limits["cpus"].is_string(),
            "{name}"
        );
    }
}

#[test]
fn every_mounted_file_exists() {
    for (name, container) in Compose::telemetry().containers() {
        for volume in list(container.get("volumes")) {
            let volume = text(&volume);
            let source = volume.split(':').next().unwrap();
            assert!(
                project().join("deploy").join(source).exists(),
                "{name}: {volume}"
            );
        }
    }
}

#[test]
fn both_services_record_all_traces_for_the_collector() {
    let compose = Compose::telemetry();
    for service in SERVICES {
        let environment = compose.at(&format!("/services/{service}/environment"));
        let endpoint = text(&environment["OTEL_EXPORTER_OTLP_ENDPOINT"]);

        assert_eq!(authority(&endpoint), ("otel-collector", "4318"));
        assert_eq!(environment["OTEL_TRACES_SAMPLER_ARG"], "1");
    }
}

#[test]
fn the_collector_has_the_validated_version_and_exports_to_containers() {
    let compose = Compose::telemetry();
    let built = yaml(&format!("{FOLDER}/collector/builder-config.yaml"));
    let version = text(&built["dist"]["version"]);
    let image = format!("otel/opentelemetry-collector-contrib:{version}");
    assert_eq!(*compose.at("/services/otel-collector/image"), image);

    let config = read(&format!("{FOLDER}/collector/config.yaml"));
    for (default, container) in [
        ("${env:TEMPO_ENDPOINT:-tempo:4317}", "tempo"),
        ("${env:LOKI_ENDPOINT:-http://loki:3100/otlp}", "loki"),
    ] {
        assert!(config.contains(default), "{default}");
        compose.at(&format!("/services/{container}/image"));
    }
    let tempo = yaml(&format!("{FOLDER}/tempo.yaml"));
    let otlp = &tempo["distributor"]["receivers"]["otlp"];
    assert_eq!(otlp["protocols"]["grpc"]["endpoint"], ":4317");
}

#[test]
fn prometheus_scrapes_the_collector_and_grafana_asks_containers() {
    let compose = Compose::telemetry();
    let prometheus = yaml(&format!("{FOLDER}/prometheus/prometheus.yaml"));
    let targets = &prometheus["scrape_configs"][0]["static_configs"][0]["targets"];
    assert_eq!(*targets, json!(["otel-collector:8889"]));

    let sources = yaml(&format!(
        "{FOLDER}/grafana/provisioning/datasources/orders.yaml"
    ));
    let tempo = yaml(&format!("{FOLDER}/tempo.yaml"));
    for source in list(sources.get("datasources")) {
        let url = text(&source["url"]);
        let (host, port) = authority(&url);
        compose.at(&format!("/services/{host}/image"));
        if host == "tempo" {
            assert_eq!(tempo["server"]["http_listen_port"].to_string(), port);
        }
    }
}

#[test]
fn prometheus_keeps_more_than_the_longest_window_of_a_query() {
    let compose = Compose::telemetry();
    let command = list(Some(compose.at("/services/prometheus/command")));
    let options: Vec<_> = command.iter().map(text).collect();
    let kept = options
        .iter()
        .find_map(|option| option.strip_prefix("--storage.tsdb.retention.time="))
        .expect("the default is 15 days");
    let kept = windows_of(&format!("x[{kept}]"))[0];

    for query in queries() {
        for window in windows_of(&query.expression) {
            assert!(window < kept, "{}: {window:?}", query.place);
        }
    }
}

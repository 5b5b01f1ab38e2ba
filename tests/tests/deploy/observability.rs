//! Rules, dashboards and runbooks use only existing metrics, and refer to each other consistently.
//!
//! Needs `promtool` (Debian: the package `prometheus`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use telemetry::names::metrics;

use crate::launch::Launch;
use crate::manifests::{Manifests, list, text};
use crate::promql::{metrics_of, series_of, windows_of};
use crate::queries::{FOLDER, Query, dashboards, files, queries, rules};
use crate::{SERVICES, project, read};

/// Metrics added by the collector and Prometheus.
const OF_OTHERS: [&str; 6] = [
    "target_info",
    "traces_span_metrics_calls_total",
    "traces_span_metrics_duration_seconds_bucket",
    "traces_span_metrics_duration_seconds_count",
    "traces_span_metrics_duration_seconds_sum",
    "up",
];

/// The SDK's default of `OTEL_METRIC_EXPORT_INTERVAL`, which the manifests keep.
const EXPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Runbooks without an alert of their own.
const WITHOUT_ALERT: [&str; 2] = ["dead-letters", "overload"];

fn promtool(arguments: &[&str]) {
    if let Err(said) = try_promtool(arguments) {
        panic!("{said}");
    }
}

/// Runs promtool. An error is its output.
pub(crate) fn try_promtool(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("promtool")
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("this test needs promtool; install prometheus: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    output.status.success().then_some(()).ok_or(said)
}

#[test]
fn every_expression_parses() {
    let rules: Vec<_> = queries()
        .into_iter()
        .enumerate()
        .map(|(number, query)| {
            let Query {
                place, expression, ..
            } = query;
            // Distinct names: promtool warns about duplicate rules.
            json!({ "alert": format!("{place} {number}"), "expr": expression })
        })
        .collect();
    let group = json!({ "groups": [{ "name": "all", "rules": rules }] });
    let folder = tempfile::tempdir().unwrap();
    // JSON is YAML.
    let file = folder.path().join("rules.yaml");
    fs::write(&file, group.to_string()).unwrap();

    promtool(&["check", "rules", file.to_str().unwrap()]);
}

#[test]
fn every_queried_metric_is_emitted() {
    let emitted = metrics::ALL
        .iter()
        .chain(order_service::names::metrics::ALL);
    let mut known: BTreeSet<String> = emitted.flat_map(series_of).collect();
    known.extend(OF_OTHERS.map(str::to_owned));
    known.extend(
        rules()
            .iter()
            .filter_map(|rule| rule.get("record").map(text)),
    );

    for Query {
        place, expression, ..
    } in queries()
    {
        for name in metrics_of(&expression) {
            assert!(known.contains(&name), "{place}: {name} is not emitted");
        }
    }
}

#[test]
fn every_recorded_series_is_queried() {
    let queried: BTreeSet<_> = queries()
        .iter()
        .flat_map(|query| metrics_of(&query.expression))
        .collect();

    for name in rules().iter().filter_map(|rule| rule.get("record")) {
        assert!(
            queried.contains(&text(name)),
            "{name} is recorded for nothing"
        );
    }
}

/// A rate needs two exports in its window, and is a staircase with fewer than a handful.
#[test]
fn every_window_spans_several_exports() {
    let shortest = 5 * EXPORT_INTERVAL;
    for Query {
        place, expression, ..
    } in queries()
    {
        for window in windows_of(&expression) {
            assert!(window >= shortest, "{place}: {window:?} in {expression}");
        }
    }
    for (file, dashboard) in dashboards() {
        let variables = list(dashboard.pointer("/templating/list"));
        let choices = variables
            .iter()
            .find(|it| it["name"] == "interval")
            .unwrap();
        for choice in text(&choices["query"]).split(',') {
            let window = &windows_of(&format!("x[{choice}]"))[0];
            assert!(*window >= shortest, "{file}: {choice}");
        }
    }
}

#[test]
fn each_alert_has_a_severity_and_a_runbook_and_each_runbook_an_alert() {
    let alerts: Vec<_> = rules()
        .into_iter()
        .filter(|rule| rule.get("alert").is_some())
        .collect();
    let mut explained: BTreeSet<String> = WITHOUT_ALERT.map(str::to_owned).into();
    for alert in &alerts {
        let name = text(&alert["alert"]);
        let severity = text(&alert["labels"]["severity"]);
        assert!(["page", "ticket"].contains(&severity.as_str()), "{name}");
        assert!(!text(&alert["annotations"]["summary"]).is_empty(), "{name}");
        let url = text(&alert["annotations"]["runbook_url"]);
        assert_eq!(url, format!("{{{{ $externalLabels.runbooks }}}}/{name}.md"));
        explained.insert(name);
    }

    let pages: BTreeSet<_> = files("docs/runbooks", "md")
        .iter()
        .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();

    assert_eq!(pages, explained);
    for alert in alerts {
        let page = read(&format!("docs/runbooks/{}.md", text(&alert["alert"])));
        for part in ["Impact", "Diagnosis", "Mitigation", "Verify"] {
            assert!(page.contains(&format!("\n## {part}\n")), "{part} in {page}");
        }
    }
}

#[test]
fn the_address_of_the_runbooks_is_one_setting_and_no_label_of_an_alert() {
    let path = project().join(FOLDER).join("prometheus/prometheus.yaml");
    let content: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();

    let address = text(&content["global"]["external_labels"]["runbooks"]);
    assert!(address.ends_with("/docs/runbooks"), "{address}");
    let dropped = json!([{ "action": "labeldrop", "regex": "runbooks" }]);
    assert_eq!(content["alerting"]["alert_relabel_configs"], dropped);
}

#[test]
fn each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() {
    let mut seen: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for file in files(&format!("{FOLDER}/prometheus/tests"), "yaml") {
        let content: Value = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        for case in list(content.get("tests")) {
            for check in list(case.get("alert_rule_test")) {
                let fires = !list(check.get("exp_alerts")).is_empty();
                seen.entry(text(&check["alertname"]))
                    .or_default()
                    .insert(fires);
            }
        }
        promtool(&["test", "rules", file.to_str().unwrap()]);
    }

    for alert in rules().iter().filter_map(|rule| rule.get("alert")) {
        let both = BTreeSet::from([true, false]);
        assert_eq!(seen.get(&text(alert)), Some(&both), "{alert}");
    }
}

#[test]
fn the_services_export_to_the_collector_and_may_connect_to_it() {
    let collector = Manifests::of(&project().join(FOLDER).join("kubernetes"));
    let launches = Manifests::production().launches();
    let service = collector.get("Service", "otel-collector");
    let namespace = collector.of_kind("Namespace").next().unwrap().name();
    let expected = format!("http://{}.{namespace}:4318", service.name());

    for name in SERVICES {
        let launch = Launch::server(&launches, name);
        assert_eq!(launch.required("OTEL_EXPORTER_OTLP_ENDPOINT"), expected);
    }
    let policy = collector.get("NetworkPolicy", "services-to-otel-collector");
    let peers = policy.labels("/spec/ingress/0/from/0/podSelector/matchLabels");
    assert_eq!(Manifests::production().chosen(&peers).len(), 6);
    // By a label of the overlay's namespace, not by its name: a copy in another namespace is admitted too.
    let label = policy.labels("/spec/ingress/0/from/0/namespaceSelector/matchLabels");
    let namespace = Manifests::production().of_kind("Namespace").next().unwrap();
    let labels = namespace.labels("/metadata/labels");
    assert!(!label.is_empty());
    assert!(
        label
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
    );
    let ports = list(policy.find("/spec/ingress/0/ports"));
    assert!(ports.contains(&json!({ "port": 4318 })), "{ports:?}");
    let chosen = collector.chosen(&policy.labels("/spec/podSelector/matchLabels"));
    assert_eq!(chosen, ["Deployment otel-collector"]);
}

#[test]
fn the_collector_has_the_validated_version_and_no_privileges() {
    let collector = Manifests::of(&project().join(FOLDER).join("kubernetes"));
    let deployment = collector.get("Deployment", "otel-collector");
    let image = deployment.text("/spec/template/spec/containers/0/image");

    let (_, version) = image.split_once(':').unwrap();
    let built = read(&format!("{FOLDER}/collector/builder-config.yaml"));
    assert!(
        built.contains(&format!("\n  version: {version}\n")),
        "{version}"
    );
    let pod = deployment.at("/spec/template/spec");
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    for kind in ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"] {
        assert_eq!(collector.of_kind(kind).count(), 0, "{kind}");
    }
}

#[test]
fn the_prometheus_operator_gets_the_same_rules_and_scrapes_the_collector() {
    let script = project().join(FOLDER).join("prometheus/operator.sh");
    let printed = Command::new(script).output().unwrap();
    let objects = Manifests::parse(&String::from_utf8(printed.stdout).unwrap());
    let collector = Manifests::of(&project().join(FOLDER).join("kubernetes"));

    let groups = objects
        .of_kind("PrometheusRule")
        .flat_map(|rule| list(rule.find("/spec/groups")));
    let copied: Vec<_> = groups.flat_map(|group| list(group.get("rules"))).collect();
    assert_eq!(copied, rules());
    let monitor = objects.get("PodMonitor", "otel-collector");
    let chosen = collector.chosen(&monitor.labels("/spec/selector/matchLabels"));
    assert_eq!(chosen, ["Deployment otel-collector"]);
    let port = monitor.at("/spec/podMetricsEndpoints/0/port");
    let deployment = collector.get("Deployment", "otel-collector");
    let ports = list(deployment.container("/ports"));
    assert!(ports.iter().any(|it| it["name"] == *port), "{port}");
}

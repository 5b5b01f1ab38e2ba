//! The running pair with the deployed collector and Prometheus: every query has data, and every alert fires on series as
//! they are exposed.
//!
//! Needs the collector, which `tests/prerequisites.sh` builds where there is Go; without it the test is left out, unless
//! `TEST_COLLECTOR` is `required`. Needs Prometheus (Debian: the package `prometheus`).
//!
//! Reading order: `work` (what the pair does), `server` and `answers` (the collector and Prometheus), `exposition`
//! (recorded series), `rule_tests`, `without_data`.

use std::collections::BTreeSet;
use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use tests::stack::{BrokerEngine, DatabaseEngine, Engines};
use tests::system::{Service, System, eventually};
use tokio::time::{Duration, Instant};

use crate::components::with_components;
use crate::launch::Launch;
use crate::manifests::{list, text};
use crate::promql::selectors_of;
use crate::queries::{Query, QueryUser, dashboards, queries};
use answers::{ask, exemplar_labels};
use rule_tests::RuleTests;
use server::{Servers, collector, get};
use without_data::WithoutData;

mod answers;
mod exposition;
mod rule_tests;
mod server;
mod without_data;
mod work;

/// Time for the last data to pass exports, scrapes and rules. Each takes up to a second.
const PASSAGE: Duration = Duration::from_secs(20);

/// One test, because all parts share the running pair.
#[tokio::test(flavor = "multi_thread")]
async fn every_query_has_data_and_every_alert_fires_on_the_series_of_the_running_pair() -> Result<()>
{
    let Some(collector) = collector_or_left_out()? else {
        return Ok(());
    };
    let home = tempfile::tempdir()?;
    let servers = Servers::start(&collector, home.path()).await?;
    let system = start_exporting_to(servers.otlp).await?;
    let prometheus = servers.prometheus;
    let mut without_data = WithoutData::read();

    // Twice: a rate needs a change between two scrapes.
    work::work(&system, 1).await?;
    eventually("the first round is scraped", async || {
        let shed = ask(prometheus, "grpc_server_calls_shed_total").await?;
        Ok((!shed.is_empty()).then_some(()))
    })
    .await?;
    work::work(&system, 2).await?;

    let mut findings = what_has_no_data(prometheus, &without_data).await?;
    findings.retain(|(expression, _)| !without_data.explains(expression));
    let mut findings: Vec<_> = findings.into_iter().map(|(_, finding)| finding).collect();
    let mut rule_tests = RuleTests::default();
    for format in [exposition::OPEN_METRICS, exposition::CLASSIC] {
        let recorded = get(servers.exposition, "/metrics", format).await?;
        let recorded = exposition::parse(&recorded);
        let failures = rule_tests.run(&recorded, &mut without_data, home.path());
        let failures = failures.into_iter();
        findings.extend(failures.map(|failure| format!("with {format}: {failure}")));
    }
    let unused = without_data.unused().into_iter();
    findings.extend(unused.map(|it| format!("without_data.yaml lists what has data: {it}")));
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    // The refunds fail still, so there is nothing to audit.
    system.discard().await
}

/// The collector. `None`, and a line that cannot be mistaken for a success, if it was not built.
fn collector_or_left_out() -> Result<Option<PathBuf>> {
    let collector = collector();
    if collector.is_none() {
        let why = "the collector is not built: run deploy/observability/collector/build.sh";
        let is_required = env::var("TEST_COLLECTOR").as_deref() == Ok("required");
        ensure!(!is_required, "{why}");
        eprintln!("LEFT OUT: {why}");
    }
    Ok(collector)
}

/// The pair on PostgreSQL, because only its pools are measured, with the resource attributes of the manifests.
async fn start_exporting_to(otlp: SocketAddr) -> Result<System> {
    let launches = with_components(&["telemetry"]).launches();
    let url = format!("http://{otlp}");
    let identities = Service::PAIR.map(|service| {
        let launch = Launch::server(&launches, service.name());
        identity(launch.required("OTEL_RESOURCE_ATTRIBUTES"), service)
    });
    let mut settings = vec![
        (Service::Orders, "GRPC_CONCURRENCY", work::CONCURRENCY),
        (Service::Processing, "RETRY_FOR", "1s"),
    ];
    for (service, identity) in Service::PAIR.into_iter().zip(&identities) {
        settings.extend([
            (service, "OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
            (service, "OTEL_RESOURCE_ATTRIBUTES", identity),
            (service, "OTEL_TRACES_SAMPLER_ARG", "1"),
            // Milliseconds; the default is a minute.
            (service, "OTEL_METRIC_EXPORT_INTERVAL", "250"),
            (service, "PRUNE_INTERVAL", "1s"),
        ]);
    }
    let engines = Engines {
        broker: BrokerEngine::Embedded,
        database: DatabaseEngine::Postgres,
        replicas: 1,
    };
    System::start_with_engines(engines, &settings).await
}

/// Fills in the fields of a pod.
fn identity(attributes: &str, service: Service) -> String {
    [
        ("metadata.namespace", "orders"),
        ("metadata.name", &format!("{service}-0")),
        ("metadata.uid", "6a1e3c1e-9c3b-4a57-8f0e-0f6a3f1c9a11"),
        ("spec.nodeName", "node-1"),
    ]
    .iter()
    .fold(attributes.to_owned(), |text, (field, value)| {
        text.replace(field, value)
    })
}

/// What has no data, and is not listed or still has none when everything has arrived: expression and finding.
async fn what_has_no_data(
    prometheus: SocketAddr,
    without_data: &WithoutData,
) -> Result<Vec<(String, String)>> {
    let deadline = Instant::now() + PASSAGE;
    eventually("every query is answered", async || {
        let mut findings = variables_without_values(prometheus).await?;
        for query in queries() {
            findings.extend(selectors_without_series(prometheus, &query).await?);
            findings.extend(objection(prometheus, &query).await?);
        }
        findings.extend(missing_exemplars(prometheus).await?);
        let mut expressions = findings.iter().map(|(expression, _)| expression);
        let is_listed = expressions.all(|expression| without_data.lists(expression));
        Ok((is_listed || Instant::now() > deadline).then_some(findings))
    })
    .await
}

/// A misspelt label or a bucket that does not exist selects nothing, also in an alert that does not fire.
async fn selectors_without_series(
    prometheus: SocketAddr,
    query: &Query,
) -> Result<Vec<(String, String)>> {
    let mut findings = Vec::new();
    for selector in selectors_of(&query.expression) {
        if ask(prometheus, &selector).await?.is_empty() {
            let finding = format!("{}: no series {selector}", query.place);
            findings.push((selector, finding));
        }
    }
    Ok(findings)
}

/// Why a query is of no use: it returns no number, or its legend names labels that its result does not have.
async fn objection(prometheus: SocketAddr, query: &Query) -> Result<Option<(String, String)>> {
    let Query {
        place,
        expression,
        user,
    } = query;
    let found = ask(prometheus, expression).await?;
    if *user == QueryUser::Alert {
        return Ok(None);
    }
    if !found.iter().any(answers::Sample::is_finite) {
        let finding = format!("{place}: no number for {expression}");
        return Ok(Some((expression.clone(), finding)));
    }
    let QueryUser::Panel(legend) = user else {
        return Ok(None);
    };
    let has = |label: &&str| {
        found
            .iter()
            .any(|sample| sample.labels.contains_key(*label))
    };
    let missing: Vec<_> = labels_of(legend).filter(|label| !has(label)).collect();
    let finding = format!("{place}: the legend has {missing:?}, the result has not");
    Ok((!missing.is_empty()).then_some((expression.clone(), finding)))
}

/// The labels in a legend, such as `{{service_name}}`.
fn labels_of(legend: &str) -> impl Iterator<Item = &str> {
    let labels = legend.split("{{").skip(1);
    labels.filter_map(|text| Some(text.split_once("}}")?.0.trim()))
}

async fn variables_without_values(prometheus: SocketAddr) -> Result<Vec<(String, String)>> {
    let mut variables = BTreeSet::new();
    for (_, dashboard) in dashboards() {
        let all = list(dashboard.pointer("/templating/list")).into_iter();
        let queried = all.filter(|variable| variable["type"] == "query");
        variables.extend(queried.map(|variable| text(&variable["query"])));
    }
    let mut findings = Vec::new();
    for variable in variables {
        let arguments = variable.strip_prefix("label_values(").unwrap_or_default();
        let arguments = arguments.strip_suffix(')').unwrap_or_default();
        let (series, label) = arguments.split_once(", ").unwrap_or_default();
        let found = ask(prometheus, &format!("count by ({label}) ({series})")).await?;
        if !found.iter().any(|sample| sample.labels.contains_key(label)) {
            findings.push((
                variable.clone(),
                format!("a variable without values: {variable}"),
            ));
        }
    }
    Ok(findings)
}

/// Grafana leads from an exemplar to the trace with the id in this label, see its data sources.
async fn missing_exemplars(prometheus: SocketAddr) -> Result<Option<(String, String)>> {
    let series = "traces_span_metrics_duration_seconds_bucket";
    let labels = exemplar_labels(prometheus, series).await?;
    let finding = format!("the exemplars of {series} have only {labels:?}");
    Ok((!labels.contains("trace_id")).then_some((series.to_owned(), finding)))
}

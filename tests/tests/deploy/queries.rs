//! Every PromQL expression that people or Prometheus evaluate: rules, panels of dashboards, runbooks, data sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::manifests::{list, text};
use crate::project;

/// The collector, Prometheus and Grafana.
pub(crate) const FOLDER: &str = "deploy/observability";

/// An expression and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) place: String,
    pub(crate) expression: String,
    pub(crate) user: QueryUser,
}

/// Who evaluates an expression, and so what it must return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QueryUser {
    /// An alert returns nothing as long as it does not fire.
    Alert,
    /// A recording rule.
    Record,
    /// A panel with this legend.
    Panel(String),
    /// A runbook or a link of a data source.
    Person,
}

/// All of them, without variables.
pub(crate) fn queries() -> Vec<Query> {
    [of_rules(), of_dashboards(), of_runbooks(), of_datasources()].concat()
}

/// The files of a folder, sorted.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(project().join(folder)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == extension))
        .collect();
    assert!(!files.is_empty(), "{folder} has no .{extension}");
    files.sort();
    files
}

pub(crate) fn rules() -> Vec<Value> {
    let of_file = |file: PathBuf| {
        let content: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        list(content.get("groups"))
    };
    let groups = files(&format!("{FOLDER}/prometheus/rules"), "yaml");
    let groups = groups.into_iter().flat_map(of_file);
    groups.flat_map(|group| list(group.get("rules"))).collect()
}

pub(crate) fn dashboards() -> BTreeMap<String, Value> {
    let files = files(&format!("{FOLDER}/grafana/dashboards"), "json");
    let parsed = files.into_iter().map(|file| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let content = fs::read_to_string(&file).unwrap();
        (name, serde_json::from_str(&content).unwrap())
    });
    parsed.collect()
}

fn of_rules() -> Vec<Query> {
    let query = |rule: Value| {
        let (name, user) = match rule.get("alert") {
            Some(name) => (name, QueryUser::Alert),
            None => (&rule["record"], QueryUser::Record),
        };
        Query {
            place: text(name),
            expression: text(&rule["expr"]),
            user,
        }
    };
    rules().into_iter().map(query).collect()
}

fn of_dashboards() -> Vec<Query> {
    let mut all = Vec::new();
    for (name, dashboard) in dashboards() {
        for mark in list(dashboard.pointer("/annotations/list")) {
            all.push(Query {
                place: format!("{name}: {}", text(&mark["name"])),
                expression: without_variables(&text(&mark["expr"])),
                user: QueryUser::Panel(text(&mark["titleFormat"])),
            });
        }
        for panel in list(dashboard.get("panels")) {
            for target in list(panel.get("targets")) {
                all.push(Query {
                    place: format!("{name}: {}", text(&panel["title"])),
                    expression: without_variables(&text(&target["expr"])),
                    user: QueryUser::Panel(text(&target["legendFormat"])),
                });
            }
        }
    }
    all
}

fn of_runbooks() -> Vec<Query> {
    let mut all = Vec::new();
    for file in files("docs/runbooks", "md") {
        let place = file.file_stem().unwrap().to_string_lossy().into_owned();
        let page = fs::read_to_string(&file).unwrap();
        let queries = blocks(&page).into_iter().chain(inline(&page));
        all.extend(queries.map(|expression| Query {
            place: place.clone(),
            expression,
            user: QueryUser::Person,
        }));
    }
    all
}

/// The queries in the code blocks of a page; an empty line is between two.
fn blocks(page: &str) -> Vec<String> {
    let blocks = page.split("```promql\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split_once("```"));
    let queries = blocks.flat_map(|(queries, _)| queries.split("\n\n"));
    queries.map(|query| query.trim().to_owned()).collect()
}

/// The queries in the sentences of the last section. Other code there has neither call nor selector.
fn inline(page: &str) -> Vec<String> {
    let (_, section) = page.split_once("\n## Verify\n").unwrap_or_default();
    let codes = section.split('`').skip(1).step_by(2);
    codes
        .filter(|code| code.contains(['(', '{']) && !code.contains(['/', '\n']))
        .map(str::to_owned)
        .collect()
}

/// The links from a trace to metrics, for the tags of a call.
fn of_datasources() -> Vec<Query> {
    let path = project().join(format!(
        "{FOLDER}/grafana/provisioning/datasources/orders.yaml"
    ));
    let content: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut all = Vec::new();
    for source in list(content.get("datasources")) {
        let links = &source["jsonData"]["tracesToMetrics"];
        let tags: Vec<_> = list(links.get("tags")).iter().map(label_of_tag).collect();
        for query in list(links.get("queries")) {
            all.push(Query {
                place: format!("{}: {}", text(&source["name"]), text(&query["name"])),
                expression: text(&query["query"]).replace("$$__tags", &tags.join(",")),
                user: QueryUser::Person,
            });
        }
    }
    assert!(!all.is_empty(), "no data source links traces to metrics");
    all
}

fn label_of_tag(tag: &Value) -> String {
    let value = match &*text(&tag["key"]) {
        "service.name" => "order-service",
        "rpc.method" => "orders.v1.OrderService/PlaceOrder",
        other => panic!("which value has {other} on a span?"),
    };
    format!("{}=\"{value}\"", text(&tag["value"]))
}

/// Replaces the variables as Grafana does when all namespaces and services are chosen.
pub(crate) fn without_variables(expression: &str) -> String {
    [
        ("$interval", "5m"),
        ("$namespace", ".*"),
        ("$service", ".*"),
    ]
    .iter()
    .fold(expression.to_owned(), |text, (variable, value)| {
        text.replace(variable, value)
    })
}

//! The dashboards: complete, connected, and with the limits of the rules.

use std::collections::BTreeSet;

use serde_json::Value;
use telemetry::names::metrics;

use crate::manifests::{list, text};
use crate::promql::{metrics_of, series_of};
use crate::queries::{QueryUser, dashboards, queries, rules, without_variables};

#[test]
fn dashboards_have_fixed_uids_and_each_panel_a_query() {
    let mut names = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert_eq!(dashboard["uid"], file, "links use this uid");
        assert!(names.insert(text(&dashboard["title"])), "{file}");
        for panel in list(dashboard.get("panels")) {
            let asks = panel["type"] == "row" || !list(panel.get("targets")).is_empty();
            assert!(asks, "{file}: {}", panel["title"]);
        }
        let variables = list(dashboard.pointer("/templating/list"));
        let variables: Vec<_> = variables.iter().map(|it| text(&it["name"])).collect();
        assert_eq!(variables, ["namespace", "service", "interval"], "{file}");
    }
}

#[test]
fn every_emitted_metric_is_on_a_dashboard_or_in_a_rule() {
    let shown: BTreeSet<_> = queries()
        .iter()
        .filter(|query| query.user != QueryUser::Person)
        .flat_map(|query| metrics_of(&query.expression))
        .collect();

    for metric in metrics::ALL
        .iter()
        .chain(order_service::names::metrics::ALL)
    {
        let is_shown = series_of(metric)
            .iter()
            .any(|series| shown.contains(series));
        assert!(is_shown, "{} is nowhere to be seen", metric.name);
    }
}

/// What counts only while something goes wrong: such a series does not exist before, and a panel of it would be empty, as it is
/// when nothing is collected.
const OF_TROUBLE: [&str; 11] = [
    "dead_letters",
    "deleted_unread",
    "dropped",
    "ejections",
    "error_type!=",
    "evicted",
    "rebalances",
    "refused",
    "retries",
    "shed",
    "transitions",
];

#[test]
fn a_panel_of_trouble_shows_zero_while_there_is_none() {
    let mut checked = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        for panel in list(dashboard.get("panels")) {
            for target in list(panel.get("targets")) {
                let asked = text(&target["expr"]);
                let Some(trouble) = OF_TROUBLE.iter().find(|it| asked.contains(**it)) else {
                    continue;
                };
                assert!(
                    asked.ends_with(" or on() vector(0)"),
                    "{file}: {}: {asked}",
                    panel["title"]
                );
                checked.insert(trouble);
            }
        }
    }
    assert_eq!(checked.len(), OF_TROUBLE.len(), "only {checked:?}");
}

/// A line in a panel that no alert and no objective knows would be a guess.
#[test]
fn every_threshold_of_a_panel_is_one_of_a_rule_on_the_same_metric() {
    let mut checked = 0;
    for (file, dashboard) in dashboards() {
        for panel in list(dashboard.get("panels")) {
            let is_line = panel.pointer("/fieldConfig/defaults/custom/thresholdsStyle");
            if is_line.is_none() {
                continue;
            }
            let limit = &panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"];
            let shown = metrics_of(&without_variables(&text(&panel["targets"][0]["expr"])));
            let knows = |rule: &Value| {
                let expression = text(&rule["expr"]);
                let written = [
                    format!("> {limit}"),
                    format!("== {limit}"),
                    format!("le=\"{limit}\""),
                ];
                written.iter().any(|it| expression.contains(it))
                    && !metrics_of(&expression).is_disjoint(&shown)
            };
            assert!(
                rules().iter().any(knows),
                "{file}: {}: {limit}",
                panel["title"]
            );
            checked += 1;
        }
    }
    assert!(checked > 5, "{checked} thresholds");
}

#[test]
fn every_dashboard_marks_releases() {
    for (file, dashboard) in dashboards() {
        let marks = list(dashboard.pointer("/annotations/list"));
        let queries: Vec<_> = marks.iter().map(|mark| text(&mark["expr"])).collect();
        assert!(
            queries.iter().any(|it| it.contains("service_version")),
            "{file}"
        );
    }
}

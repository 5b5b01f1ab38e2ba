use std::path::PathBuf;

use clap::Parser as _;
use tonic::Status;

use super::*;
use crate::load::OrdersLoadArguments;
use crate::load::figures::tests::figures;
use crate::load::knee::KneeStep;
use crate::load::slo::Objectives;

fn report(figures: LoadFigures, objectives: &str) -> LoadReport {
    let arguments = OrdersLoadArguments::try_parse_from(["orders-load"]).unwrap();
    let objectives: Objectives = objectives.parse().unwrap();
    LoadReport {
        started: SystemTime::UNIX_EPOCH,
        targets: vec!["http://127.0.0.1:50051".to_owned()],
        plan: arguments.run.plan().unwrap(),
        deadline: Duration::from_secs(5),
        end: RunEnd::Completed,
        slo: objectives.results(&figures),
        figures,
        knee: None,
        audit: None,
    }
}

fn mixed() -> LoadFigures {
    let mut figures = figures(90, 10);
    figures.record_place(200, Ok(()));
    figures.record_place(3, Err(Status::unavailable("broken pipe")));
    let outcomes = &mut figures.order_outcomes;
    outcomes.times.record(Duration::from_millis(1_500));
    outcomes.by_status.insert("FULFILLED".to_owned(), 1);
    outcomes.unfinished = 2;
    figures
}

#[test]
fn the_exit_code_is_that_of_the_worst_finding() {
    let good = report(figures(10, 1), "p99<1s");
    let broken = report(figures(10, 1), "p99<1us");
    let nothing = report(figures(0, 0), "p99<1us");
    let early = LoadReport {
        end: RunEnd::Interrupted,
        ..report(figures(10, 1), "p99<1us")
    };

    let codes = [good, broken, nothing, early].map(|report| report.exit() as u8);

    assert_eq!(codes, [0, 1, 3, 4]);
}

#[test]
fn the_text_has_both_latencies_the_causes_and_the_verdict() {
    let text = report(mixed(), "confirm.p99<50ms").to_string();

    for part in [
        "92 calls offered in 10.0 s, 9.2/s; dropped 0; errors 1.087%",
        "naive, from the send",
        "1 UNAVAILABLE: failed",
        "for example: UNAVAILABLE: broken pipe",
        "outcome         1 FULFILLED",
        "outcome         2 not final when the run ended",
        "confirm.p99<50ms: BROKEN, measured",
        "FAILED: an objective is broken",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn the_json_has_every_documented_field() {
    let json = report(mixed(), "confirm.p99<50ms").to_json();
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/load.md");
    let page = std::fs::read_to_string(page).unwrap();

    let fields = json.as_object().unwrap().keys();

    for field in fields {
        assert!(
            page.contains(&format!("| `{field}` |")),
            "docs/load.md does not describe {field}"
        );
    }
    assert_eq!(json["operations"]["place"]["accepted"]["count"], 91);
    assert_eq!(json["outcome"]["final"]["FULFILLED"], 1);
    assert_eq!(json["windows"][0]["offered"], 92);
    assert_eq!(json["exit_code"], 1);
}

#[test]
fn the_page_has_the_plots_the_slowest_traces_and_nothing_from_outside() {
    let report = report(mixed(), "confirm.p99<50ms");

    let page = html::page(&report).to_string();

    assert_eq!(page.matches("<svg").count(), 4);
    assert!(page.contains(&report.figures.slowest[0].trace_id));
    assert!(page.contains("BROKEN"));
    assert!(!page.contains("src=") && !page.contains("href="));
}

#[test]
fn a_knee_is_plotted_with_the_load_beyond_it() {
    let step = |rate: f64, strain: Option<&str>| KneeStep {
        per_second: rate,
        accepted_per_second: rate.min(400.0),
        refused_per_second: (rate - 400.0).max(0.0),
        failed_per_second: 0.0,
        p50: Some(3.0),
        p99: Some(9.0),
        strain: strain.map(str::to_owned),
    };
    let knee = Knee {
        per_second: Some(400.0),
        limit: "at 440 per second errors<0.1%: BROKEN".to_owned(),
        is_limit_of_the_tool: false,
        steps: vec![
            step(400.0, Some("an outlier")),
            step(400.0, None),
            step(440.0, Some("errors")),
        ],
        beyond: vec![step(1_200.0, Some("errors"))],
    };
    let report = LoadReport {
        knee: Some(knee),
        ..report(mixed(), "p99<1s")
    };

    let page = html::page(&report).to_string();

    assert_eq!(page.matches("<svg").count(), 6);
    assert!(page.contains("All objectives hold up to 400 calls per second"));
    assert!(
        report
            .to_string()
            .contains("knee: all objectives hold up to 400")
    );
    assert_eq!(
        report.to_json()["knee"]["beyond"][0]["refused_per_second"],
        800.0
    );
}

#[test]
fn a_knee_that_the_tool_limits_is_no_measurement() {
    let knee = Knee {
        per_second: Some(400.0),
        limit: "at 440 per second the tool itself was the limit".to_owned(),
        is_limit_of_the_tool: true,
        steps: Vec::new(),
        beyond: Vec::new(),
    };
    let report = LoadReport {
        knee: Some(knee),
        ..report(mixed(), "p99<1s")
    };

    assert_eq!(report.exit(), LoadExit::NotAMeasurement);
}

#[test]
fn a_percentile_text_has_the_format_of_hdr_histogram() {
    let text = hgrm::text(
        figures(1_000, 10)
            .latencies(crate::load::mix::Operation::Place)
            .corrected
            .histogram(),
    );
    let lines: Vec<_> = text.lines().collect();

    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    );
    let last = lines
        .iter()
        .rev()
        .find(|line| !line.starts_with('#'))
        .unwrap();
    let cells: Vec<_> = last.split_whitespace().collect();
    assert_eq!(cells[1..], ["1.000000000000", "1000"]);
    assert!(
        text.contains("#[Mean    =") && text.contains("Total count    =         1000]"),
        "{text}"
    );
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let arguments = ["orders-load", "--json", "/dev/full"];
    let arguments = OrdersLoadArguments::try_parse_from(arguments).unwrap();

    let error = report(mixed(), "p99<1s")
        .write(&arguments.run.report)
        .unwrap_err();

    assert!(
        error.to_string().contains("cannot write /dev/full"),
        "{error}"
    );
}

use super::super::fault::{ChaosFault, Echo};
use super::super::plan::EngineSet;
use super::*;
use crate::replay::tally::Tally;
use crate::stack::Service;
use auditor::verdict::{RuleReport, RuleViolation};

fn inflicted(fault: ChaosFault, recovery: Recovery) -> Inflicted {
    Inflicted { fault, recovery }
}

fn report(inflicted: Vec<Inflicted>) -> ChaosReport {
    ChaosReport {
        plan: FaultPlan::new(7, Duration::from_secs(60), EngineSet::Embedded),
        summary: Tally::new().unwrap().summary(),
        inflicted,
        echoed: 20,
        wire: Wire {
            records: 100,
            duplicates: 3,
        },
        restarts: 1,
        problems: Vec::new(),
        audit: Verdict::default(),
    }
}

fn after(millis: u64) -> Recovery {
    Recovery::After(Duration::from_millis(millis))
}

#[test]
fn faults_are_counted_and_recovery_times_summarised_per_kind() {
    let kill = ChaosFault::Kill(Service::Orders);
    let echo = ChaosFault::Echo("topic", Echo::Newest);
    let report = report(vec![
        inflicted(kill, after(3_000)),
        inflicted(kill, after(1_250)),
        inflicted(kill, after(2_000)),
        inflicted(echo, Recovery::NotNeeded),
    ]);

    let json = report.to_json();

    assert_eq!(
        json["faults"],
        json!({ "kill order-service": 3, "duplicates": 1 })
    );
    assert_eq!(
        json["recovery_seconds"],
        json!({ "kill order-service": { "median": 2.0, "max": 3.0 } })
    );
    assert_eq!(json["wire_duplicates"], 3);
    assert_eq!(json["seed"], 7);
    assert_eq!(json["audit"], json!({ "ok": true, "violations": [] }));
    assert!(report.passed());
}

#[test]
fn each_unexpected_event_fails_the_run() {
    let kill = ChaosFault::Kill(Service::Orders);
    let missed = report(vec![inflicted(kill, Recovery::Missed)]);
    let mut died = report(Vec::new());
    died.problems.push("order-service died".to_owned());
    let mut red = report(Vec::new());
    red.audit.rules.push(RuleReport {
        rule: "no-loss",
        counted: Vec::new(),
        violations: vec![RuleViolation::default()],
        more: 0,
    });
    let mut silent = report(Vec::new());
    silent.summary.counts.submitted = 1;
    let mut open = report(Vec::new());
    (open.summary.counts.submitted, open.summary.counts.accepted) = (1, 1);

    for (report, sentence) in [
        (missed, "no recovery from: kill order-service"),
        (died, "order-service died"),
        (red, "the audit is red"),
        (silent, "1 of 1 orders got no answer"),
        (open, "1 of 1 accepted orders were not seen to become final"),
    ] {
        assert!(!report.passed());
        let text = report.to_string();
        assert!(text.contains("FAILED") && text.contains(sentence), "{text}");
    }
}

#[test]
fn the_report_begins_with_the_plan() {
    let report = report(Vec::new());

    let text = report.to_string();

    assert!(text.starts_with("plan of "), "{text}");
    assert!(text.contains("--seed 7"), "{text}");
    assert!(text.contains("PASSED"), "{text}");
}

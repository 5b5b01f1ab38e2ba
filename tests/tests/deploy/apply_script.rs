//! `deploy/apply.sh` with a `kubectl` that notes what it is asked and answers as a cluster would. `make cluster-test` runs it
//! against a real one.

use std::process::{Command, Output};

use crate::project;
use crate::stand_in_program::StandInProgram;

/// Renders like the real program, which the test needs anyway; the rest are answers of a cluster.
const KUBECTL: &str = r#"#!/bin/sh
printf '%s\n' "$*" >>"$CALLS"
case "$*" in
kustomize*) PATH="$REAL_PATH" exec kubectl "$@" ;;
*"get jobs"*) printf '%s\n' "$JOBS" ;;
*"get job "*) printf 'PodFailurePolicy: exit code 78' ;;
*"get deployments"*) echo deployment.apps/order-service ;;
*--dry-run=server*) [ "$ACCEPTED" = true ] ;;
*) ;;
esac
"#;

const COMPLETE: &str =
    "order-service-migrate SuccessCriteriaMet Complete\nprocessing-service-topics Complete";

/// What the script asked for, and how it ended.
struct Run {
    calls: Vec<String>,
    output: Output,
}

impl Run {
    /// With these states of the jobs, in a cluster that accepts the objects or refuses them.
    fn with(jobs: &str, accepted: bool) -> Self {
        Self::of(KUBECTL, jobs, accepted)
    }

    fn of(kubectl: &str, jobs: &str, accepted: bool) -> Self {
        let (calls, output) = StandInProgram::new("kubectl", kubectl).run(
            Command::new(project().join("deploy/apply.sh"))
                .arg(project().join("deploy/kubernetes/overlays/production"))
                .args(["--timeout=0", "--context=test"])
                .env("JOBS", jobs)
                .env("ACCEPTED", accepted.to_string()),
        );
        Self { calls, output }
    }

    fn position(&self, parts: &[&str]) -> Option<usize> {
        let has_all = |call: &String| parts.iter().all(|part| call.contains(part));
        self.calls.iter().position(has_all)
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }
}

const APPLY_SERVERS: [&str; 2] = [
    "apply --server-side",
    "--selector app.kubernetes.io/component=server",
];

#[test]
fn the_jobs_complete_before_the_servers_are_applied() {
    let run = Run::with(COMPLETE, true);

    let steps = [
        &["delete jobs"][..],
        &["apply", "--dry-run=server"],
        &["apply", "notin (server, migrate, topics)"],
        &["apply", "in (migrate, topics)"],
        &["get jobs"],
        &APPLY_SERVERS,
        &["rollout status deployment.apps/order-service"],
    ]
    .map(|parts| {
        run.position(parts)
            .unwrap_or_else(|| panic!("{parts:?} in {:#?}", run.calls))
    });
    assert!(run.output.status.success(), "{:?}", run.output);
    assert!(steps.is_sorted(), "{:#?}", run.calls);
    let in_cluster = run
        .calls
        .iter()
        .filter(|call| !call.starts_with("kustomize"));
    assert!(
        in_cluster
            .into_iter()
            .all(|call| call.starts_with("--context=test "))
    );
}

#[test]
fn a_failed_job_is_named_with_its_reason_and_no_server_is_applied() {
    let failed = "order-service-migrate Complete\norder-service-topics FailureTarget Failed";

    let run = Run::with(failed, true);

    assert_eq!(run.output.status.code(), Some(1));
    assert_eq!(run.position(&APPLY_SERVERS), None, "{:#?}", run.calls);
    let said = run.said();
    assert!(
        said.contains("failed: job order-service-topics: PodFailurePolicy"),
        "{said}"
    );
    assert!(said.contains("No Deployment was changed."), "{said}");
    assert!(!said.contains("job order-service-migrate"), "{said}");
}

#[test]
fn a_job_that_does_not_end_in_time_is_named_and_no_server_is_applied() {
    let run = Run::with(
        "order-service-migrate Complete\norder-service-topics ",
        true,
    );

    assert_eq!(run.output.status.code(), Some(1));
    assert_eq!(run.position(&APPLY_SERVERS), None, "{:#?}", run.calls);
    let said = run.said();
    assert!(
        said.contains("failed: job order-service-topics: not completed in time"),
        "{said}"
    );
}

#[test]
fn nothing_but_the_namespace_is_applied_if_the_server_refuses_an_object() {
    let run = Run::with(COMPLETE, false);

    assert!(!run.output.status.success());
    assert_eq!(
        run.position(&["apply", "--selector"]),
        None,
        "{:#?}",
        run.calls
    );
}

#[test]
fn a_rollout_that_cannot_be_looked_at_is_not_finished() {
    let kubectl = KUBECTL.replace("echo deployment.apps/order-service", "exit 1");

    let run = Run::of(&kubectl, COMPLETE, true);

    assert_eq!(run.output.status.code(), Some(1), "{:?}", run.output);
    assert!(run.position(&APPLY_SERVERS).is_some(), "{:#?}", run.calls);
    assert!(run.said().contains("rollout undo"), "{}", run.said());
}

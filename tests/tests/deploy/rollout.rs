//! The two phases of a release, as `deploy/apply.sh`, Argo CD and Flux run them: first the jobs and what they need, then the
//! servers. A job that fails leaves every server as it was.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use service::command_line::{EXIT_CONFIG, EXIT_USAGE};

use crate::manifests::{Manifests, Object, list, text};
use crate::{SERVICES, project, read};

/// The label of the second phase. `deploy/apply.sh` and `deploy/gitops/flux` select by it.
const SERVERS: (&str, &str) = ("app.kubernetes.io/component", "server");

fn is_in_second_phase(object: &Object) -> bool {
    let (label, value) = SERVERS;
    let labels = object.labels("/metadata/labels");
    labels.get(label).is_some_and(|it| it == value)
}

fn wave(object: &Object) -> Option<i64> {
    let annotations = object.labels("/metadata/annotations");
    let wave = annotations.get("argocd.argoproj.io/sync-wave")?;
    Some(wave.parse().expect("a number"))
}

#[test]
fn the_second_phase_has_the_servers_and_nothing_that_a_job_needs() {
    let manifests = Manifests::production();
    let second: BTreeSet<_> = manifests
        .all()
        .filter(|object| is_in_second_phase(object))
        .map(Object::kind)
        .collect();

    assert_eq!(
        second,
        ["Deployment", "PodDisruptionBudget", "Service"].into()
    );
    for kind in second {
        assert!(manifests.of_kind(kind).all(is_in_second_phase), "{kind}");
    }
}

#[test]
fn the_script_selects_every_job_by_its_label_and_every_server_by_theirs() {
    let script = read("deploy/apply.sh");
    let selects = |selector: &str| assert!(script.contains(selector), "{selector}");
    let (label, value) = SERVERS;
    let components: BTreeSet<_> = Manifests::production()
        .of_kind("Job")
        .map(|job| job.labels("/metadata/labels")[label].clone())
        .collect();
    let jobs = Vec::from_iter(components).join(", ");

    selects(&format!("\nservers=\"{label}={value}\"\n"));
    selects(&format!("\njobs=\"{label} in ({jobs})\"\n"));
    selects(&format!("\nneeds=\"{label} notin ({value}, {jobs})\"\n"));
}

#[test]
fn a_job_with_a_wrong_configuration_fails_at_once() {
    for job in Manifests::production().of_kind("Job") {
        let name = job.name();
        let rule = job.at("/spec/podFailurePolicy/rules/0");

        assert_eq!(rule["action"], "FailJob", "{name}");
        let codes = &rule["onExitCodes"];
        assert_eq!(codes["operator"], "In", "{name}");
        assert_eq!(codes["values"], json!([EXIT_USAGE, EXIT_CONFIG]), "{name}");
        assert_eq!(Some(&codes["containerName"]), job.container("/name"));
        // A restart in the same pod would hide the exit code from the policy.
        assert_eq!(*job.at("/spec/template/spec/restartPolicy"), "Never");
    }
}

#[test]
fn a_job_of_a_drained_node_is_repeated_and_not_counted() {
    for job in Manifests::production().of_kind("Job") {
        let rules = list(job.find("/spec/podFailurePolicy/rules"));
        let drained = json!([{ "type": "DisruptionTarget", "status": "True" }]);

        let ignored =
            |rule: &Value| rule["action"] == "Ignore" && rule["onPodConditions"] == drained;
        assert!(rules.iter().any(ignored), "{}", job.name());
    }
}

/// A controller that keeps the cluster as declared would run a job again that removed itself.
#[test]
fn a_finished_job_stays_until_the_next_release_replaces_it() {
    for job in Manifests::production().of_kind("Job") {
        assert_eq!(job.find("/spec/ttlSecondsAfterFinished"), None);
        let annotations = job.labels("/metadata/annotations");
        for (name, value) in [
            (
                "argocd.argoproj.io/hook-delete-policy",
                "BeforeHookCreation",
            ),
            ("kustomize.toolkit.fluxcd.io/force", "enabled"),
        ] {
            assert_eq!(annotations[name], value, "{}", job.name());
        }
    }
}

#[test]
fn argo_cd_runs_the_jobs_after_what_they_need_and_before_the_servers() {
    let manifests = Manifests::production();
    for object in manifests.all() {
        let expected = match object.kind() {
            "Job" => Some(1),
            "Deployment" => Some(2),
            _ => None,
        };
        assert_eq!(wave(object), expected, "{}", object.name());
    }
    for job in manifests.of_kind("Job") {
        // PreSync would run before there are ConfigMaps and service accounts.
        let hook = job.at("/metadata/annotations/argocd.argoproj.io~1hook");
        assert_eq!(text(hook), "Sync");
    }
}

#[test]
fn flux_runs_the_jobs_with_copies_of_what_they_need_before_it_applies_the_servers() {
    let [jobs, servers] = ["jobs", "servers"]
        .map(|phase| Manifests::of(&project().join("deploy/gitops/flux").join(phase)));

    assert!(!jobs.all().any(is_in_second_phase));
    assert_eq!(jobs.of_kind("Job").count(), 4);
    assert_eq!(servers.of_kind("Job").count(), 0);
    assert_eq!(servers.of_kind("Deployment").count(), SERVICES.len());
    // Two owners of one object would remove it from each other.
    assert!(identities(&jobs).is_disjoint(&identities(&servers)));
    // Panics if a program refers to a ConfigMap that its phase does not have.
    assert_eq!(jobs.launches().len(), 4);
    assert_eq!(servers.launches().len(), SERVICES.len());
    for phase in [&jobs, &servers] {
        for workload in phase.workloads() {
            let account = workload.text("/spec/template/spec/serviceAccountName");
            phase.get("ServiceAccount", account);
        }
    }
}

fn identities(manifests: &Manifests) -> BTreeSet<(&str, &str)> {
    let identity = |object| (Object::kind(object), Object::name(object));
    manifests.all().map(identity).collect()
}

#[test]
fn flux_waits_for_the_jobs_and_finds_both_phases() {
    let objects = Manifests::parse(&read("deploy/gitops/flux/orders.yaml"));
    for object in objects.of_kind("Kustomization") {
        let path = project().join(object.text("/spec/path"));
        assert!(path.join("kustomization.yaml").exists(), "{path:?}");
    }
    let jobs = objects.get("Kustomization", "orders-jobs");
    assert_eq!(*jobs.at("/spec/wait"), true);
    let servers = objects.get("Kustomization", "orders-servers");
    assert_eq!(*servers.at("/spec/dependsOn/0/name"), jobs.name());
}

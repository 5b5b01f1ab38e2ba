//! `deploy/build.sh` with a `docker` that notes what it is asked and answers as BuildKit would. It builds nothing.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::manifests::{list, text};
use crate::stand_in_program::StandInProgram;
use crate::{project, read};

const DOCKER: &str = r#"#!/bin/sh
printf '%s\n' "$*" >>"$CALLS"
case "$*" in
*"imagetools inspect"*) echo sha256:5e1f ;;
esac
while [ $# -gt 0 ]; do
    [ "$1" != --metadata-file ] || printf '{"containerimage.digest": "sha256:c0de"}' >"$2"
    shift
done
"#;

/// A checkout of what the script reads, in which everything is committed.
struct Checkout(TempDir);

impl Checkout {
    fn new() -> Self {
        let checkout = Self(TempDir::new().unwrap());
        fs::create_dir(checkout.path().join("deploy")).unwrap();
        for file in ["deploy/build.sh", "deploy/Dockerfile", "Makefile"] {
            fs::copy(project().join(file), checkout.path().join(file)).unwrap();
        }
        let identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
        checkout.git(&["init", "--quiet"]);
        checkout.git(&["add", "--all"]);
        checkout.git(&[&identity[..], &["commit", "--quiet", "--message=release"]].concat());
        checkout
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let git = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .output()
            .unwrap();
        assert!(git.status.success(), "{git:?}");
        String::from_utf8(git.stdout).unwrap().trim().to_owned()
    }

    /// The calls of docker, and how the script ended.
    fn build(&self) -> (Vec<String>, Output) {
        StandInProgram::new("docker", DOCKER).run(
            Command::new(self.path().join("deploy/build.sh"))
                .args(["registry.example.com/orders", "1.2.0"]),
        )
    }
}

#[test]
fn every_image_of_a_release_has_two_platforms_an_sbom_provenance_and_its_revision() {
    let checkout = Checkout::new();
    let revision = checkout.git(&["rev-parse", "HEAD"]);

    let (calls, output) = checkout.build();

    assert!(output.status.success(), "{output:?}");
    let is_build = |call: &&String| call.starts_with("buildx build ");
    let builds: Vec<_> = calls.iter().filter(is_build).collect();
    let images = ["order-service", "processing-service", "orders-load"];
    assert_eq!(builds.len(), images.len(), "{calls:#?}");
    for (build, image) in builds.into_iter().zip(images) {
        for part in [
            &*format!("--target {image} "),
            "--platform linux/amd64,linux/arm64 ",
            "--sbom=true ",
            "--provenance=mode=max ",
            "@sha256:5e1f --build-arg RUNTIME=",
            &*format!("REVISION={revision} "),
            &*format!("--tag registry.example.com/orders/{image}:1.2.0 "),
            "--push .",
        ] {
            assert!(build.contains(part), "{part} is not in {build}");
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        let digest = format!("{image}=registry.example.com/orders/{image}@sha256:c0de\n");
        assert!(printed.contains(&digest), "{printed}");
    }
}

#[test]
fn a_checkout_with_changes_is_not_released() {
    let checkout = Checkout::new();
    fs::write(checkout.path().join("change"), "").unwrap();

    let (calls, output) = checkout.build();

    assert_eq!(output.status.code(), Some(1));
    assert_eq!(calls, Vec::<String>::new());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("changes that the revision does not name"),
        "{said}"
    );
}

/// The step of the workflow as a runner runs it: a file that it leaves in the checkout would refuse every release.
#[test]
fn the_workflow_builds_a_release_and_keeps_the_list_outside_the_checkout() {
    let workflow: Value = serde_saphyr::from_str(&read(".github/workflows/release.yaml")).unwrap();
    let steps = list(workflow.pointer("/jobs/images/steps"));
    let step = steps.iter().find(|step| step["name"] == "Build and push");
    let script = text(&step.unwrap()["run"]);
    let checkout = Checkout::new();
    let temporary = TempDir::new().unwrap();

    let (_, output) = StandInProgram::new("docker", DOCKER).run(
        Command::new("bash")
            .arg("-ec")
            .arg(script)
            .current_dir(checkout.path())
            .env("RUNNER_TEMP", temporary.path())
            .env("REGISTRY", "registry.example.com/orders")
            .env("TAG", "v1.2.0"),
    );

    assert!(output.status.success(), "{output:?}");
    let images = fs::read_to_string(temporary.path().join("images.txt")).unwrap();
    let digests = images.lines().filter(|line| line.contains("@sha256:c0de"));
    assert_eq!(digests.count(), 3, "{images}");
}

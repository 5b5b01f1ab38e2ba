//! `deploy/build.sh` with a `docker` that notes what it is asked and answers as BuildKit would. It builds nothing.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::project;
use crate::stand_in_program::StandInProgram;

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
        for file in ["deploy/build.sh", "deploy/Dockerfile"] {
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

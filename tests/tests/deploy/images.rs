//! Everything that the Dockerfile copies exists in the tree. The image is not built here.

use crate::compose_file::Compose;
use crate::manifests::Manifests;
use crate::{SERVICES, project, read};

/// The instructions, each on one line.
fn instructions() -> Vec<String> {
    let text = read("deploy/Dockerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    joined
        .lines()
        .map(words)
        .filter(|line| !line.is_empty())
        .collect()
}

fn instruction(beginning: &str) -> String {
    let found = instructions()
        .into_iter()
        .find(|line| line.starts_with(beginning));
    found.unwrap_or_else(|| panic!("the Dockerfile has no {beginning}"))
}

/// The instructions of a stage.
fn stage(name: &str) -> Vec<String> {
    let begins = format!(" AS {name}");
    let from = |line: &String| line.starts_with("FROM ");
    let mut lines = instructions()
        .into_iter()
        .skip_while(|line| !line.ends_with(&begins));
    let first = lines
        .next()
        .unwrap_or_else(|| panic!("the Dockerfile has no stage {name}"));
    std::iter::once(first)
        .chain(lines.take_while(|line| !from(line)))
        .collect()
}

#[test]
fn the_builder_has_the_project_toolchain() {
    let version = instruction("ARG RUST_VERSION=").replace("ARG RUST_VERSION=", "");

    let channel = format!("channel = \"{version}\"");
    assert!(read("rust-toolchain.toml").contains(&channel), "{channel}");
}

#[test]
fn every_copied_path_exists() {
    for line in instructions() {
        let Some(arguments) = line.strip_prefix("COPY ") else {
            continue;
        };
        if let Some(from) = arguments.strip_prefix("--from=") {
            let (stage, paths) = from.split_once(' ').unwrap();
            assert!(
                instructions()
                    .iter()
                    .any(|line| line.ends_with(&format!(" AS {stage}")))
            );
            let built = paths
                .split(' ')
                .next()
                .unwrap()
                .strip_prefix("/out/")
                .unwrap();
            assert!(SERVICES.contains(&built), "{line}");
        } else {
            let sources: Vec<&str> = arguments.split(' ').collect();
            for source in &sources[..sources.len() - 1] {
                assert!(project().join(source).exists(), "{line}");
            }
        }
    }
}

#[test]
fn no_workspace_member_is_excluded_from_the_build_context() {
    let ignored: Vec<String> = read(".dockerignore")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(ToOwned::to_owned)
        .collect();
    let manifest = read("Cargo.toml");
    let (_, members) = manifest.split_once("members = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    for member in members
        .split(',')
        .map(|member| member.trim().trim_matches('"'))
    {
        let above = |path: &String| member == path || member.starts_with(&format!("{path}/"));
        assert!(member.is_empty() || !ignored.iter().any(above), "{member}");
    }
    for needed in ["Cargo.toml", "Cargo.lock"] {
        assert!(!ignored.contains(&needed.to_owned()));
    }
}

#[test]
fn the_build_names_packages_and_features_that_exist() {
    let build = instruction("RUN ");
    for service in SERVICES {
        assert!(build.contains(&format!("--package {service}")), "{build}");
        assert!(build.contains(&format!("{service}/kafka-tls")), "{build}");
        assert!(
            read(&format!("{service}/Cargo.toml")).contains("\nkafka-tls = "),
            "{service}"
        );
    }
    assert!(build.contains("--locked"), "{build}");
}

#[test]
fn an_image_runs_its_service_as_a_numbered_user_that_is_not_root() {
    let user = "USER 65532:65532".to_owned();
    assert!(stage("runtime").contains(&user));
    for service in SERVICES {
        let stage = stage(service);
        assert_eq!(stage[0], format!("FROM runtime AS {service}"));
        let program = format!("/usr/local/bin/{service}");
        assert!(stage.contains(&format!("COPY --from=builder /out/{service} {program}")));
        assert_eq!(
            *stage.last().unwrap(),
            format!("ENTRYPOINT [\"{program}\"]")
        );
    }
    for workload in Manifests::production().workloads() {
        let context = workload.at("/spec/template/spec/securityContext");
        assert_eq!(context["runAsUser"], 65532);
        assert_eq!(context["runAsGroup"], 65532);
    }
}

#[test]
fn compose_builds_the_images_that_it_runs() {
    for (name, container) in Compose::read().ours() {
        let build = &container["build"];
        assert_eq!(build["context"], "..", "{name}");
        assert!(
            project()
                .join(build["dockerfile"].as_str().unwrap())
                .exists(),
            "{name}"
        );
        let target = build["target"].as_str().unwrap();
        assert_eq!(
            container["image"],
            format!("{target}:development"),
            "{name}"
        );
        assert_eq!(stage(target)[0], format!("FROM runtime AS {target}"));
    }
}

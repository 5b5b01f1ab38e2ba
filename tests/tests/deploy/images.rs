//! Everything that the Dockerfile copies exists in the tree. The image is not built here.

use serde_json::json;

use crate::compose_file::Compose;
use crate::manifests::Manifests;
use crate::{SERVICES, project, read};

/// The image of the load test.
const LOAD: &str = "orders-load";

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
            let copied = paths.split(' ').next().unwrap();
            let built = match copied.strip_prefix("/out/") {
                Some(program) => program == LOAD || SERVICES.contains(&program),
                None => (stage, copied) == ("skeleton", "/src"),
            };
            assert!(built, "{line}");
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
fn each_build_names_packages_and_features_that_exist() {
    let runs: Vec<_> = stage("builder")
        .into_iter()
        .filter(|line| line.starts_with("RUN "))
        .collect();
    let [dependencies, programs] = &runs[..] else {
        panic!("two builds: {runs:#?}");
    };
    for service in SERVICES {
        let package = format!("--package {service}");
        let feature = format!("{service}/kafka-tls");
        assert!(programs.contains(&package), "{programs}");
        assert!(programs.contains(&feature), "{programs}");
        let manifest = read(&format!("{service}/Cargo.toml"));
        assert!(manifest.contains("\nkafka-tls = "), "{service}");
    }
    // With other options the dependencies would be built twice.
    let command = dependencies.strip_prefix("RUN ").unwrap();
    assert!(
        programs.contains(&format!(" && {command} && ")),
        "{programs}"
    );
    assert!(
        command.starts_with("cargo build --release --locked "),
        "{command}"
    );
}

#[test]
fn the_dependencies_are_built_before_the_code_is_copied() {
    let builder = stage("builder");
    let position = |beginning: &str| {
        let found = builder.iter().position(|line| line.starts_with(beginning));
        found.unwrap_or_else(|| panic!("the builder has no {beginning}"))
    };

    let steps = [
        "COPY --from=skeleton",
        "RUN cargo build",
        "COPY . .",
        "ARG RELEASE",
        "RUN find . -path ./target -prune",
    ];
    assert!(steps.map(position).is_sorted(), "{builder:#?}");
}

#[test]
fn builder_and_runtime_are_of_the_same_debian_and_a_release_pins_both() {
    let builder = instruction("ARG BUILDER=");
    let runtime = instruction("ARG RUNTIME=");
    let script = read("deploy/build.sh");

    assert!(
        builder.ends_with("-trixie") && runtime.contains("-debian13:"),
        "{builder}, {runtime}"
    );
    assert_eq!(stage("toolchain")[0], "FROM ${BUILDER} AS toolchain");
    assert_eq!(stage("runtime")[0], "FROM ${RUNTIME} AS runtime");
    for name in ["BUILDER", "RUNTIME", "VERSION", "REVISION", "RELEASE"] {
        instruction(&format!("ARG {name}="));
        assert!(
            script.contains(&format!("--build-arg {name}=\"$")),
            "{name}"
        );
    }
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
fn the_load_test_is_built_apart_from_the_services_and_runs_as_their_user() {
    let build = stage("load-builder").join(" ");
    let image = stage(LOAD);

    let program = format!("/usr/local/bin/{LOAD}");
    assert!(
        build.contains("--package tests --bin orders-load"),
        "{build}"
    );
    assert!(!instruction("RUN ").contains("--package tests"));
    assert_eq!(image[0], format!("FROM runtime AS {LOAD}"));
    assert!(image.contains(&format!("COPY --from=load-builder /out/{LOAD} {program}")));
    assert_eq!(
        *image.last().unwrap(),
        format!("ENTRYPOINT [\"{program}\"]")
    );
}

#[test]
fn a_release_builds_and_signs_every_image() {
    let script = read("deploy/build.sh");
    let images = [SERVICES[0], SERVICES[1], LOAD].join(" ");

    let each = format!("\nfor image in {images}; do\n");
    assert!(script.contains(&each), "{each}");
    // What the script prints for an image, and what the workflow takes of it.
    assert!(script.contains("echo \"$image=$registry/$image@$digest\""));
    let signed = r#"sed -n 's/^[a-z-]*=//p' "$RUNNER_TEMP/images.txt""#;
    assert!(read(".github/workflows/release.yaml").contains(signed));
}

#[test]
fn compose_starts_the_load_only_by_its_name_and_restricted() {
    let compose = Compose::read();
    let load = compose.at("/services/orders-load");

    assert_eq!(load["profiles"], json!(["load"]));
    assert_eq!(load["build"]["target"], LOAD);
    assert_eq!(load["read_only"], true);
    assert_eq!(load["cap_drop"], json!(["ALL"]));
}

/// Two builds of one tag export it at the same time, and one of them fails.
#[test]
fn compose_builds_each_image_once_and_never_pulls_it() {
    let containers = Compose::read().ours();
    for service in SERVICES {
        let image = format!("{service}:development");
        let using = containers.iter().filter(|(_, it)| it["image"] == image);
        let (building, others): (Vec<_>, Vec<_>) =
            using.partition(|(_, it)| it["build"].is_object());

        assert_eq!(building.len(), 1, "{service}");
        let (name, container) = building[0];
        assert_eq!(name, service);
        let build = &container["build"];
        assert_eq!(build["context"], "..");
        assert_eq!(build["target"], service);
        assert_eq!(stage(service)[0], format!("FROM runtime AS {service}"));
        let dockerfile = build["dockerfile"].as_str().unwrap();
        assert!(project().join(dockerfile).exists(), "{dockerfile}");
        assert_eq!(others.len(), 2, "the jobs of {service}");
        for (name, job) in others {
            assert_eq!(job["pull_policy"], "never", "{name}");
        }
    }
}

//! Every variable that a manifest sets is a setting of its service.

use anyhow::Result;

use crate::SERVICES;
use crate::components::{TOGETHER, with_components};
use crate::compose_file::Compose;
use crate::launch::Launch;
use crate::manifests::Manifests;
use crate::program::Help;

/// The launches of each deployment: Kubernetes without components, with each set of components, in development, and compose.
fn deployments() -> [Vec<Launch>; 5] {
    [
        Manifests::production().launches(),
        Manifests::dev().launches(),
        with_components(&TOGETHER).launches(),
        with_components(&["auth-url", "openshift"]).launches(),
        Compose::read().launches(),
    ]
}

#[tokio::test]
async fn every_variable_of_the_manifests_is_a_setting_of_its_service() -> Result<()> {
    let mut unknown = Vec::new();
    let launches = deployments().concat();
    for service in SERVICES {
        let help = Help::of(service).await?;
        let settings = help.settings();
        assert!(
            settings.contains("GRPC_LISTEN"),
            "cannot parse the help: {settings:?}"
        );
        for launch in launches.iter().filter(|launch| launch.service == service) {
            let names = launch.environment.keys();
            // The component telemetry refers to fields of the pod in another variable.
            let names = names.filter(|name| !name.starts_with("K8S_"));
            let names = names.filter(|name| !settings.contains(name.as_str()));
            unknown.extend(names.map(|name| format!("{launch}: {name}")));
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    Ok(())
}

#[test]
fn in_production_postgres_and_kafka_connections_are_encrypted_and_no_url_has_a_password() {
    for launch in Manifests::production().launches() {
        let url = launch.required("DATABASE_URL");
        let (user, _) = url
            .strip_prefix("postgres://")
            .unwrap()
            .split_once('@')
            .unwrap();
        assert!(!user.contains(':'), "{launch}: {url}");
        assert!(url.contains("sslmode=verify-full"), "{launch}: {url}");
        assert_eq!(launch.required("KAFKA_SECURITY_PROTOCOL"), "sasl_ssl");
    }
}

#[test]
fn in_production_grpc_reflection_is_off() {
    for launch in Manifests::production().launches() {
        assert_eq!(launch.required("GRPC_REFLECTION"), "false", "{launch}");
    }
}

#[test]
fn every_service_has_a_job_that_migrates_and_one_that_creates_its_topics() {
    for launches in deployments() {
        for service in SERVICES {
            let server = Launch::server(&launches, service);
            for subcommand in ["migrate", "topics"] {
                let job = Launch::job(&launches, service, subcommand);
                assert_eq!(job.environment, server.environment, "{job}");
            }
        }
    }
}

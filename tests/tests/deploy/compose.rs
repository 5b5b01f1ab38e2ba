//! The guarantees of the compose file.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use service::config::FromSetting as _;

use crate::compose_file::Compose;
use crate::launch::Launch;
use crate::manifests::{list, text};
use crate::program::Help;
use crate::{SERVICES, TELEMETRY_FLUSH, read};

#[test]
fn every_port_is_published_on_loopback_only() {
    for (name, container) in Compose::read().containers() {
        for port in list(container.get("ports")) {
            assert!(text(&port).starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
}

#[test]
fn order_service_is_published_where_it_listens() {
    let compose = Compose::read();
    let launches = compose.launches();

    let listen = Launch::server(&launches, "order-service").setting("GRPC_LISTEN");
    let published = compose.at("/services/order-service/ports/0");

    assert_eq!(listen, Some("0.0.0.0:50051"));
    assert_eq!(*published, json!("127.0.0.1:50051:50051"));
}

#[test]
fn order_service_calls_the_address_that_processing_service_listens_on() {
    let compose = Compose::read();
    let launches = compose.launches();

    let address = Launch::server(&launches, "order-service").required("PROCESSING_ADDRESS");
    let listen = Launch::server(&launches, "processing-service").required("GRPC_LISTEN");

    let (_, port) = listen.rsplit_once(':').unwrap();
    assert_eq!(address, format!("http://processing-service:{port}"));
    compose.at("/services/processing-service");
}

#[test]
fn our_containers_are_restricted_and_limited() {
    for (name, container) in Compose::read().ours() {
        assert_eq!(container["read_only"], true, "{name}");
        assert_eq!(container["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(
            container["security_opt"],
            json!(["no-new-privileges:true"]),
            "{name}"
        );
    }
    for (name, container) in Compose::read().containers() {
        let limits = &container["deploy"]["resources"]["limits"];
        assert!(
            limits["memory"].is_string() && limits["cpus"].is_string(),
            "{name}"
        );
    }
}

#[test]
fn a_server_waits_for_all_jobs_and_a_job_for_its_database_or_broker() {
    let compose = Compose::read();
    let jobs: BTreeSet<String> = compose
        .ours()
        .into_iter()
        .filter(|(_, container)| container.get("command").is_some())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(jobs.len(), 4);

    for (name, container) in compose.ours() {
        let waits = container["depends_on"].as_object().unwrap();
        let expected: BTreeSet<String> = match name.split_once('-') {
            Some(("migrate", _)) => BTreeSet::from(["postgres".to_owned()]),
            Some(("topics", _)) => BTreeSet::from(["kafka".to_owned()]),
            _ => jobs.clone(),
        };
        assert_eq!(
            waits.keys().cloned().collect::<BTreeSet<_>>(),
            expected,
            "{name}"
        );
        assert_eq!(container["restart"] == "no", jobs.contains(&name), "{name}");
    }
}

#[tokio::test]
async fn a_container_has_a_grace_period_for_a_whole_stop() -> Result<()> {
    let compose = Compose::read();
    let launches = compose.launches();
    for service in SERVICES {
        let help = Help::of(service).await?;
        let set = Launch::server(&launches, service).setting("SHUTDOWN_GRACE");
        let grace = set.or(help.default("SHUTDOWN_GRACE")).unwrap();
        let stop_grace = compose.at(&format!("/services/{service}/stop_grace_period"));

        let needed = Duration::from_setting(grace).unwrap() + TELEMETRY_FLUSH;
        assert!(
            Duration::from_setting(&text(stop_grace)).unwrap() > needed,
            "{service}"
        );
    }
    Ok(())
}

#[test]
fn the_broker_has_the_version_of_the_tests() {
    let project = read("tests/apache-kafka/pom.xml");
    let (_, version) = project.split_once("<kafka.version>").unwrap();
    let (version, _) = version.split_once('<').unwrap();

    let image = Compose::read().at("/services/kafka/image").clone();

    assert_eq!(image, format!("apache/kafka:{version}"));
}

//! The overlay whose Kafka and PostgreSQL are run by operators: what the components strimzi and cloudnative-pg ask of them is what
//! the programs need, and no more.

use std::collections::{BTreeMap, BTreeSet};

use kafka::topics::{SEGMENT, TopicSpec};
use serde_json::{Value, json};

use crate::launch::Launch;
use crate::manifests::{Manifests, Object, list, text};
use crate::{SERVICES, read};

/// Operations by kind and name of the resource.
type Rights = BTreeMap<(String, String), BTreeSet<String>>;

/// The rights of a user as an object of Strimzi.
fn granted(user: &Object) -> Rights {
    let mut rights = Rights::new();
    for rule in list(user.find("/spec/authorization/acls")) {
        let resource = &rule["resource"];
        let operations = list(rule.get("operations"));
        let key = (text(&resource["type"]), text(&resource["name"]));
        rights.insert(key, operations.iter().map(text).collect());
    }
    rights
}

/// The rights of a user in the table of `deploy/README.md`.
fn documented(user: &str) -> Rights {
    let guide = read("deploy/README.md");
    let row = format!("| `{user}` | `");
    let row = guide.lines().find(|line| line.starts_with(&row)).unwrap();
    let cells: Vec<Vec<String>> = row
        .split('|')
        .map(|cell| cell.split('`').skip(1).step_by(2))
        .map(|names| names.map(str::to_owned).collect())
        .collect();
    // Before the first bar there is an empty cell.
    let [_, _, groups, read, written, _] = &cells[..] else {
        panic!("{row}");
    };
    let mut rights = Rights::new();
    for (kind, names, operations) in [
        ("group", groups, "Read"),
        ("topic", read, "Read Describe DescribeConfigs"),
        ("topic", written, "Write Create Describe DescribeConfigs"),
    ] {
        for name in names {
            let operations = operations.split(' ').map(str::to_owned).collect();
            rights.insert((kind.to_owned(), name.clone()), operations);
        }
    }
    rights
}

#[test]
fn each_kafka_user_has_exactly_the_rights_of_the_table() {
    let manifests = Manifests::staging();
    for service in SERVICES {
        let user = manifests.get("KafkaUser", service);

        assert_eq!(granted(user), documented(service), "{service}");
    }
    assert_eq!(manifests.of_kind("KafkaUser").count(), SERVICES.len());
}

#[test]
fn each_kafka_user_has_the_name_and_the_password_that_its_pods_use() {
    let manifests = Manifests::staging();
    let launches = manifests.launches();
    for service in SERVICES {
        let used = manifests.get("Deployment", service).container("/env");
        let password = list(used)
            .into_iter()
            .find(|it| it["name"] == "KAFKA_SASL_PASSWORD")
            .unwrap();
        let user = manifests.get("KafkaUser", service);

        let launch = Launch::server(&launches, service);
        assert_eq!(launch.required("KAFKA_SASL_USERNAME"), user.name());
        assert_eq!(
            *user.at("/spec/authentication/password/valueFrom"),
            password["valueFrom"]
        );
    }
}

#[test]
fn the_topics_are_those_that_the_jobs_would_create() {
    let manifests = Manifests::staging();
    let launches = manifests.launches();
    let written = [
        ("order-service", order_service::topics::WRITTEN),
        ("processing-service", processing_service::topics::WRITTEN),
    ];
    for (service, specs) in written {
        let launch = Launch::job(&launches, service, "topics");
        for spec in specs {
            let topic = manifests.get("KafkaTopic", spec.name);

            assert_eq!(
                *topic.at("/spec"),
                requested(launch, &spec),
                "{}",
                spec.name
            );
        }
    }
    assert_eq!(manifests.of_kind("KafkaTopic").count(), 4);
}

/// What the job `topics` asks of Kafka.
fn requested(launch: &Launch, spec: &TopicSpec) -> Value {
    let number = |setting| launch.required(setting).parse::<u64>().unwrap();
    json!({
        "partitions": number("KAFKA_TOPIC_PARTITIONS"),
        "replicas": number("KAFKA_TOPIC_REPLICATION"),
        "config": {
            "min.insync.replicas": number("KAFKA_TOPIC_MIN_INSYNC"),
            "retention.ms": u64::try_from(spec.retention.as_millis()).unwrap(),
            "segment.ms": u64::try_from(SEGMENT.as_millis()).unwrap(),
            "cleanup.policy": "delete",
            "max.message.bytes": spec.max_message_bytes,
        },
    })
}

#[test]
fn the_brokers_meet_the_requirements_and_are_where_the_pods_connect() {
    let manifests = Manifests::staging();
    let kafka = manifests.get("Kafka", "kafka");
    let config = kafka.at("/spec/kafka/config");
    let listener = kafka.at("/spec/kafka/listeners/0");

    assert_eq!(config["auto.create.topics.enable"], false);
    assert_eq!(config["unclean.leader.election.enable"], false);
    assert_eq!(config["offsets.retention.minutes"], 43_200);
    assert_eq!(kafka.text("/spec/kafka/authorization/type"), "simple");
    assert_eq!(listener["tls"], true);
    assert_eq!(listener["authentication"]["type"], "scram-sha-512");
    let nodes = manifests.get("KafkaNodePool", "nodes");
    assert_eq!(nodes.number("/spec/replicas"), 3);
    for launch in manifests.launches() {
        let brokers = launch.required("KAFKA_BROKERS");
        // The name that Strimzi gives the Service.
        let service = format!("{}-kafka-bootstrap:{}", kafka.name(), listener["port"]);
        assert_eq!(brokers, service, "{launch}");
        assert_eq!(launch.required("KAFKA_SECURITY_PROTOCOL"), "sasl_ssl");
    }
}

#[test]
fn the_database_confirms_nothing_that_a_standby_lacks_and_each_service_has_a_role_and_a_database() {
    let manifests = Manifests::staging();
    let cluster = manifests.get("Cluster", "postgres");

    assert!(cluster.number("/spec/instances") >= 3);
    assert_eq!(
        *cluster.at("/spec/postgresql/synchronous"),
        json!({ "method": "any", "number": 1, "dataDurability": "required" })
    );
    let created = cluster.at("/spec/bootstrap").to_string();
    for launch in manifests.launches() {
        let url = launch.required("DATABASE_URL");
        let (role, rest) = url
            .strip_prefix("postgres://")
            .unwrap()
            .split_once('@')
            .unwrap();
        let (server, rest) = rest.split_once('/').unwrap();
        let (database, options) = rest.split_once('?').unwrap();
        // The name that CloudNativePG gives the Service of the primary.
        assert_eq!(server, format!("{}-rw:5432", cluster.name()), "{launch}");
        assert!(options.contains("sslmode=verify-full"), "{launch}");
        assert!(created.contains(role), "{role}");
        let closed = format!("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC");
        assert!(created.contains(&closed), "{closed}");
        let roles = list(cluster.find("/spec/managed/roles"));
        let managed = roles.iter().find(|it| it["name"] == role).unwrap();
        let secret = format!("{}-database", launch.service);
        assert_eq!(managed["passwordSecret"]["name"], secret, "{launch}");
    }
}

#[test]
fn the_certificate_authorities_are_those_that_the_operators_create() {
    let manifests = Manifests::staging();
    let names = ["postgres-ca", "kafka-cluster-ca-cert"];
    for workload in manifests.workloads() {
        let sources = list(workload.find("/spec/template/spec/volumes/0/projected/sources"));
        let secrets: Vec<_> = sources
            .iter()
            .map(|it| text(&it["secret"]["name"]))
            .collect();
        assert_eq!(secrets, names, "{}", workload.name());
    }
}

#[test]
fn a_release_waits_for_what_the_operators_make() {
    let manifests = Manifests::staging();
    let awaited: BTreeSet<_> = manifests
        .all()
        .filter(|it| {
            it.labels("/metadata/labels")
                .contains_key("orders/wait-for")
        })
        .map(|it| (it.kind(), it.name()))
        .collect();

    let expected = [
        ("Cluster", "postgres"),
        ("Kafka", "kafka"),
        ("KafkaUser", "order-service"),
        ("KafkaUser", "processing-service"),
    ];
    assert_eq!(awaited, expected.into());
    let script = read("deploy/apply.sh");
    assert!(script.contains("wait --for=condition=Ready"));
}

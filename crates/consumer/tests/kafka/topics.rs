//! The check of topics, and how a service waits for them. The mock cluster cannot create topics on request: that
//! is a system test.

use std::time::Duration;

use kafka::KafkaConfig;
use kafka::topics::{self, TopicsCheck, TopicsConfig};

use mock_kafka::{Broker, PARTITIONS, TOPIC, eventually};

fn expecting(partitions: i32) -> TopicsConfig {
    TopicsConfig {
        partitions: partitions.try_into().unwrap(),
        replication: 1,
        min_insync: 1,
    }
}

/// Nothing listens on port 1.
fn nowhere() -> KafkaConfig {
    KafkaConfig::plaintext("127.0.0.1:1")
}

#[tokio::test]
async fn topics_with_enough_partitions_are_fine() {
    let broker = Broker::start();
    broker.create_topic("grown", PARTITIONS + 1);

    let check = topics::check(&broker.config(), expecting(PARTITIONS), &[TOPIC, "grown"]).await;

    assert_eq!(check, TopicsCheck::Fine);
}

#[tokio::test]
async fn every_topic_that_is_missing_or_too_small_is_named() {
    let broker = Broker::start();

    let expected = PARTITIONS + 1;
    let check = topics::check(&broker.config(), expecting(expected), &[TOPIC, "absent"]).await;

    assert_eq!(
        check,
        TopicsCheck::Wrong(vec![
            format!(
                "topic {TOPIC} has {PARTITIONS} partitions, KAFKA_TOPIC_PARTITIONS expects {expected}"
            ),
            "topic absent is missing".to_owned(),
        ])
    );
}

#[tokio::test]
async fn looking_for_a_topic_does_not_create_it() {
    let broker = Broker::start();
    let check = async || topics::check(&broker.config(), expecting(1), &["absent"]).await;

    check().await;

    assert!(matches!(check().await, TopicsCheck::Wrong(_)));
}

#[tokio::test]
async fn a_broker_that_cannot_be_reached_says_nothing_about_topics_within_bounded_time() {
    let nowhere = nowhere();
    let check = topics::check(&nowhere, expecting(PARTITIONS), &[TOPIC, "absent"]);

    let check = tokio::time::timeout(Duration::from_secs(6), check).await;

    let TopicsCheck::Unreachable(reason) = check.unwrap() else {
        panic!("there was an answer");
    };
    assert!(reason.contains("Connection refused"), "{reason}");
}

#[tokio::test]
async fn a_service_waits_until_its_topics_are_there() {
    let broker = Broker::start();
    let config = broker.config();
    let settling = tokio::spawn(async move {
        topics::settled(&config, expecting(PARTITIONS), &[TOPIC, "late"]).await;
    });
    let waits = eventually("it gives up", async || settling.is_finished());
    let waits = tokio::time::timeout(Duration::from_secs(2), waits).await;
    assert!(
        waits.is_err(),
        "it did not wait for a topic that is missing"
    );

    broker.create_topic("late", PARTITIONS);

    eventually("it is content", async || settling.is_finished()).await;
}

#[tokio::test]
async fn a_service_does_not_wait_for_a_kafka_that_is_away() {
    let nowhere = nowhere();
    let settled = topics::settled(&nowhere, expecting(PARTITIONS), &[TOPIC]);

    let settled = tokio::time::timeout(Duration::from_secs(6), settled).await;

    assert!(settled.is_ok(), "it waited");
}

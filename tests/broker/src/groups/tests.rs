#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use tansu_storage::{BrokerRegistrationRequest, StorageContainer};

use super::*;
use crate::broker::{CLUSTER_ID, NODE_ID, open_storage};

const GROUP: &str = "group";

async fn coordinator(directory: &std::path::Path) -> Groups<StorageContainer> {
    let address = "127.0.0.1:9092".parse().unwrap();
    let storage = open_storage(&directory.join("broker.db"), address).await;
    let storage = storage.unwrap();
    // The library's broker does this before it listens: groups belong to a cluster.
    let registration = BrokerRegistrationRequest {
        broker_id: NODE_ID,
        cluster_id: CLUSTER_ID.to_owned(),
        incarnation_id: uuid::Uuid::nil(),
        rack: None,
    };
    storage.register_broker(registration).await.unwrap();
    Groups::with_storage(storage).unwrap()
}

/// Joins as a client does, in two steps, and returns its member id and the leader.
async fn join(groups: &mut Groups<StorageContainer>) -> (String, String) {
    let (member, _) = join_as(groups, "").await;
    join_as(groups, &member).await
}

async fn join_as(groups: &mut Groups<StorageContainer>, member: &str) -> (String, String) {
    let protocol = JoinGroupRequestProtocol::default().name("range".to_owned());
    let protocols = [protocol];
    let join = groups.join(
        Some("client"),
        GROUP,
        10_000,
        Some(10_000),
        member,
        None,
        "consumer",
        Some(&protocols),
        None,
    );
    match join.await.unwrap() {
        Body::JoinGroupResponse(answer) => (answer.member_id, answer.leader),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_leader_is_followed_until_it_leaves_even_while_the_group_forms() {
    let directory = tempfile::tempdir().unwrap();
    let mut groups = coordinator(directory.path()).await;

    let (first, leader) = join(&mut groups).await;
    assert_eq!(leader, first);
    let (second, leader) = join(&mut groups).await;
    assert_eq!(leader, first);

    groups.leave(GROUP, Some(&first), None).await.unwrap();

    let (again, leader) = join_as(&mut groups, &second).await;
    assert_eq!((again, leader), (second.clone(), second));
}

//! Partitions that move between members while work is in flight, and sessions that are lost.
//!
//! What holds then: nothing is skipped, a commit never passes unfinished work, the events of a key stay in order and are
//! never in flight twice in one member, and partitions that do not move are not disturbed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::group::{Journal, Place, STEP, Squatter, WAIT, start_member};
use mock_kafka::{Broker, PARTITIONS, Running, eventually};

/// A waiting handler never ends within this, so its partition is revoked while it runs.
const SHORT_DRAIN: Duration = Duration::from_millis(200);

/// Handlers that wait for a gate are waited for until the test opens it.
const LONG_DRAIN: Duration = Duration::from_secs(120);

/// In each partition: an event that waits for the gate, one of the same key behind it, and one of another key.
const STUCK: i64 = 0;
const BEHIND: i64 = 1;
const FREE: i64 = 2;

/// Steps of one key that each partition has read before it is told to give up others: while a revoke lasts, nothing new
/// is fetched.
const BACKLOG: usize = 20;

fn steps_key(partition: i32) -> String {
    format!("steps-{partition}")
}

async fn publish_to_each_partition(broker: &Broker) {
    for partition in 0..PARTITIONS {
        let stuck = format!("stuck-{partition}");
        broker.publish_to(partition, &stuck, WAIT).await;
        broker.publish_to(partition, &stuck, "behind").await;
        broker
            .publish_to(partition, &format!("free-{partition}"), "free")
            .await;
    }
}

/// A member that has begun what waits in every partition and has done what does not.
async fn member_in_the_middle_of_work(
    broker: &Broker,
    journal: &Arc<Journal>,
    drain: Duration,
) -> Running {
    publish_to_each_partition(broker).await;
    let member = start_member(broker, drain, journal.member("a"));
    eventually("each partition has an event in flight", async || {
        (0..PARTITIONS).all(|partition| {
            journal.times_begun((partition, STUCK)) == 1
                && journal.times_finished((partition, FREE)) == 1
        })
    })
    .await;
    member
}

/// The invariants after partitions came back to a member in which the handler of their first event is still running,
/// begun under the assignment before; `clock` is a partition that this test has not touched since.
async fn the_old_handler_and_the_new_assignment_keep_out_of_each_others_way(
    broker: &Broker,
    journal: &Journal,
    partition: i32,
    clock: i32,
) {
    let stuck: Place = (partition, STUCK);
    eventually(
        "another key is handled under the new assignment",
        async || journal.times_finished((partition, FREE)) == 2,
    )
    .await;
    assert_eq!(journal.times_begun(stuck), 1, "begun beside itself");

    // The old handler ends: its event is begun anew, since only the new delivery counts.
    journal.open(partition, 1);
    eventually("the event is begun again", async || {
        journal.times_begun(stuck) == 2
    })
    .await;
    assert_eq!(journal.times_finished((partition, BEHIND)), 0, "overtaken");

    // Commits are made for all partitions at once: when the clock's is there, this partition's would be too.
    journal.open(clock, 2);
    eventually("a later completion is committed", async || {
        broker.committed(clock).await > STUCK
    })
    .await;
    assert_eq!(
        broker.committed(partition).await,
        STUCK,
        "a completion under the old assignment was committed"
    );

    journal.open(partition, 1);
    eventually("the partition is done and committed", async || {
        broker.committed(partition).await == FREE + 1
    })
    .await;
    let key = format!("stuck-{partition}");
    assert_eq!(journal.of_key(&key), [WAIT, WAIT, "behind"]);
    assert!(journal.overlaps().is_empty(), "{:?}", journal.overlaps());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_comes_back_while_its_event_is_still_in_flight_waits_for_that_key_only() {
    let broker = Broker::start();
    let journal = Journal::new();
    let member = member_in_the_middle_of_work(&broker, &journal, SHORT_DRAIN).await;

    let squatter = Squatter::join(&broker);
    eventually("a partition moves", async || {
        !squatter.assigned().is_empty()
    })
    .await;
    let moved = squatter.assigned()[0];
    let stayed = (0..PARTITIONS)
        .find(|partition| !squatter.assigned().contains(partition))
        .unwrap();
    assert_eq!(
        broker.committed(moved).await,
        STUCK,
        "unfinished work was committed"
    );
    squatter.leave().await;

    the_old_handler_and_the_new_assignment_keep_out_of_each_others_way(
        &broker, &journal, moved, stayed,
    )
    .await;
    assert_eq!(journal.times_begun((stayed, STUCK)), 1, "it never moved");
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_the_group_went_on_without_commits_no_unfinished_work() {
    let broker = Broker::start();
    let journal = Journal::new();
    // The drain could wait for ever here; partitions that are lost are not drained.
    let member = member_in_the_middle_of_work(&broker, &journal, LONG_DRAIN).await;

    broker.refuse_heartbeat();

    the_old_handler_and_the_new_assignment_keep_out_of_each_others_way(&broker, &journal, 0, 1)
        .await;
    journal.open(2, 2);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_session_expired_commits_no_unfinished_work() {
    let broker = Broker::start();
    let journal = Journal::new();
    let member = member_in_the_middle_of_work(&broker, &journal, LONG_DRAIN).await;
    // The work on one partition can end, so that it is to be seen when all of them are taken away.
    journal.open(2, 1);
    eventually("one partition is done", async || {
        journal.times_finished((2, BEHIND)) == 1
    })
    .await;

    // The fault is an outage that outlasts the session.
    broker.go_away();
    eventually("the session has expired", async || {
        broker.retry_store.times_ended(2) == 1
    })
    .await;
    broker.come_back();

    the_old_handler_and_the_new_assignment_keep_out_of_each_others_way(&broker, &journal, 0, 1)
        .await;
    journal.open_everything();
    member.stop().await;
}

async fn publish_a_step_to_each_partition(broker: &Broker) {
    let all = (0..PARTITIONS).map(async |partition| {
        let key = steps_key(partition);
        broker.publish_to(partition, &key, STEP).await;
    });
    join_all(all).await;
}

/// Lets every partition take one step after another until one of them takes no more: it is being revoked. Returns it
/// after the others have gone on for a while.
async fn until_one_partition_stands_still(broker: &Broker, journal: &Journal) -> i32 {
    const AHEAD: usize = 3;
    let steps_of = |partition| journal.of_key(&steps_key(partition)).len();
    for step in 1.. {
        publish_a_step_to_each_partition(broker).await;
        (0..PARTITIONS).for_each(|partition| journal.take_step(partition));
        eventually("the partitions that stay go on", async || {
            (0..PARTITIONS).filter(|p| steps_of(*p) == step).count() >= 2
        })
        .await;
        if let Some(behind) = (0..PARTITIONS).find(|p| steps_of(*p) + AHEAD <= step) {
            return behind;
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoke_waits_for_the_handler_at_work_while_the_other_partitions_go_on() {
    let broker = Broker::start();
    let journal = Journal::new();
    let member = member_in_the_middle_of_work(&broker, &journal, LONG_DRAIN).await;
    for _ in 0..BACKLOG {
        publish_a_step_to_each_partition(&broker).await;
    }

    // The mock cluster turns a member away whose SyncGroup comes after the leader's. The leader asks for metadata before
    // it sends its own, so slow answers let the others go first.
    broker.delay_answers(Duration::from_millis(100));
    let squatter = Squatter::join(&broker);
    let moving = until_one_partition_stands_still(&broker, &journal).await;
    assert!(squatter.assigned().is_empty(), "given away during its work");

    // The handler ends, so the partition can go: with what was done, and without what had not begun.
    journal.open(moving, 1);
    eventually("the partition moves", async || {
        squatter.assigned() == [moving]
    })
    .await;
    assert_eq!(journal.times_finished((moving, STUCK)), 1);
    assert_eq!(journal.times_begun((moving, BEHIND)), 0, "begun in a drain");
    assert_eq!(
        broker.committed(moving).await,
        BEHIND,
        "an event finished during a revoke was not committed"
    );
    squatter.leave().await;
    journal.open_everything();
    member.stop().await;
}

/// Every offset below the commit was finished before the commit was seen.
async fn commits_pass_no_unfinished_work(broker: &Broker, journal: &Journal) {
    for partition in 0..PARTITIONS {
        let committed = broker.committed(partition).await;
        let done: HashSet<Place> = journal.finished().iter().map(|done| done.place).collect();
        for offset in 0..committed {
            assert!(
                done.contains(&(partition, offset)),
                "partition {partition}: committed {committed}, but {offset} is not done"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_rebalances_skips_nothing_and_keeps_every_key_in_order() {
    const KEYS: usize = 12;
    const MEMBERS: [&str; 4] = ["b", "c", "d", "e"];
    let broker = Broker::start();
    let journal = Journal::new();
    let steady = start_member(&broker, LONG_DRAIN, journal.member("a"));

    let mut published = 0_usize;
    for name in MEMBERS {
        let visitor = start_member(&broker, LONG_DRAIN, journal.member(name));
        let worked = || journal.finished().iter().any(|done| done.member == name);
        while !worked() {
            let key = (published % KEYS).to_string();
            broker.publish(&key, &(published / KEYS).to_string()).await;
            published += 1;
            if published.is_multiple_of(50) {
                commits_pass_no_unfinished_work(&broker, &journal).await;
            }
        }
        if name == "c" {
            broker.refuse_heartbeat();
        }
        visitor.stop().await;
    }

    eventually("every event is handled", async || {
        let firsts = journal.first_of_each();
        firsts.values().map(Vec::len).sum::<usize>() == published
    })
    .await;
    for (key, payloads) in journal.first_of_each() {
        let expected: Vec<String> = (0..payloads.len()).map(|n| n.to_string()).collect();
        assert_eq!(payloads, expected, "key {key}");
    }
    assert!(journal.overlaps().is_empty(), "{:?}", journal.overlaps());
    eventually("everything is committed", async || {
        let mut committed = 0;
        for partition in 0..PARTITIONS {
            committed += broker.committed(partition).await;
        }
        usize::try_from(committed).unwrap() == published
    })
    .await;
    steady.stop().await;
}

//! Leases on PostgreSQL: which relay may publish which shard.

use std::collections::HashSet;

use outbox::Shard;
use outbox::lease::Leases;
use uuid::Uuid;

use mock_kafka::postgres::SharedDatabase;

/// Lets the leases of a member expire, as if it had not renewed them for their term.
async fn let_expire(database: &SharedDatabase, member: Uuid) {
    for statement in [
        "UPDATE outbox_lease SET expires_at = now() - interval '1 ms' WHERE owner = $1",
        "UPDATE outbox_relay SET expires_at = now() - interval '1 ms' WHERE member = $1",
    ] {
        let done = sqlx::query(statement)
            .bind(member)
            .execute(database.pool())
            .await
            .unwrap();
        assert!(done.rows_affected() > 0);
    }
}

#[tokio::test]
async fn a_single_relay_holds_every_shard() {
    let database = SharedDatabase::create().await;
    let grant = database.leases().renew(Uuid::now_v7()).await.unwrap();

    assert_eq!(grant.shards, Shard::all().collect::<Vec<_>>());
    assert_eq!(grant.fair_share, 32);
    assert!(grant.ends.is_some());
}

#[tokio::test]
async fn held_shards_are_not_claimed_and_every_relay_gets_the_fair_share() {
    let database = SharedDatabase::create().await;
    let leases = database.leases();
    let (first, second, third) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    leases.renew(first).await.unwrap();

    let newcomer = leases.renew(second).await.unwrap();
    leases.renew(third).await.unwrap();
    let holder = leases.renew(first).await.unwrap();

    assert_eq!((newcomer.shards.len(), newcomer.fair_share), (0, 16));
    assert_eq!((holder.shards.len(), holder.fair_share), (32, 11));
}

#[tokio::test]
async fn released_shards_are_claimed_up_to_the_fair_share() {
    let database = SharedDatabase::create().await;
    let leases = database.leases();
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let all = leases.renew(first).await.unwrap().shards;
    leases.release(first, &all[10..]).await.unwrap();

    let second = leases.renew(second).await.unwrap();
    let first = leases.renew(first).await.unwrap();

    assert_eq!(second.shards, all[10..26]);
    assert_eq!(first.shards.len(), 16);
}

#[tokio::test]
async fn expired_leases_are_taken_over() {
    let database = SharedDatabase::create().await;
    let leases = database.leases();
    let (dead, heir) = (Uuid::now_v7(), Uuid::now_v7());
    leases.renew(dead).await.unwrap();
    let_expire(&database, dead).await;

    assert_eq!(leases.renew(heir).await.unwrap().shards.len(), 32);
    let returned = leases.renew(dead).await.unwrap();
    assert_eq!((returned.shards.len(), returned.fair_share), (0, 16));
}

#[tokio::test]
async fn expired_leases_that_were_not_claimed_are_renewed() {
    let database = SharedDatabase::create().await;
    let leases = database.leases();
    let member = Uuid::now_v7();
    leases.renew(member).await.unwrap();
    let_expire(&database, member).await;

    assert_eq!(leases.renew(member).await.unwrap().shards.len(), 32);
}

#[tokio::test]
async fn a_relay_that_leaves_releases_all_shards() {
    let database = SharedDatabase::create().await;
    let leases = database.leases();
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    leases.renew(first).await.unwrap();
    leases.leave(first).await.unwrap();

    let grant = leases.renew(second).await.unwrap();
    assert_eq!((grant.shards.len(), grant.fair_share), (32, 32));
}

#[tokio::test]
async fn the_epoch_of_a_shard_counts_its_claims() {
    let database = SharedDatabase::create().await;
    let leases = database.leases();
    for _ in 0..3 {
        let member = Uuid::now_v7();
        leases.renew(member).await.unwrap();
        leases.renew(member).await.unwrap();
        leases.leave(member).await.unwrap();
    }
    let epochs: Vec<i64> = sqlx::query_scalar("SELECT DISTINCT epoch FROM outbox_lease")
        .fetch_all(database.pool())
        .await
        .unwrap();
    assert_eq!(epochs, [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_that_claim_at_the_same_time_never_hold_the_same_shard() {
    let database = SharedDatabase::create().await;
    for _ in 0..20 {
        let claims = (0..5).map(|_| {
            let (leases, member) = (database.leases(), Uuid::now_v7());
            tokio::spawn(async move { (member, leases.renew(member).await.unwrap().shards) })
        });
        let claims = futures::future::join_all(claims).await;
        let mut seen = HashSet::new();
        for (member, shards) in claims.into_iter().map(Result::unwrap) {
            assert!(shards.iter().all(|shard| seen.insert(*shard)));
            database.leases().leave(member).await.unwrap();
        }
        assert!(!seen.is_empty());
    }
}

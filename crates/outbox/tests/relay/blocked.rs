//! What blocked keys do to the backlog that admission is decided by, on both engines.

use outbox::{BLOCKED_APART, Outbox, Shard};

use mock_kafka::postgres::SharedDatabase;
use mock_kafka::{Database, eventually};

use crate::records::records;

/// One more than are apart.
const KEYS: usize = BLOCKED_APART as usize + 1;

/// For an outbox with one event of each of [`KEYS`] keys.
async fn assert_blocked_keys_do_not_count(outbox: &dyn Outbox) {
    let shards: Vec<Shard> = Shard::all().collect();
    let rows = outbox
        .positions(&shards, 0, 10 * BLOCKED_APART)
        .await
        .unwrap();
    let (first, others) = rows.split_at(1);
    assert_eq!(others.len(), BLOCKED_APART as usize);

    outbox.note_blocked(others).await.unwrap();
    eventually("the first event waits for its turn", async || {
        !outbox.backlog(u64::MAX).await.unwrap().oldest.is_zero()
    })
    .await;

    outbox.note_blocked(first).await.unwrap();
    let backlog = outbox.backlog(u64::MAX).await.unwrap();
    assert!(!backlog.oldest.is_zero(), "too many are blocked");

    outbox.delete(first).await.unwrap();
    let backlog = outbox.backlog(u64::MAX).await.unwrap();
    assert_eq!(backlog.rows, u64::from(BLOCKED_APART));
    assert!(backlog.oldest.is_zero(), "{backlog:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocked_keys_do_not_count_for_the_age_of_the_backlog_until_they_are_many() {
    let database = Database::create().await;
    database.write(&records(KEYS, 0..1)).await;
    assert_blocked_keys_do_not_count(&database.outbox()).await;

    let database = SharedDatabase::create().await;
    database.write(&records(KEYS, 0..1)).await;
    assert_blocked_keys_do_not_count(database.outbox().as_ref()).await;
}

//! Retention of the retry store: what an operator has skipped goes, what is work stays.

use std::time::{Duration, SystemTime};

use consumer::ConsumerRetention;
use consumer::retry_store::operations::{Filter, State};
use consumer::retry_store::{KeyState, RetryState};
use sql::retention::{PruneConfig, Pruner};

use super::database::on_every_database;
use super::records::{fault, record};

const DAY: Duration = Duration::from_secs(86_400);

const RETENTION: ConsumerRetention = ConsumerRetention {
    inbox: DAY.saturating_mul(9),
    audit: DAY.saturating_mul(30),
};

const PRUNE: PruneConfig = PruneConfig {
    interval: DAY,
    batch: 100,
};

#[tokio::test]
async fn skipped_events_and_left_attempts_are_pruned_then_the_audit_and_events_that_are_work_stay()
{
    on_every_database(async |database| {
        let (store, operations) = (&*database.retry_store, &*database.operations);
        let skipped = record("a", 1);
        for dead in [&skipped, &record("b", 2)] {
            store.store(dead, &fault(), RetryState::Dead).await.unwrap();
        }
        store.store_behind(&record("b", 3)).await.unwrap();
        let listed = operations.list(&Filter::default(), 10).await.unwrap();
        let id = listed.events[0].id;
        operations.skip(id, "an operator", "tested").await.unwrap();
        store.count_attempt(&record("c", 4)).await.unwrap();
        let pruner = Pruner::new(&database.engine, RETENTION.rules(), PRUNE);
        let now = SystemTime::now();

        let within = pruner.prune(now + DAY * 8).await.unwrap();
        let known = store.store_behind(&skipped).await.unwrap();
        let after = pruner.prune(now + DAY * 10).await.unwrap();
        let audit = operations.audit(10).await.unwrap().len();
        let at_last = pruner.prune(now + DAY * 31).await.unwrap();

        assert!(within.iter().all(|(_, rows)| *rows == 0), "{within:?}");
        assert_eq!(known, KeyState::Blocked);
        let expected = [
            ("inbox", 0),
            ("retry_events", 1),
            ("record_attempts", 1),
            ("retry_audit", 0),
        ];
        assert_eq!(after, expected);
        assert_eq!((audit, at_last[3]), (1, ("retry_audit", 1)));
        let listed = operations.list(&Filter::default(), 10).await.unwrap();
        let states: Vec<_> = listed.events.iter().map(|event| event.state).collect();
        assert_eq!(states, [State::Dead, State::Waiting]);
    })
    .await;
}

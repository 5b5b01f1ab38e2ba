//! Claims: which sweeper may handle an event of the retry store, and when.

use std::time::Duration;

use consumer::retry_store::{Fault, FaultClass, RetryState, Settlement};
use kafka::headers::RecordHeaders;
use kafka::record::Record;

use super::database::on_every_database;
use super::records::{
    DUE, LATER, MANY, OTHER_SWEEPER, SWEEPER, TERM, TOPIC, claim, drain, fault, offsets, record,
    without_key,
};

#[tokio::test]
async fn only_the_head_of_a_key_is_claimed_and_by_one_sweeper() {
    on_every_database(async |database| {
        let other = database.replica().await;
        let retry_store = &*database.retry_store;
        for (key, offset) in [("a", 1), ("b", 2)] {
            let stored = record(key, offset);
            retry_store.store(&stored, &fault(), DUE).await.unwrap();
        }
        retry_store.store_behind(&record("a", 3)).await.unwrap();

        let first = claim(retry_store, SWEEPER).await;
        let second = claim(&*other.retry_store, OTHER_SWEEPER).await;

        assert_eq!(offsets(&first), [1, 2]);
        assert_eq!(offsets(&second), [0; 0]);
    })
    .await;
}

#[tokio::test]
async fn events_behind_a_head_are_not_due() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        let dead = RetryState::Dead;
        retry_store
            .store(&record("a", 1), &fault(), dead)
            .await
            .unwrap();
        retry_store
            .store(&record("b", 2), &fault(), DUE)
            .await
            .unwrap();
        for offset in 3..6 {
            retry_store
                .store_behind(&record("a", offset))
                .await
                .unwrap();
            let behind = record("b", 10 + offset);
            retry_store.store_behind(&behind).await.unwrap();
        }

        assert_eq!(database.rows_that_are_due().await, 1);
    })
    .await;
}

#[tokio::test]
async fn only_heads_are_claimed_even_if_later_events_are_due() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        let dead = RetryState::Dead;
        retry_store
            .store(&record("a", 1), &fault(), dead)
            .await
            .unwrap();
        retry_store
            .store(&record("b", 2), &fault(), DUE)
            .await
            .unwrap();
        for behind in [record("a", 3), record("b", 4)] {
            retry_store.store_behind(&behind).await.unwrap();
        }

        database.all_is_due().await;

        assert_eq!(offsets(&claim(retry_store, SWEEPER).await), [2]);
    })
    .await;
}

#[tokio::test]
async fn no_more_are_claimed_than_asked_for() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        for offset in 1..=3 {
            retry_store
                .store(&without_key(offset), &fault(), DUE)
                .await
                .unwrap();
        }

        let two = retry_store.claim(TOPIC, SWEEPER, 2, TERM).await.unwrap();
        let rest = retry_store.claim(TOPIC, SWEEPER, 2, TERM).await.unwrap();

        assert_eq!((two.len(), rest.len()), (2, 1));
    })
    .await;
}

#[tokio::test]
async fn a_claimed_event_is_the_record_that_was_consumed() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        let hostile = Record {
            key: Some(vec![0, 0xff]),
            timestamp_ms: None,
            headers: vec![
                (b"same".to_vec(), Some(vec![0, 0xfe])),
                (b"same".to_vec(), Some(vec![])),
                (b"null".to_vec(), None),
                (b"x-\xff\xfe".to_vec(), Some(vec![2])),
                (vec![], Some(vec![1])),
            ]
            .into(),
            payload: None,
            ..record("a", 1)
        };
        let empty = Record {
            key: Some(vec![]),
            headers: RecordHeaders::default(),
            payload: Some(vec![]),
            ..record("b", 2)
        };
        for stored in [&hostile, &empty] {
            retry_store.store(stored, &fault(), DUE).await.unwrap();
        }

        let claimed = claim(retry_store, SWEEPER).await;

        assert_eq!(claimed[0].record, hostile);
        assert_eq!(claimed[1].record, empty);
        assert_eq!(claimed[0].fault, Some(fault()));
        assert_eq!((claimed[0].rounds, claimed[0].redrives), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn an_event_that_only_waited_behind_others_has_no_fault() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        retry_store
            .store(&record("a", 1), &fault(), DUE)
            .await
            .unwrap();
        retry_store.store_behind(&record("a", 2)).await.unwrap();
        let head = &claim(retry_store, SWEEPER).await[0];
        let settled = retry_store.settle(head.id, SWEEPER, &Settlement::Handled);
        settled.await.unwrap();

        let next = claim(retry_store, SWEEPER).await;

        assert_eq!(offsets(&next), [2]);
        assert_eq!(next[0].fault, None);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_claimed_before_its_time() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        let stored = record("a", 1);
        retry_store.store(&stored, &fault(), LATER).await.unwrap();

        assert_eq!(claim(retry_store, SWEEPER).await, []);
        database.time_passes().await;
        assert_eq!(offsets(&claim(retry_store, SWEEPER).await), [1]);
    })
    .await;
}

#[tokio::test]
async fn a_failed_round_is_counted_and_keeps_its_place() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        retry_store
            .store(&record("a", 1), &fault(), DUE)
            .await
            .unwrap();
        retry_store.store_behind(&record("a", 2)).await.unwrap();
        let head = claim(retry_store, SWEEPER).await[0].id;
        let worse = Fault {
            attempts: 8,
            last_failed_at: 3_000,
            message: "still away \0".to_owned(),
            ..fault()
        };

        let again = Settlement::Failed(worse, LATER);
        retry_store.settle(head, SWEEPER, &again).await.unwrap();

        assert_eq!(claim(retry_store, SWEEPER).await, []);
        database.time_passes().await;
        let claimed = claim(retry_store, SWEEPER).await;
        assert_eq!(offsets(&claimed), [1]);
        assert_eq!(claimed[0].rounds, 1);
        let known = claimed[0].fault.clone().unwrap();
        assert_eq!(known.attempts, 8);
        assert_eq!(
            (known.first_failed_at, known.last_failed_at),
            (1_000, 3_000)
        );
        assert_eq!(known.message, "still away \u{fffd}");
    })
    .await;
}

#[tokio::test]
async fn a_dead_event_is_not_claimed() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        retry_store
            .store(&record("a", 1), &fault(), DUE)
            .await
            .unwrap();
        let head = claim(retry_store, SWEEPER).await[0].id;

        let dead = Settlement::Failed(fault(), RetryState::Dead);
        retry_store.settle(head, SWEEPER, &dead).await.unwrap();

        database.time_passes().await;
        assert_eq!(claim(retry_store, SWEEPER).await, []);
    })
    .await;
}

#[tokio::test]
async fn a_released_event_is_claimed_again_at_once() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        retry_store
            .store(&record("a", 1), &fault(), DUE)
            .await
            .unwrap();
        let head = claim(retry_store, SWEEPER).await[0].id;

        let settled = retry_store.settle(head, SWEEPER, &Settlement::Released);
        settled.await.unwrap();

        let claimed = claim(retry_store, OTHER_SWEEPER).await;
        assert_eq!(offsets(&claimed), [1]);
        assert_eq!(claimed[0].rounds, 0);
    })
    .await;
}

#[tokio::test]
async fn an_expired_claim_is_taken_over_and_can_no_longer_be_settled() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        retry_store
            .store(&record("a", 1), &fault(), DUE)
            .await
            .unwrap();
        let head = claim(retry_store, SWEEPER).await[0].id;
        database.claims_run_out().await;

        let taken_over = claim(retry_store, OTHER_SWEEPER).await;
        for settlement in [
            Settlement::Handled,
            Settlement::Released,
            Settlement::Failed(fault(), RetryState::Dead),
        ] {
            retry_store
                .settle(head, SWEEPER, &settlement)
                .await
                .unwrap();
        }

        assert_eq!(offsets(&taken_over), [1]);
        database.claims_run_out().await;
        assert_eq!(offsets(&claim(retry_store, OTHER_SWEEPER).await), [1]);
    })
    .await;
}

#[tokio::test]
async fn an_expired_claim_that_was_not_taken_over_is_settled() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        retry_store
            .store(&record("a", 1), &fault(), DUE)
            .await
            .unwrap();
        let head = claim(retry_store, SWEEPER).await[0].id;
        database.claims_run_out().await;

        let settled = retry_store.settle(head, SWEEPER, &Settlement::Handled);
        settled.await.unwrap();

        assert_eq!(drain(retry_store).await, [0; 0]);
    })
    .await;
}

#[tokio::test]
async fn the_longest_delays_do_not_overflow() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        let forever = RetryState::Waiting {
            retry_after: Duration::MAX,
        };
        let waiting = record("a", 1);
        retry_store
            .store(&waiting, &fault(), forever)
            .await
            .unwrap();
        retry_store
            .store(&record("b", 2), &fault(), DUE)
            .await
            .unwrap();

        let claimed = retry_store.claim(TOPIC, SWEEPER, MANY, Duration::MAX).await;

        assert_eq!(offsets(&claimed.unwrap()), [2]);
    })
    .await;
}

#[tokio::test]
async fn a_damaged_row_is_left_out_and_blocks_no_other() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        retry_store.store(&record("a", 1), &fault(), DUE).await.unwrap();
        retry_store.store(&record("b", 2), &fault(), DUE).await.unwrap();
        database
            .execute("UPDATE retry_events SET fault_class = 'of a later release' WHERE record_offset = 1")
            .await;

        assert_eq!(offsets(&claim(retry_store, SWEEPER).await), [2]);
    })
    .await;
}

#[tokio::test]
async fn a_long_error_message_is_cut() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        let endless = Fault {
            class: FaultClass::Rejected,
            message: "ü".repeat(10_000),
            ..fault()
        };
        retry_store
            .store(&record("a", 1), &endless, DUE)
            .await
            .unwrap();

        let claimed = claim(retry_store, SWEEPER).await;

        let message = &claimed[0].fault.as_ref().unwrap().message;
        assert_eq!(message, &"ü".repeat(512));
    })
    .await;
}

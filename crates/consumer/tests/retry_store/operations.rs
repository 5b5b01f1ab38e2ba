//! The operations of an operator.

use consumer::retry_store::operations::{
    Filter, MAX_REDRIVES, OperationError, Operations, OperatorRefusal, RetryEvent, State,
};
use consumer::retry_store::{Fault, FaultClass, KeyState, RetryState, RetryStore, Settlement};

use super::database::{Database, on_every_database};
use super::records::{DUE, LATER, SWEEPER, claim, drain, fault, offsets, record, without_key};

const ACTOR: &str = "an operator";

fn rejected() -> Fault {
    Fault {
        class: FaultClass::Rejected,
        message: "no such order".to_owned(),
        ..fault()
    }
}

/// A dead event of key `a` with one behind it, one of key `b` that waits for its time, and a dead one without a key.
async fn some_events(retry_store: &dyn RetryStore) {
    let dead = RetryState::Dead;
    let (a, b) = (record("a", 1), record("b", 3));
    retry_store.store(&a, &rejected(), dead).await.unwrap();
    retry_store.store_behind(&record("a", 2)).await.unwrap();
    retry_store.store(&b, &fault(), LATER).await.unwrap();
    retry_store
        .store(&without_key(4), &fault(), dead)
        .await
        .unwrap();
}

async fn list(operations: &dyn Operations, filter: Filter) -> Vec<RetryEvent> {
    operations.list(&filter, 100).await.unwrap().events
}

async fn id_of(operations: &dyn Operations, offset: i64) -> i64 {
    let events = list(operations, Filter::default()).await;
    let event = events.iter().find(|event| event.record.offset == offset);
    event.unwrap().id
}

fn places(events: &[RetryEvent]) -> Vec<i64> {
    events.iter().map(|event| event.record.offset).collect()
}

fn refusal(done: Result<(), OperationError>) -> OperatorRefusal {
    match done {
        Err(OperationError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_list_has_all_events_with_their_heads_and_followers() {
    on_every_database(async |database| {
        some_events(&*database.retry_store).await;

        let events = list(&*database.operations, Filter::default()).await;

        assert_eq!(places(&events), [1, 2, 3, 4]);
        let states: Vec<State> = events.iter().map(|event| event.state).collect();
        let (dead, waiting) = (State::Dead, State::Waiting);
        assert_eq!(states, [dead, waiting, waiting, dead]);
        let behind: Vec<u32> = events.iter().map(|event| event.behind).collect();
        assert_eq!(behind, [1, 0, 0, 0]);
        let head = Some(events[0].id);
        assert_eq!((events[0].head, events[1].head), (head, head));
        assert_eq!(events[3].head, None);
        assert_eq!(events[0].fault, Some(rejected()));
        assert_eq!(events[0].record.payload, None);
        assert_eq!(events[0].record.headers, record("a", 1).headers);
    })
    .await;
}

#[tokio::test]
async fn a_list_is_filtered() {
    on_every_database(async |database| {
        some_events(&*database.retry_store).await;
        let operations = &*database.operations;
        let filtered = async |filter| places(&list(operations, filter).await);
        let all = Filter::default;

        let dead = Filter {
            state: Some(State::Dead),
            ..all()
        };
        assert_eq!(filtered(dead).await, [1, 4]);
        let rejected = Filter {
            class: Some(FaultClass::Rejected),
            ..all()
        };
        assert_eq!(filtered(rejected).await, [1]);
        let of_a = Filter {
            key: Some(b"a".to_vec()),
            ..all()
        };
        assert_eq!(filtered(of_a).await, [1, 2]);
        let heads = Filter {
            only_heads: true,
            ..all()
        };
        assert_eq!(filtered(heads).await, [1, 3, 4]);
        let later = Filter {
            after: id_of(operations, 2).await,
            ..all()
        };
        assert_eq!(filtered(later).await, [3, 4]);
        let two = operations.list(&all(), 2).await.unwrap();
        assert_eq!(places(&two.events), [1, 2]);
    })
    .await;
}

#[tokio::test]
async fn one_event_is_shown_with_its_payload() {
    on_every_database(async |database| {
        some_events(&*database.retry_store).await;
        let id = id_of(&*database.operations, 1).await;

        let event = database.operations.get(id).await.unwrap().unwrap();

        assert_eq!(event.record, record("a", 1));
        assert_eq!(database.operations.get(id + 100).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_damaged_row_is_named_and_hides_no_other() {
    on_every_database(async |database| {
        some_events(&*database.retry_store).await;
        let id = id_of(&*database.operations, 1).await;
        database
            .execute("UPDATE retry_events SET fault_class = 'of a later release' WHERE record_offset = 1")
            .await;

        let listing = database.operations.list(&Filter::default(), 100).await;

        let listing = listing.unwrap();
        assert_eq!(listing.damaged, [id]);
        assert_eq!(places(&listing.events), [2, 3, 4]);
        assert!(database.operations.get(id).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_redriven_event_is_handled_and_then_those_behind_it() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        some_events(retry_store).await;
        let id = id_of(&*database.operations, 1).await;

        database.operations.redrive(id, ACTOR, false).await.unwrap();

        let head = claim(retry_store, SWEEPER).await;
        assert_eq!(offsets(&head), [1]);
        assert_eq!((head[0].rounds, head[0].redrives), (0, 1));
        assert_eq!(head[0].record, record("a", 1));
        let settled = retry_store.settle(id, SWEEPER, &Settlement::Handled);
        settled.await.unwrap();
        assert_eq!(drain(retry_store).await, [2]);
    })
    .await;
}

#[tokio::test]
async fn rounds_begin_anew_with_a_redrive() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        retry_store
            .store(&record("a", 1), &fault(), DUE)
            .await
            .unwrap();
        let id = claim(retry_store, SWEEPER).await[0].id;
        let dead = Settlement::Failed(fault(), RetryState::Dead);
        retry_store.settle(id, SWEEPER, &dead).await.unwrap();
        let died = database.operations.get(id).await.unwrap().unwrap();

        database.operations.redrive(id, ACTOR, false).await.unwrap();

        assert_eq!((died.state, died.rounds), (State::Dead, 1));
        assert_eq!(claim(retry_store, SWEEPER).await[0].rounds, 0);
    })
    .await;
}

#[tokio::test]
async fn skipping_lets_the_next_of_the_key_through_and_keeps_the_row() {
    on_every_database(async |database| {
        let retry_store = &*database.retry_store;
        some_events(retry_store).await;
        let id = id_of(&*database.operations, 1).await;

        let skipped = database.operations.skip(id, ACTOR, "a test order");
        skipped.await.unwrap();

        assert_eq!(drain(retry_store).await, [2]);
        let row = database.operations.get(id).await.unwrap().unwrap();
        assert_eq!(row.state, State::Skipped);
        assert_eq!((row.head, row.behind), (None, 0));
        let next = retry_store.store_behind(&record("a", 5)).await.unwrap();
        assert_eq!(next, KeyState::Free);
        let again = retry_store.store_behind(&record("a", 1)).await.unwrap();
        assert_eq!(again, KeyState::Blocked, "a skipped event is not handled");
    })
    .await;
}

#[tokio::test]
async fn only_a_dead_head_is_changed_and_a_refusal_names_the_head() {
    on_every_database(async |database| {
        let operations = &*database.operations;
        some_events(&*database.retry_store).await;
        let (head, behind) = (id_of(operations, 1).await, id_of(operations, 2).await);
        let waiting = id_of(operations, 3).await;

        for (id, expected) in [
            (behind, OperatorRefusal::Behind { id: behind, head }),
            (
                waiting,
                OperatorRefusal::NotDead {
                    id: waiting,
                    state: State::Waiting,
                },
            ),
            (999, OperatorRefusal::Unknown { id: 999 }),
        ] {
            let redriven = operations.redrive(id, ACTOR, true).await;
            assert_eq!(refusal(redriven), expected);
            let skipped = operations.skip(id, ACTOR, "why not").await;
            assert_eq!(refusal(skipped), expected);
        }
        assert_eq!(operations.audit(10).await.unwrap(), []);
        assert_eq!(drain(&*database.retry_store).await, [0; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_skipped_event_is_neither_redriven_nor_skipped_again() {
    on_every_database(async |database| {
        let operations = &*database.operations;
        some_events(&*database.retry_store).await;
        let id = id_of(operations, 1).await;
        operations.skip(id, ACTOR, "a test order").await.unwrap();

        let state = State::Skipped;
        let expected = OperatorRefusal::NotDead { id, state };
        let redriven = operations.redrive(id, ACTOR, true).await;
        assert_eq!(refusal(redriven), expected);
        let skipped = operations.skip(id, ACTOR, "again").await;
        assert_eq!(refusal(skipped), expected);
    })
    .await;
}

async fn dies_and_is_redriven(database: &Database, id: i64, times: u32) {
    let dead = Settlement::Failed(fault(), RetryState::Dead);
    for _ in 0..times {
        database.operations.redrive(id, ACTOR, false).await.unwrap();
        claim(&*database.retry_store, SWEEPER).await;
        let settled = database.retry_store.settle(id, SWEEPER, &dead);
        settled.await.unwrap();
    }
}

#[tokio::test]
async fn after_five_redrives_an_event_is_redriven_only_by_force() {
    on_every_database(async |database| {
        let operations = &*database.operations;
        some_events(&*database.retry_store).await;
        let id = id_of(operations, 1).await;
        dies_and_is_redriven(&database, id, MAX_REDRIVES).await;
        let event = operations.get(id).await.unwrap().unwrap();

        let redrives = MAX_REDRIVES;
        let expected = OperatorRefusal::RedrivenTooOften { id, redrives };
        assert_eq!(event.may_be_redriven(false), Err(expected.clone()));
        assert_eq!(event.may_be_redriven(true), Ok(()));
        let redriven = operations.redrive(id, ACTOR, false).await;
        assert_eq!(refusal(redriven), expected);
        operations.redrive(id, ACTOR, true).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn every_change_is_in_the_audit_latest_first() {
    on_every_database(async |database| {
        let operations = &*database.operations;
        some_events(&*database.retry_store).await;
        let (first, last) = (id_of(operations, 1).await, id_of(operations, 4).await);

        operations.redrive(first, ACTOR, false).await.unwrap();
        operations.skip(last, "another", "a test").await.unwrap();

        let audit = operations.audit(10).await.unwrap();
        let entries: Vec<_> = audit
            .iter()
            .map(|entry| {
                (
                    &*entry.actor,
                    &*entry.action,
                    entry.event_id,
                    &*entry.detail,
                )
            })
            .collect();
        assert_eq!(
            entries,
            [
                (
                    "another",
                    "SKIP",
                    last,
                    "a test (orders[3]@4, retries-spent: the provider is away)"
                ),
                (
                    ACTOR,
                    "REDRIVE",
                    first,
                    "redrive 1 (orders[3]@1, rejected: no such order)"
                ),
            ]
        );
        assert_eq!(audit[1].key.as_deref(), Some(&b"a"[..]));
        assert!(audit[1].at > 1_700_000_000_000);
        assert_eq!(operations.audit(1).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_changed_when_the_audit_cannot_be_written() {
    on_every_database(async |database| {
        let operations = &*database.operations;
        some_events(&*database.retry_store).await;
        let id = id_of(operations, 1).await;
        database
            .execute("ALTER TABLE retry_audit RENAME TO away")
            .await;

        assert!(operations.redrive(id, ACTOR, false).await.is_err());
        assert!(operations.skip(id, ACTOR, "a test").await.is_err());

        let event = operations.get(id).await.unwrap().unwrap();
        assert_eq!((event.state, event.redrives), (State::Dead, 0));
    })
    .await;
}

#[tokio::test]
async fn of_two_operators_one_redrives_and_the_other_is_refused() {
    on_every_database(async |database| {
        let other = database.replica().await;
        some_events(&*database.retry_store).await;
        let id = id_of(&*database.operations, 1).await;

        let (first, second) = tokio::join!(
            database.operations.redrive(id, ACTOR, false),
            other.operations.redrive(id, ACTOR, false),
        );

        let state = State::Waiting;
        let refused = if first.is_ok() { second } else { first };
        assert_eq!(refusal(refused), OperatorRefusal::NotDead { id, state });
        assert_eq!(database.operations.audit(10).await.unwrap().len(), 1);
    })
    .await;
}

//! Records that are no events, or none of this release, and events that the database refuses.

use super::paid_with;
use crate::support::desk::{at_every_desk, placed};
use crate::support::fixture::order;
use consumer::Failure;
use kafka::headers::RecordHeaders;
use kafka::record::Record;
use processing_service::domain::SagaState;
use proto::record;

#[tokio::test]
async fn a_record_that_is_no_event_is_rejected() {
    at_every_desk(&[], async |desk| {
        let order = paid_with("tok_approved");
        let garbage = Record {
            payload: Some(vec![0xFF; 16]),
            ..placed(&order)
        };

        for record in [garbage, Record::default()] {
            let failure = desk.handle(record, &[]).await.unwrap_err();
            assert!(matches!(failure, Failure::Reject(_)), "{failure:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_invalid_order_is_rejected_as_a_dead_letter() {
    at_every_desk(&[("A", 10)], async |desk| {
        let empty = order(&[]);

        let failure = desk.handle(placed(&empty), &[]).await.unwrap_err();

        assert!(matches!(failure, Failure::Reject(_)), "{failure:?}");
        assert_eq!(desk.shop.saga(&empty).await, None);
    })
    .await;
}

/// The headers of the record, with another type.
fn with_type(record: &Record, event_type: &str) -> RecordHeaders {
    let mut headers = record.headers.to_vec();
    for (name, value) in &mut headers {
        if name == b"ce_type" {
            *value = Some(event_type.into());
        }
    }
    headers.into()
}

#[tokio::test]
async fn an_event_of_an_unknown_type_is_ignored() {
    at_every_desk(&[], async |desk| {
        let mut record = placed(&paid_with("tok_approved"));
        record.headers = with_type(&record, "com.example.orders.order-praised.v1");

        desk.handle(record, &[]).await.unwrap();

        assert!(desk.shop.inbox().await.is_empty());
    })
    .await;
}

/// A type that a release to come publishes with the attribute `mustunderstand`, and one with an invalid value of it.
#[tokio::test]
async fn an_event_of_an_unknown_type_that_must_be_understood_waits_for_another_release() {
    at_every_desk(&[], async |desk| {
        let mut record = placed(&paid_with("tok_approved"));
        record.headers = with_type(&record, "com.example.orders.order-reopened.v1");
        let with = |value: &[u8]| {
            let mut record = record.clone();
            let mut headers = record.headers.to_vec();
            headers.push((record::MUST_UNDERSTAND.into(), Some(value.to_vec())));
            record.headers = headers.into();
            record
        };

        desk.handle(with(b"false"), &[]).await.unwrap();
        let waits = desk.handle(with(b"true"), &[]).await.unwrap_err();
        let invalid = desk.handle(with(b"maybe"), &[]).await.unwrap_err();

        assert!(matches!(waits, Failure::Retry(_)), "{waits:?}");
        assert!(matches!(invalid, Failure::Reject(_)), "{invalid:?}");
        assert!(desk.shop.inbox().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_database_error_is_retried() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.shop.database.hide("sagas").await;

        let failure = desk.handle(placed(&order), &[]).await.unwrap_err();
        assert!(matches!(failure, Failure::Retry(_)), "{failure:?}");

        desk.shop.database.show("sagas").await;
        desk.handle(placed(&order), &[]).await.unwrap();
        assert_eq!(desk.shop.saga(&order).await, Some(SagaState::Fulfilled));
    })
    .await;
}

#[tokio::test]
async fn an_event_whose_rows_the_database_refuses_is_rejected() {
    at_every_desk(&[("A", 10)], async |desk| {
        let order = paid_with("tok_approved");
        desk.shop.database.refuse_rows("sagas").await;

        let failure = desk.handle(placed(&order), &[]).await.unwrap_err();

        assert!(matches!(failure, Failure::Reject(_)), "{failure:?}");
        assert_eq!(desk.shop.saga(&order).await, None);
    })
    .await;
}

//! Orders without a final state: the oldest, and their events once more.

use std::slice;

use order_service::domain::{EventType, OrderEvent, OrderId, OrderStatus};
use order_service::store::{NotRepublished, PlaceOrder, Publication};
use outbox::OutboxRow;
use proto::event::{Event as _, OrderEvent as PublishedEvent};
use proto::record;
use uuid::Uuid;

use super::database::{Database, on_every_database};
use super::orders::{at, cancel, outcome, place, request};

fn by_ada() -> Publication<'static> {
    Publication::By {
        actor: "ada",
        at: at(5_000),
    }
}

async fn placed(database: &Database) -> PlaceOrder {
    let command = place(&request("guest", 6));
    let placed = database.store.place(slice::from_ref(&command)).await;
    placed.unwrap();
    command
}

async fn end(database: &Database, order_id: OrderId) {
    let fulfilled = outcome(order_id, 1, OrderEvent::OrderFulfilled);
    database.store.apply(&[fulfilled]).await.unwrap();
}

/// What a consumer compares: the id, the sequence, and the name of the event with its order.
fn identity(row: &OutboxRow) -> (Uuid, u64, &'static str, String) {
    let headers = &row.record.headers;
    let received = record::decode::<PublishedEvent>(headers, Some(&row.record.payload));
    let received = received.unwrap().unwrap();
    let identity = received.event.identity();
    (
        received.meta.id,
        received.meta.sequence,
        identity.name,
        identity.order_id.to_owned(),
    )
}

#[tokio::test]
async fn an_order_is_open_from_its_placement_to_its_final_state() {
    on_every_database(async |database| {
        let open = database.open_orders();
        assert_eq!(open.oldest().await.unwrap(), None);

        let (one, two) = (placed(&database).await, placed(&database).await);
        let (one, two) = (one.order.id, two.order.id);
        assert_eq!(open.oldest().await.unwrap(), Some(at(1_000)));
        assert_eq!(open.list(at(1_000), None, 10).await.unwrap(), [one, two]);
        assert_eq!(open.list(at(1_000), Some(one), 10).await.unwrap(), [two]);
        assert_eq!(open.list(at(1_000), None, 1).await.unwrap(), [one]);
        assert_eq!(open.list(at(999), None, 10).await.unwrap(), []);

        end(&database, one).await;
        assert_eq!(open.list(at(1_000), None, 10).await.unwrap(), [two]);
        end(&database, two).await;
        assert_eq!(open.oldest().await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn the_events_of_an_open_order_are_published_again_as_they_were() {
    on_every_database(async |database| {
        let command = placed(&database).await;
        let order_id = command.order.id;
        let cancellation = cancel(order_id);
        let requested = database.store.cancel(slice::from_ref(&cancellation)).await;
        requested.unwrap();

        let open = database.open_orders();
        let events = open.republish(order_id, by_ada()).await.unwrap().unwrap();

        let types = [EventType::OrderPlaced, EventType::CancellationRequested];
        assert_eq!(events, types);
        let id = order_id.to_string();
        let again: Vec<_> = database
            .outbox()
            .await
            .iter()
            .skip(2)
            .map(identity)
            .collect();
        assert_eq!(
            again,
            [
                (command.event_id, 1, "OrderPlaced", id.clone()),
                (cancellation.event_id, 2, "CancellationRequested", id),
            ]
        );
        let order = database.store.get(order_id, super::NEVER).await.unwrap();
        assert_eq!(order.unwrap().version, 2, "the order is unchanged");
        let [entry] = open.audit(10).await.unwrap().try_into().unwrap();
        assert_eq!((entry.at, &*entry.actor), (5_000, "ada"));
        assert_eq!(entry.order_id, order_id.as_uuid());
        assert_eq!(entry.detail, "OrderPlaced, CancellationRequested");
    })
    .await;
}

/// The payload of the first publication comes from the request, that of the second one from the database.
#[tokio::test]
async fn the_order_that_is_published_again_has_the_lines_and_the_payment_token_of_the_request() {
    on_every_database(async |database| {
        let command = placed(&database).await;

        let open = database.open_orders();
        let again = open.republish(command.order.id, by_ada()).await.unwrap();
        again.unwrap();

        let rows = database.outbox().await;
        let row = rows.last().unwrap();
        let headers = &row.record.headers;
        assert!(record::is_republished(headers));
        let received = record::decode::<PublishedEvent>(headers, Some(&row.record.payload));
        let PublishedEvent::OrderPlaced(event) = received.unwrap().unwrap().event else {
            panic!("{row:?}");
        };
        assert_eq!(event.customer_id, "guest");
        assert_eq!(event.payment_token, "tok_approved");
        assert_eq!(event.lines.len(), 1);
        assert_eq!(event.total.unwrap().minor_units, 1_530);
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_and_a_refusal_write_nothing() {
    on_every_database(async |database| {
        let order_id = placed(&database).await.order.id;
        let open = database.open_orders();
        let before = database.outbox().await.len();

        let dry = open.republish(order_id, Publication::DryRun).await.unwrap();
        assert_eq!(dry.unwrap(), [EventType::OrderPlaced]);
        end(&database, order_id).await;
        let ended = open.republish(order_id, by_ada()).await.unwrap();
        let unknown = OrderId::new(Uuid::now_v7());
        let missing = open.republish(unknown, by_ada()).await.unwrap();

        let fulfilled = OrderStatus::Fulfilled;
        assert_eq!(ended, Err(NotRepublished::Final(order_id, fulfilled)));
        assert_eq!(missing, Err(NotRepublished::Unknown(unknown)));
        assert_eq!(database.outbox().await.len(), before);
        assert_eq!(open.audit(10).await.unwrap(), []);
    })
    .await;
}

//! CheckAvailability from the client's side: answers, and errors when there is no answer.

use std::sync::Arc;

use futures::future::join_all;
use processing_service::rpc::InventoryRpc;
use processing_service::stock_reader::{BOUNDS, StockReader};
use processing_service::store::ProcessingStore;
use proto::inventory::v1::inventory_service_server::InventoryService;
use proto::inventory::v1::{CheckAvailabilityRequest, CheckAvailabilityResponse, Item, ItemStatus};
use sql::group_commit::GroupCommitConfig;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::support::counting_store::CountingStore;
use crate::support::fixture::{Fixture, on_every_database, order};

struct Inventory {
    rpc: InventoryRpc,
    prepared: watch::Sender<bool>,
}

impl Inventory {
    fn of(shop: &Fixture) -> Self {
        Self::with(Arc::clone(&shop.store), BOUNDS)
    }

    fn with(store: Arc<dyn ProcessingStore>, bounds: GroupCommitConfig) -> Self {
        let (prepared, receiver) = watch::channel(true);
        let stock = StockReader::start(store, bounds, &TaskTracker::new());
        let rpc = InventoryRpc {
            stock,
            prepared: receiver,
        };
        Self { rpc, prepared }
    }

    async fn check(&self, items: &[(&str, i32)]) -> Result<CheckAvailabilityResponse, Status> {
        let items = items.iter().map(|&(sku, quantity)| Item {
            sku: sku.to_owned(),
            quantity,
        });
        let request = CheckAvailabilityRequest {
            items: items.collect(),
        };
        let response = self.rpc.check_availability(Request::new(request)).await;
        response.map(tonic::Response::into_inner)
    }
}

fn told(response: &CheckAvailabilityResponse) -> Vec<(&str, ItemStatus, i64)> {
    let items = response.items.iter();
    items
        .map(|item| (item.sku.as_str(), item.status(), item.available_quantity))
        .collect()
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().unwrap().reason.clone()
}

fn says_when_to_come_back(status: &Status) -> bool {
    status.get_error_details().retry_info().is_some()
}

#[tokio::test]
async fn each_item_has_its_availability_in_request_order() {
    on_every_database(&[("A", 10), ("B", 2), ("C", 0)], async |shop| {
        let inventory = Inventory::of(&shop);

        let response = inventory
            .check(&[("B", 3), ("Z", 1), ("A", 10), ("C", 1)])
            .await
            .unwrap();

        assert_eq!(
            told(&response),
            [
                ("B", ItemStatus::OutOfStock, 2),
                ("Z", ItemStatus::UnknownSku, 0),
                // The quantity is not given if there is enough.
                ("A", ItemStatus::Available, 0),
                ("C", ItemStatus::OutOfStock, 0),
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn the_quantities_of_items_of_one_sku_add_up() {
    on_every_database(&[("A", 10)], async |shop| {
        let inventory = Inventory::of(&shop);

        let enough = inventory.check(&[("A", 6), ("A", 4)]).await.unwrap();
        let short = inventory.check(&[("A", 6), ("A", 5)]).await.unwrap();

        assert_eq!(told(&enough), [("A", ItemStatus::Available, 0); 2]);
        assert_eq!(told(&short), [("A", ItemStatus::OutOfStock, 10); 2]);
    })
    .await;
}

#[tokio::test]
async fn what_is_reserved_cannot_be_had_and_a_look_reserves_nothing() {
    on_every_database(&[("A", 10)], async |shop| {
        let inventory = Inventory::of(&shop);
        shop.reserve(&order(&[("A", 4)])).await;

        for _ in 0..3 {
            let response = inventory.check(&[("A", 6)]).await.unwrap();
            assert_eq!(told(&response), [("A", ItemStatus::Available, 0)]);
        }
        let response = inventory.check(&[("A", 7)]).await.unwrap();

        assert_eq!(told(&response), [("A", ItemStatus::OutOfStock, 6)]);
        assert_eq!(shop.stock("A").await, (6, 4, 0));
    })
    .await;
}

#[tokio::test]
async fn concurrent_calls_each_get_their_own_answer() {
    on_every_database(&[("A", 10), ("B", 20)], async |shop| {
        let inventory = Inventory::of(&shop);
        let asked: Vec<_> = (1..=200)
            .map(|pieces| (["A", "B", "Z"][pieces as usize % 3], pieces))
            .collect();

        let items: Vec<_> = asked.iter().map(|&item| [item]).collect();
        let answers = join_all(items.iter().map(|item| inventory.check(item))).await;

        for ((sku, pieces), answer) in asked.into_iter().zip(answers) {
            let expected = match sku {
                "A" if pieces > 10 => (sku, ItemStatus::OutOfStock, 10),
                "B" if pieces > 20 => (sku, ItemStatus::OutOfStock, 20),
                "Z" => (sku, ItemStatus::UnknownSku, 0),
                _ => (sku, ItemStatus::Available, 0),
            };
            assert_eq!(told(&answer.unwrap()), [expected], "{pieces}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_burst_of_calls_is_a_handful_of_statements() {
    on_every_database(&[("A", 10)], async |shop| {
        let store = Arc::new(CountingStore::new(&shop.store));
        let inventory = Inventory::with(store.clone(), BOUNDS);

        let answers = join_all((0..1_000).map(|_| inventory.check(&[("A", 1)]))).await;

        assert!(answers.iter().all(Result::is_ok));
        assert!(store.reads() <= 6, "{} looks", store.reads());
    })
    .await;
}

#[tokio::test]
async fn an_invalid_request_is_refused_with_all_violations() {
    on_every_database(&[("A", 10)], async |shop| {
        let inventory = Inventory::of(&shop);

        let status = inventory
            .check(&[("A", 0), ("", 1), ("A", 1)])
            .await
            .unwrap_err();

        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason(&status), "INVALID_REQUEST");
        let details = status.get_error_details();
        let faults = &details.bad_request().unwrap().field_violations;
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["items[0].quantity", "items[1].sku"]);
    })
    .await;
}

#[tokio::test]
async fn before_the_stock_is_seeded_nothing_is_called_unknown() {
    on_every_database(&[], async |shop| {
        let inventory = Inventory::of(&shop);
        inventory.prepared.send_replace(false);

        let early = inventory.check(&[("A", 1)]).await.unwrap_err();
        shop.seed(&[("A", 1)]).await;
        inventory.prepared.send_replace(true);
        let later = inventory.check(&[("A", 1)]).await.unwrap();

        assert_eq!(early.code(), Code::Unavailable);
        assert_eq!(reason(&early), "STARTING");
        assert!(says_when_to_come_back(&early));
        assert_eq!(told(&later), [("A", ItemStatus::Available, 0)]);
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_away_is_unavailable_and_says_nothing_of_itself() {
    on_every_database(&[("A", 10)], async |shop| {
        let inventory = Inventory::of(&shop);
        shop.database.database().close().await;

        let answers = join_all((0..3).map(|_| inventory.check(&[("A", 1)]))).await;

        for answer in answers {
            let status = answer.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable);
            assert_eq!(reason(&status), "STORE_UNAVAILABLE");
            assert_eq!(status.message(), "the database does not answer");
            assert!(says_when_to_come_back(&status));
        }
    })
    .await;
}

#[tokio::test]
async fn more_calls_than_can_wait_are_refused_at_once() {
    on_every_database(&[("A", 10)], async |shop| {
        let bounds = GroupCommitConfig {
            max_batch: 1,
            queue: 1,
            writers: 1,
        };
        let inventory = Inventory::with(Arc::clone(&shop.store), bounds);

        let answers = join_all((0..3).map(|_| inventory.check(&[("A", 1)]))).await;

        assert!(answers[0].is_ok());
        let status = answers[2].as_ref().unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(reason(status), "OVERLOADED");
        assert!(says_when_to_come_back(status));
    })
    .await;
}

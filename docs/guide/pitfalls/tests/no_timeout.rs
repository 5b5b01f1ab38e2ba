//! Pitfall: a call without a timeout.
//!
//! A dependency that hangs is worse than one that is down: it refuses nothing. Each call to it keeps the place of its caller, a
//! connection, a task, a slot of a pool. When all places are taken, requests that do not need the dependency at all are
//! refused too: one slow service has stopped another.
//!
//! The right way is a deadline on every call. In this system: `service::deadline`, the client in `crates/grpc/src/client.rs`
//! (no call takes longer than its deadline), and the layer `crates/grpc/src/server/deadlines.rs`.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use proto::inventory::v1::CheckAvailabilityRequest;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use service::deadline::Deadline;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

/// Requests that the service works on at once.
const PLACES: usize = 4;

/// A service with a limited number of places. Some of its requests need the stock, which is at another service.
#[derive(Clone)]
struct Shop {
    places: Arc<Semaphore>,
    inventory: InventoryServiceClient<Channel>,
}

impl Shop {
    /// WRONG: waits for as long as the other service likes.
    async fn order_without_timeout(mut self) -> &'static str {
        let _place = self.places.acquire().await.unwrap();
        let call = self
            .inventory
            .check_availability(CheckAvailabilityRequest::default());
        match call.await {
            Ok(_) => "in stock",
            Err(_) => "not known",
        }
    }

    /// RIGHT: goes on without the answer when it is late.
    async fn order_with_deadline(mut self) -> &'static str {
        let _place = self.places.acquire().await.unwrap();
        let call = self
            .inventory
            .check_availability(CheckAvailabilityRequest::default());
        match Deadline::within(Duration::from_millis(50))
            .bound(call)
            .await
        {
            Ok(Ok(_)) => "in stock",
            Ok(Err(_)) | Err(_) => "not known",
        }
    }

    /// Needs nothing but a place.
    async fn front_page(&self) -> &'static str {
        let _place = self.places.acquire().await.unwrap();
        "welcome"
    }
}

/// A shop whose dependency hangs: connections are taken by the kernel, and no byte ever comes back. The listener must live.
async fn shop_beside_a_hanging_service() -> (Shop, TcpListener) {
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", hanging.local_addr().unwrap());
    let channel = Endpoint::from_shared(address).unwrap().connect_lazy();
    let shop = Shop {
        places: Arc::new(Semaphore::new(PLACES)),
        inventory: InventoryServiceClient::new(channel),
    };
    (shop, hanging)
}

async fn until_all_places_are_taken(shop: &Shop) {
    while shop.places.available_permits() > 0 {
        yield_now().await;
    }
}

/// The clock of the test jumps over waits: an hour passes at once when nothing else can happen.
const AN_HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn without_a_timeout_a_few_calls_stop_the_whole_service() {
    let (shop, _hanging) = shop_beside_a_hanging_service().await;
    let calls: Vec<_> = (0..PLACES)
        .map(|_| tokio::spawn(shop.clone().order_without_timeout()))
        .collect();
    until_all_places_are_taken(&shop).await;

    let front_page = timeout(AN_HOUR, shop.front_page()).await;

    assert!(front_page.is_err(), "answered: {front_page:?}");
    assert!(calls.iter().all(|call| !call.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn with_a_deadline_every_place_is_free_again_in_time() {
    let (shop, _hanging) = shop_beside_a_hanging_service().await;
    let calls: Vec<_> = (0..PLACES)
        .map(|_| tokio::spawn(shop.clone().order_with_deadline()))
        .collect();
    until_all_places_are_taken(&shop).await;

    let front_page = timeout(Duration::from_secs(1), shop.front_page()).await;

    assert_eq!(front_page, Ok("welcome"));
    for call in calls {
        assert_eq!(call.await.unwrap(), "not known");
    }
}

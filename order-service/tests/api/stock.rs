//! A fake InventoryService: it returns the response that a test sets, immediately, late or never.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proto::inventory::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use proto::inventory::v1::{
    CheckAvailabilityRequest, CheckAvailabilityResponse, ItemAvailability, ItemStatus,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// The status of every item in the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Available,
    /// One piece is left, whatever is asked for.
    OnePieceLeft,
    UnknownSku,
    /// Nothing, for as long as the caller waits.
    Nothing,
}

/// A running stand-in; clones speak of the same one.
#[derive(Clone)]
pub(crate) struct Stock {
    pub(crate) address: SocketAddr,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
}

impl Stock {
    pub(crate) async fn that_says(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stock = Self {
            address: listener.local_addr().unwrap(),
            says: Arc::new(Mutex::new(says)),
            asked: Arc::default(),
        };
        let service = InventoryServiceServer::new(stock.clone());
        let serving = Server::builder().add_service(service);
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        stock
    }

    /// From now on.
    pub(crate) fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// The setting that makes order-service ask it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

#[tonic::async_trait]
impl InventoryService for Stock {
    async fn check_availability(
        &self,
        request: Request<CheckAvailabilityRequest>,
    ) -> Result<Response<CheckAvailabilityResponse>, Status> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let says = *self.says.lock().unwrap();
        let (status, available_quantity) = match says {
            Says::Available => (ItemStatus::Available, 0),
            Says::OnePieceLeft => (ItemStatus::OutOfStock, 1),
            Says::UnknownSku => (ItemStatus::UnknownSku, 0),
            Says::Nothing => std::future::pending().await,
        };
        let items = request.into_inner().items;
        let items = items.into_iter().map(|item| ItemAvailability {
            sku: item.sku,
            status: status.into(),
            available_quantity,
        });
        Ok(Response::new(CheckAvailabilityResponse {
            items: items.collect(),
        }))
    }
}

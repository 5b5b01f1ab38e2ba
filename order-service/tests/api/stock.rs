//! A fake InventoryService: it returns the response that a test sets, immediately, late or never.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proto::inventory::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use proto::inventory::v1::{
    CheckAvailabilityRequest, CheckAvailabilityResponse, ItemAvailability, ItemStatus,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
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
    /// What it says next, as soon as the test lets it.
    Later,
    /// An error that is not retried and counts in the breaker.
    Error,
    /// Refuses requests of several items as invalid.
    OnlyOneItem,
}

/// A running stand-in; clones speak of the same one.
#[derive(Clone)]
pub(crate) struct Stock {
    pub(crate) address: SocketAddr,
    says: watch::Sender<Says>,
    asked: Arc<AtomicUsize>,
}

impl Stock {
    pub(crate) async fn that_says(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stock = Self {
            address: listener.local_addr().unwrap(),
            says: watch::Sender::new(says),
            asked: Arc::default(),
        };
        let service = InventoryServiceServer::new(stock.clone());
        let serving = Server::builder().add_service(service);
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        stock
    }

    /// From now on.
    pub(crate) fn say(&self, says: Says) {
        self.says.send_replace(says);
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
        let items = request.into_inner().items;
        let mut says = self.says.subscribe();
        let said = *says.wait_for(|says| *says != Says::Later).await.unwrap();
        let (status, available_quantity) = match said {
            Says::OnlyOneItem if items.len() > 1 => {
                return Err(Status::invalid_argument("one item"));
            }
            Says::Error => return Err(Status::internal("a defect")),
            Says::Available | Says::OnlyOneItem => (ItemStatus::Available, 0),
            Says::OnePieceLeft => (ItemStatus::OutOfStock, 1),
            Says::UnknownSku => (ItemStatus::UnknownSku, 0),
            Says::Nothing | Says::Later => std::future::pending().await,
        };
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

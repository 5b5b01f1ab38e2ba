//! The gRPC API, one file per method, all of one shape: parse → read → reply.

use proto::inventory::v1 as messages;
use proto::inventory::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::stock_reader::StockReader;

mod check_availability;

mod status;

pub use check_availability::{AvailabilityQuery, parse_check_availability};
pub use status::RpcError;

use check_availability::MAX_REQUEST_BYTES;

/// The dependencies of the methods.
#[derive(Clone, Debug)]
pub struct InventoryRpc {
    pub stock: StockReader,
    /// True once the stock is seeded.
    pub prepared: watch::Receiver<bool>,
}

impl InventoryRpc {
    pub fn into_server(self) -> InventoryServiceServer<Self> {
        InventoryServiceServer::new(self).max_decoding_message_size(MAX_REQUEST_BYTES)
    }
}

#[tonic::async_trait]
impl InventoryService for InventoryRpc {
    async fn check_availability(
        &self,
        request: Request<messages::CheckAvailabilityRequest>,
    ) -> Result<Response<messages::CheckAvailabilityResponse>, Status> {
        let (stock, is_prepared) = (&self.stock, *self.prepared.borrow());
        let query = request.get_ref();
        let response = check_availability::check_availability(stock, is_prepared, query).await?;
        Ok(Response::new(response))
    }
}

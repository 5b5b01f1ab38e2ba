//! What this service answers at once. One file per method, all of one shape: parse, look, reply.

use proto::inventory::v1 as messages;
use proto::inventory::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use service::error_chain::ErrorChain;
use sql::group_commit::SubmitError;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::stock_reader::StockReader;
use crate::store::StoreError;

mod check_availability;

mod status;

pub use check_availability::{Asked, parse_check_availability};
pub use status::RpcError;

/// Largest request message: 500 items with the longest names need some 40 KiB.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// What the methods work with.
#[derive(Clone, Debug)]
pub struct InventoryRpc {
    /// Where the stock is read.
    pub stock: StockReader,
    /// True once the stock is seeded.
    pub prepared: watch::Receiver<bool>,
}

impl InventoryRpc {
    /// The service as a route for the server.
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
        let response = check_availability::check_availability(self, request.get_ref()).await?;
        Ok(Response::new(response))
    }
}

/// What a caller may know of a failed look; the log gets the rest.
fn look_failed(error: SubmitError<StoreError>) -> RpcError {
    match error {
        SubmitError::QueueFull => RpcError::Overloaded,
        SubmitError::Stopped => RpcError::ShuttingDown,
        // One caller of the batch has logged the reason.
        SubmitError::BatchFailed => RpcError::StoreUnavailable,
        SubmitError::Failed(error) if error.is_transient() => {
            tracing::warn!(error = %ErrorChain(&error), "stock could not be read");
            RpcError::StoreUnavailable
        }
        SubmitError::Failed(error) => {
            tracing::error!(error = %ErrorChain(&error), "stock could not be read");
            RpcError::Internal
        }
    }
}

//! The gRPC API, one file per method, all of one shape: parse → work → reply.
//!
//! CheckAvailability is the quick query of order-service. ProcessOrder runs a whole order inside of the call; it is served only
//! for the comparison of both ways.

use proto::inventory::v1 as inventory;
use proto::inventory::v1::inventory_service_server::{InventoryService, InventoryServiceServer};
use proto::processing::v1 as processing;
use proto::processing::v1::processing_service_server::{
    ProcessingService, ProcessingServiceServer,
};
use service::deadline::Deadline;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};

use crate::steps::Pipeline;
use crate::stock_reader::StockReader;

mod check_availability;
mod process_order;

mod status;

pub use check_availability::{AvailabilityQuery, parse_check_availability};
pub use process_order::parse_process_order;
pub use status::RpcError;

/// The dependencies of CheckAvailability.
#[derive(Clone, Debug)]
pub struct InventoryRpc {
    pub stock: StockReader,
    /// True once the stock is seeded.
    pub prepared: watch::Receiver<bool>,
}

impl InventoryRpc {
    pub fn into_server(self) -> InventoryServiceServer<Self> {
        InventoryServiceServer::new(self)
            .max_decoding_message_size(check_availability::MAX_REQUEST_BYTES)
    }
}

#[tonic::async_trait]
impl InventoryService for InventoryRpc {
    async fn check_availability(
        &self,
        request: Request<inventory::CheckAvailabilityRequest>,
    ) -> Result<Response<inventory::CheckAvailabilityResponse>, Status> {
        let (stock, is_prepared) = (&self.stock, *self.prepared.borrow());
        let query = request.get_ref();
        let response = check_availability::check_availability(stock, is_prepared, query).await?;
        Ok(Response::new(response))
    }
}

/// The dependencies of ProcessOrder.
#[derive(Clone, Debug)]
pub struct ProcessingRpc {
    pub pipeline: Pipeline,
    /// Tracks the orders in progress, which can outlive their calls.
    pub tasks: TaskTracker,
    /// True once the stock is seeded.
    pub prepared: watch::Receiver<bool>,
}

impl ProcessingRpc {
    pub fn into_server(self) -> ProcessingServiceServer<Self> {
        ProcessingServiceServer::new(self)
            .max_decoding_message_size(process_order::MAX_REQUEST_BYTES)
    }
}

#[tonic::async_trait]
impl ProcessingService for ProcessingRpc {
    async fn process_order(
        &self,
        request: Request<processing::ProcessOrderRequest>,
    ) -> Result<Response<processing::ProcessOrderResponse>, Status> {
        if !*self.prepared.borrow() {
            return Err(RpcError::Starting.into());
        }
        let deadline = request.extensions().get::<Deadline>().copied();
        let deadline = deadline.unwrap_or(Deadline::NEVER);
        let (pipeline, tasks, order) = (&self.pipeline, &self.tasks, request.get_ref());
        let response = process_order::process_order(pipeline, tasks, deadline, order).await?;
        Ok(Response::new(response))
    }
}

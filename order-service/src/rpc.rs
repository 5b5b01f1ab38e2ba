//! The gRPC API. One file per method, all of one shape: parse → decide → persist → reply.

use proto::orders::v1 as messages;
use proto::orders::v1::order_service_server::{OrderService, OrderServiceServer};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

mod order_rpc;

mod place_order;

mod get_order;

mod list_orders;
mod page_token;

mod watch_order;

mod cancel_order;

mod status;

#[cfg(test)]
mod tests;

pub use list_orders::parse_list_orders;
pub use order_rpc::OrderRpc;
pub use page_token::{InvalidPageToken, PageToken};
pub use place_order::parse_place_order;
pub use status::RpcError;
pub use watch_order::parse_watch_order;

use order_rpc::Call;

/// Largest request message: 500 lines with the longest names need some 50 KiB.
const MAX_REQUEST_BYTES: usize = 256 * 1024;

impl OrderRpc {
    /// The service as a route for the server.
    pub fn into_server(self) -> OrderServiceServer<Self> {
        OrderServiceServer::new(self).max_decoding_message_size(MAX_REQUEST_BYTES)
    }
}

#[tonic::async_trait]
impl OrderService for OrderRpc {
    async fn place_order(
        &self,
        request: Request<messages::PlaceOrderRequest>,
    ) -> Result<Response<messages::PlaceOrderResponse>, Status> {
        let call = Call::of(&request)?;
        self.reply(place_order::place_order(self, &call, request.into_inner()).await)
    }

    async fn get_order(
        &self,
        request: Request<messages::GetOrderRequest>,
    ) -> Result<Response<messages::GetOrderResponse>, Status> {
        let call = Call::of(&request)?;
        self.reply(get_order::get_order(self, &call, request.get_ref()).await)
    }

    async fn list_orders(
        &self,
        request: Request<messages::ListOrdersRequest>,
    ) -> Result<Response<messages::ListOrdersResponse>, Status> {
        let call = Call::of(&request)?;
        self.reply(list_orders::list_orders(self, &call, request.into_inner()).await)
    }

    type WatchOrderStream = BoxStream<messages::WatchOrderResponse>;

    async fn watch_order(
        &self,
        request: Request<messages::WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let call = Call::of(&request)?;
        self.reply(watch_order::watch_order(self, &call, request.get_ref()).await)
    }

    async fn cancel_order(
        &self,
        request: Request<messages::CancelOrderRequest>,
    ) -> Result<Response<messages::CancelOrderResponse>, Status> {
        let call = Call::of(&request)?;
        self.reply(cancel_order::cancel_order(self, &call, request.get_ref()).await)
    }
}

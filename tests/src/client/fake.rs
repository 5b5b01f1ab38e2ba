//! A fake order-service made of closures, so that a test states its behaviour in a few lines.

use std::pin::Pin;

use futures::{Stream, stream};
use proto::orders::v1::order_service_server::{OrderService, OrderServiceServer};
use proto::orders::v1::{
    CancelOrderRequest, CancelOrderResponse, GetOrderRequest, GetOrderResponse, ListOrdersRequest,
    ListOrdersResponse, Order, OrderHistoryEntry, OrderStatus, PlaceOrderRequest,
    PlaceOrderResponse, RejectionReason, WatchOrderRequest, WatchOrderResponse,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

type FakeAnswer<Q, A> = Box<dyn Fn(Q) -> A + Send + Sync>;

/// The handlers of the fake service. A watch streams its entries and then ends.
pub(crate) struct Fake {
    pub(crate) place: FakeAnswer<PlaceOrderRequest, Result<Order, Status>>,
    pub(crate) get: FakeAnswer<GetOrderRequest, Result<Order, Status>>,
    pub(crate) list: FakeAnswer<ListOrdersRequest, Result<ListOrdersResponse, Status>>,
    pub(crate) cancel: FakeAnswer<CancelOrderRequest, Result<Order, Status>>,
    pub(crate) watch: FakeAnswer<WatchOrderRequest, Vec<Result<OrderHistoryEntry, Status>>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            place: Box::new(|_| Err(Status::unimplemented("place"))),
            get: Box::new(|_| Err(Status::unimplemented("get"))),
            list: Box::new(|_| Err(Status::unimplemented("list"))),
            cancel: Box::new(|_| Err(Status::unimplemented("cancel"))),
            watch: Box::new(|_| vec![Err(Status::unimplemented("watch"))]),
        }
    }
}

impl Fake {
    /// Serves on a free port until the test's runtime ends; returns the address.
    pub(crate) async fn serve(self) -> String {
        self.serve_if(Ok).await
    }

    /// Like [`Fake::serve`], but only for calls that pass this check.
    pub(crate) async fn serve_if(
        self,
        check: impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + 'static,
    ) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = OrderServiceServer::with_interceptor(self, check);
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        format!("http://{address}")
    }
}

/// An entry of a history.
pub(crate) fn entry(version: i64, event: &str, status: OrderStatus) -> OrderHistoryEntry {
    OrderHistoryEntry {
        version,
        event_type: event.into(),
        status: status.into(),
        rejection_reason: match status {
            OrderStatus::Rejected => RejectionReason::OutOfStock.into(),
            _ => 0,
        },
        ..OrderHistoryEntry::default()
    }
}

#[tonic::async_trait]
impl OrderService for Fake {
    async fn place_order(
        &self,
        request: Request<PlaceOrderRequest>,
    ) -> Result<Response<PlaceOrderResponse>, Status> {
        let order = Some((self.place)(request.into_inner())?);
        Ok(Response::new(PlaceOrderResponse { order }))
    }

    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<GetOrderResponse>, Status> {
        let order = Some((self.get)(request.into_inner())?);
        Ok(Response::new(GetOrderResponse { order }))
    }

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        (self.list)(request.into_inner()).map(Response::new)
    }

    type WatchOrderStream = Pin<Box<dyn Stream<Item = Result<WatchOrderResponse, Status>> + Send>>;

    async fn watch_order(
        &self,
        request: Request<WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let entries = (self.watch)(request.into_inner()).into_iter();
        let messages = entries.map(|entry| {
            Ok(WatchOrderResponse {
                entry: Some(entry?),
            })
        });
        let messages: Vec<_> = messages.collect();
        Ok(Response::new(Box::pin(stream::iter(messages))))
    }

    async fn cancel_order(
        &self,
        request: Request<CancelOrderRequest>,
    ) -> Result<Response<CancelOrderResponse>, Status> {
        let order = Some((self.cancel)(request.into_inner())?);
        Ok(Response::new(CancelOrderResponse { order }))
    }
}

//! Calls that are recorded in the journal: one entry before the start, one after the end.

use proto::orders::v1::{CancelOrderRequest, GetOrderRequest, Order, PlaceOrderRequest};
use tonic::{Code, IntoRequest, Status};

use super::OrderClient;
use crate::replay::journal::Journal;

/// Places an order. A request keeps its deadline and its metadata, here and below.
///
/// # Errors
/// The status that order-service answers.
pub async fn place(
    client: &mut OrderClient,
    journal: &Journal,
    request: impl IntoRequest<PlaceOrderRequest>,
    invoice: Option<&str>,
) -> Result<Order, Status> {
    let request = request.into_request();
    let call = journal.place(request.get_ref(), invoice)?;
    let response = client.place_order(request).await;
    let order = response.and_then(|response| the_order(response.into_inner().order));
    call.end(order.as_ref());
    order
}

/// Asks to cancel an order.
///
/// # Errors
/// The status that order-service answers.
pub async fn cancel(
    client: &mut OrderClient,
    journal: &Journal,
    request: impl IntoRequest<CancelOrderRequest>,
) -> Result<Order, Status> {
    let request = request.into_request();
    let call = journal.cancel(&request.get_ref().order_id)?;
    let response = client.cancel_order(request).await;
    let order = response.and_then(|response| the_order(response.into_inner().order));
    call.end(order.as_ref());
    order
}

/// Reads an order. A failed read has observed nothing; NOT_FOUND is an observation.
///
/// # Errors
/// The status that order-service answers.
pub async fn get(
    client: &mut OrderClient,
    journal: &Journal,
    request: impl IntoRequest<GetOrderRequest>,
) -> Result<Order, Status> {
    let request = request.into_request();
    let read = journal.read(&request.get_ref().order_id);
    let response = client.get_order(request).await;
    let order = response.and_then(|response| the_order(response.into_inner().order));
    match &order {
        Ok(order) => read.got(Some(order)),
        Err(status) if status.code() == Code::NotFound => read.got(None),
        Err(_) => {}
    }
    order
}

/// An answer without an order confirms nothing; it is a defect of the service.
fn the_order(order: Option<Order>) -> Result<Order, Status> {
    order.ok_or_else(|| Status::data_loss("the answer has no order"))
}

//! Calls that are recorded in the journal: one entry before the start, one after the end.

use proto::orders::v1::{CancelOrderRequest, GetOrderRequest, Order, PlaceOrderRequest};
use tonic::{Code, IntoRequest, Status};

use super::OrderClient;
use crate::replay::journal::Journal;

/// Places an order; a request with a deadline keeps it.
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
    order_id: &str,
) -> Result<Order, Status> {
    let call = journal.cancel(order_id)?;
    let order_id = order_id.to_owned();
    let response = client.cancel_order(CancelOrderRequest { order_id }).await;
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
    order_id: &str,
) -> Result<Order, Status> {
    let read = journal.read(order_id);
    let order_id = order_id.to_owned();
    let response = client.get_order(GetOrderRequest { order_id }).await;
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

//! `orderctl cancel`: requests the cancellation of an order. Whether it was in time shows later: watch the order.

use proto::orders::v1::CancelOrderRequest;

use super::context::CallContext;
use super::orders;
use crate::client::retry::within;

/// Request the cancellation of an order.
#[derive(Debug, clap::Args)]
pub(super) struct CancelArguments {
    /// Order id.
    order_id: String,
}

pub(super) async fn run(context: CallContext, arguments: CancelArguments) -> anyhow::Result<()> {
    let order_id = arguments.order_id;
    let request = context.request(CancelOrderRequest { order_id });
    let mut client = context.client.clone();
    let response = within(context.timeout, client.cancel_order(request)).await?;
    orders::print(&orders::present(response.order)?, context.json);
    Ok(())
}

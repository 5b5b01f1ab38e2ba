//! `orderctl get`: the current state of one order.

use proto::orders::v1::GetOrderRequest;

use super::context::CallContext;
use super::orders;
use crate::client::retry::within;

/// Show an order.
#[derive(Debug, clap::Args)]
pub(super) struct GetArguments {
    /// Order id.
    order_id: String,
}

pub(super) async fn run(context: CallContext, arguments: GetArguments) -> anyhow::Result<()> {
    let order_id = arguments.order_id;
    let request = context.request(GetOrderRequest { order_id });
    let mut client = context.client.clone();
    let response = within(context.timeout, client.get_order(request)).await?;
    orders::print(&orders::present(response.order)?, context.json);
    Ok(())
}

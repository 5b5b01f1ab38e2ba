//! `orderctl get`: one order as it is now.

use proto::orders::v1::GetOrderRequest;

use super::{Context, orders};
use crate::client::retry::within;

/// Show an order.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The order's id.
    order_id: String,
}

pub(super) async fn run(context: Context, arguments: Arguments) -> anyhow::Result<()> {
    let order_id = arguments.order_id;
    let request = context.request(GetOrderRequest { order_id });
    let mut client = context.client.clone();
    let response = within(context.timeout, client.get_order(request)).await?;
    orders::print(&orders::present(response.order)?, context.json);
    Ok(())
}

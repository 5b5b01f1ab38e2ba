//! `orderctl cancel`: ask to cancel an order. Whether that came in time shows later: watch the order.

use proto::orders::v1::CancelOrderRequest;

use super::{Context, orders};
use crate::client::retry::within;

/// Ask to cancel an order.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The order's id.
    order_id: String,
}

pub(super) async fn run(context: Context, arguments: Arguments) -> anyhow::Result<()> {
    let order_id = arguments.order_id;
    let request = context.request(CancelOrderRequest { order_id });
    let mut client = context.client.clone();
    let response = within(context.timeout, client.cancel_order(request)).await?;
    orders::print(&orders::present(response.order)?, context.json);
    Ok(())
}

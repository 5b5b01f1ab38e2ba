//! `orderctl place`: places an order and optionally follows it.

use proto::orders::v1::PlaceOrderRequest;
use uuid::Uuid;

use super::context::CallContext;
use super::order_line::LineArgument;
use super::{orders, watch};
use crate::client::retry::within;
use crate::orders::invoice::GUEST;
use crate::orders::payment;

/// Place an order.
#[derive(Debug, clap::Args)]
pub(super) struct PlaceArguments {
    /// The customer.
    #[arg(long, default_value = GUEST)]
    customer: String,

    /// A line of the order; the currency is GBP unless named. May be repeated.
    #[arg(
        long = "line",
        required = true,
        value_name = "SKU:QUANTITY:PRICE[:CURRENCY]"
    )]
    lines: Vec<LineArgument>,

    /// The payment authorisation. The simulated gateway knows tok_approved, tok_declined, tok_slow, tok_timeout_once,
    /// tok_unavailable and tok_refund_stuck.
    #[arg(long, default_value = payment::APPROVED)]
    token: String,

    /// Idempotency key of the order, a UUID; repeat it to retry a call without ordering twice [default: a new one].
    #[arg(long, value_name = "UUID")]
    request_id: Option<String>,

    /// Follow the order until it is final.
    #[arg(long)]
    watch: bool,
}

pub(super) async fn run(context: CallContext, arguments: PlaceArguments) -> anyhow::Result<()> {
    let new = || Uuid::now_v7().to_string();
    let request = PlaceOrderRequest {
        request_id: arguments.request_id.unwrap_or_else(new),
        customer_id: arguments.customer,
        lines: arguments.lines.into_iter().map(|line| line.0).collect(),
        payment_token: arguments.token,
    };
    let mut client = context.client.clone();
    let response = within(
        context.timeout,
        client.place_order(context.request(request)),
    )
    .await?;
    let order = orders::present(response.order)?;
    orders::print(&order, context.json);
    if arguments.watch {
        watch::follow(&context, &order.order_id, 0).await?;
    }
    Ok(())
}

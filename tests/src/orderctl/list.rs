//! `orderctl list`: a customer's orders, newest first, one page or all of them.

use proto::orders::v1::{ListOrdersRequest, ListOrdersResponse};
use serde_json::{Value, json};

use super::context::CallContext;
use super::{orders, output};
use crate::client::retry::within;
use crate::orders::invoice::GUEST;

/// List a customer's orders, newest first.
#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    /// The customer.
    #[arg(long, default_value = GUEST)]
    customer: String,

    /// Orders per page; 0 uses the service's default.
    #[arg(
        long,
        default_value_t = 0,
        value_name = "N",
        allow_negative_numbers = true
    )]
    page_size: i32,

    /// Page token that the previous page ended with.
    #[arg(
        long,
        default_value = "",
        value_name = "TOKEN",
        hide_default_value = true
    )]
    page_token: String,

    /// Print all following pages.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(context: CallContext, arguments: ListArguments) -> anyhow::Result<()> {
    let mut request = ListOrdersRequest {
        customer_id: arguments.customer,
        page_size: arguments.page_size,
        page_token: arguments.page_token,
    };
    loop {
        let mut client = context.client.clone();
        let call = client.list_orders(context.request(request.clone()));
        let page = within(context.timeout, call).await?;
        print(&page, context.json, arguments.all);
        if !arguments.all || page.next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

/// A page as a table; as JSON an object, or with `--all` one order per line.
fn print(page: &ListOrdersResponse, json: bool, all: bool) {
    let orders = page.orders.iter();
    if !json {
        orders.for_each(|order| output::line(orders::row(order)));
        if !all && !page.next_page_token.is_empty() {
            output::line(format_args!(
                "more with --page-token {}",
                page.next_page_token
            ));
        }
    } else if all {
        orders.for_each(|order| output::line(orders::json(order)));
    } else {
        let orders: Vec<Value> = orders.map(orders::json).collect();
        output::line(json!({ "orders": orders, "next_page_token": page.next_page_token }));
    }
}

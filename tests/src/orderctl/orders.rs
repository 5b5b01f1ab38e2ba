//! An order as text or JSON.

use std::time::SystemTime;

use anyhow::Context;
use proto::orders::v1::{Money, Order, OrderLine};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::output;
use crate::client::vocabulary::{amount, availability_name, rejection_name, status_name};

/// The order of a response; a response without one breaks the contract.
pub(super) fn present(order: Option<Order>) -> anyhow::Result<Order> {
    order.context("the answer names no order")
}

pub(super) fn print(order: &Order, as_json: bool) {
    if as_json {
        output::line(json(order));
    } else {
        output::line(text(order));
    }
}

/// An order on several lines.
pub(super) fn text(order: &Order) -> String {
    let at = |stamp| time(stamp).unwrap_or_default();
    let mut text = format!(
        "order     {}\ncustomer  {}\nstatus    {}, version {}\nstock     {}\nplaced    {}\nchanged   {}\n",
        order.order_id,
        order.customer_id,
        status(order),
        order.version,
        availability_name(order.availability),
        at(order.create_time.as_ref()),
        at(order.update_time.as_ref()),
    );
    for line in &order.lines {
        let price = line.unit_price.as_ref().map(amount).unwrap_or_default();
        text.push_str(&format!(
            "line      {} x {} at {price}\n",
            line.quantity, line.sku
        ));
    }
    let total = order.total.as_ref().map(amount).unwrap_or_default();
    text.push_str(&format!("total     {total}"));
    text
}

/// An order on one line.
pub(super) fn row(order: &Order) -> String {
    format!(
        "{}  {}  {:>14}  {:>4} lines  {}",
        order.order_id,
        time(order.create_time.as_ref()).unwrap_or_default(),
        order.total.as_ref().map(amount).unwrap_or_default(),
        order.lines.len(),
        status(order),
    )
}

pub(super) fn json(order: &Order) -> Value {
    let is_rejected = order.rejection_reason != 0;
    json!({
        "order_id": order.order_id,
        "customer_id": order.customer_id,
        "status": status_name(order.status),
        "version": order.version,
        "lines": order.lines.iter().map(line_json).collect::<Vec<_>>(),
        "total": order.total.as_ref().map(money_json),
        "create_time": time(order.create_time.as_ref()),
        "update_time": time(order.update_time.as_ref()),
        "availability": availability_name(order.availability),
        "rejection_reason": is_rejected.then(|| rejection_name(order.rejection_reason)),
    })
}

pub(super) fn line_json(line: &OrderLine) -> Value {
    json!({
        "sku": line.sku,
        "quantity": line.quantity,
        "unit_price": line.unit_price.as_ref().map(money_json),
    })
}

pub(super) fn money_json(money: &Money) -> Value {
    json!({ "currency_code": money.currency_code, "minor_units": money.minor_units })
}

/// A time of the contract in RFC 3339, UTC.
pub(super) fn time(stamp: Option<&prost_types::Timestamp>) -> Option<String> {
    let time = SystemTime::try_from(*stamp?).ok()?;
    OffsetDateTime::from(time).format(&Rfc3339).ok()
}

fn status(order: &Order) -> String {
    match order.rejection_reason {
        0 => status_name(order.status).to_owned(),
        reason => format!("{} ({})", status_name(order.status), rejection_name(reason)),
    }
}

//! The command line, and what is printed.

use clap::CommandFactory;
use proto::orders::v1::{Availability, Money, Order, OrderLine, OrderStatus, RejectionReason};

use super::*;

fn order() -> Order {
    let price = |minor_units| {
        Some(Money {
            currency_code: "GBP".into(),
            minor_units,
        })
    };
    Order {
        order_id: "0197".into(),
        customer_id: "17850".into(),
        status: OrderStatus::Rejected.into(),
        version: 2,
        lines: vec![OrderLine {
            sku: "85123A".into(),
            quantity: 6,
            unit_price: price(255),
        }],
        total: price(1_530),
        create_time: Some(prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 0,
        }),
        update_time: None,
        rejection_reason: RejectionReason::OutOfStock.into(),
        availability: Availability::Unverified.into(),
    }
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn a_line_is_all_that_placing_needs() {
    let arguments = Arguments::try_parse_from(["orderctl", "place", "--line", "85123A:2:2.55"]);

    assert!(arguments.is_ok());
    assert!(Arguments::try_parse_from(["orderctl", "place"]).is_err());
}

#[test]
fn a_malformed_line_is_a_usage_error_that_says_what_is_expected() {
    let parsed = Arguments::try_parse_from(["orderctl", "place", "--line", "85123A"]);

    let error = parsed.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error.to_string().contains("expected SKU:QUANTITY:PRICE"),
        "{error}"
    );
}

#[test]
fn an_order_reads_as_a_table() {
    assert_eq!(
        orders::text(&order()),
        "order     0197\n\
         customer  17850\n\
         status    REJECTED (OUT_OF_STOCK), version 2\n\
         stock     UNVERIFIED\n\
         placed    2023-11-14T22:13:20Z\n\
         changed   \n\
         line      6 x 85123A at 2.55 GBP\n\
         total     15.30 GBP"
    );
}

#[test]
fn an_order_is_json_for_programs() {
    let json = orders::json(&order());

    assert_eq!(json["status"], "REJECTED");
    assert_eq!(json["rejection_reason"], "OUT_OF_STOCK");
    assert_eq!(json["availability"], "UNVERIFIED");
    assert_eq!(json["lines"][0]["unit_price"]["minor_units"], 255);
    assert_eq!(json["update_time"], serde_json::Value::Null);
}

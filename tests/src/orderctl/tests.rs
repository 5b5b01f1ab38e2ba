//! The command line and its output.

use clap::CommandFactory;
use proto::orders::v1::{Availability, Money, Order, OrderLine, OrderStatus, RejectionReason};

use tonic::{Code, Request, Status};

use super::*;
use crate::client::failure::CallFailure;
use crate::client::fake::{Fake, entry};

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
    OrderctlArguments::command().debug_assert();
}

#[test]
fn placing_requires_only_a_line() {
    let arguments =
        OrderctlArguments::try_parse_from(["orderctl", "place", "--line", "85123A:2:2.55"]);

    assert!(arguments.is_ok());
    assert!(OrderctlArguments::try_parse_from(["orderctl", "place"]).is_err());
}

#[test]
fn a_malformed_line_is_a_usage_error_that_says_what_is_expected() {
    let parsed = OrderctlArguments::try_parse_from(["orderctl", "place", "--line", "85123A"]);

    let error = parsed.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error.to_string().contains("expected SKU:QUANTITY:PRICE"),
        "{error}"
    );
}

#[test]
fn an_order_is_printed_as_a_table() {
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
fn an_order_is_printed_as_json() {
    let json = orders::json(&order());

    assert_eq!(json["status"], "REJECTED");
    assert_eq!(json["rejection_reason"], "OUT_OF_STOCK");
    assert_eq!(json["availability"], "UNVERIFIED");
    assert_eq!(json["lines"][0]["unit_price"]["minor_units"], 255);
    assert_eq!(json["update_time"], serde_json::Value::Null);
}

/// A fake order-service that returns a history to callers with the token.
async fn with_token() -> String {
    let fake = Fake {
        cancel: Box::new(|_| Ok(order())),
        watch: Box::new(|_| vec![Ok(entry(1, "OrderFulfilled", OrderStatus::Fulfilled))]),
        ..Fake::default()
    };
    fake.serve_if(|request: Request<()>| {
        let shown = request.metadata().get("authorization");
        let is_right = shown.is_some_and(|value| value == "Bearer abc");
        is_right
            .then_some(request)
            .ok_or_else(|| Status::unauthenticated("no token"))
    })
    .await
}

#[tokio::test]
async fn every_kind_of_call_carries_the_token() {
    let address = with_token().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "abc").unwrap();
    let file = file.path().to_str().unwrap();

    for command in ["cancel", "watch"] {
        let words = ["orderctl", "--address", &address, command, "0197"];
        let without = run(OrderctlArguments::try_parse_from(words).unwrap()).await;
        let with = words.into_iter().chain(["--token-file", file]);
        let with = run(OrderctlArguments::try_parse_from(with).unwrap()).await;

        let refusal = without.unwrap_err();
        let failure = refusal.downcast_ref::<CallFailure>().unwrap();
        assert_eq!(failure.code, Code::Unauthenticated, "{command}");
        assert!(with.is_ok(), "{command}: {with:?}");
    }
}

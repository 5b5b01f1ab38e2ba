//! Parsing of PlaceOrder: every violation is reported at once.

use super::*;

fn line(sku: &str, quantity: i32, currency: &str, minor_units: i64) -> messages::OrderLine {
    messages::OrderLine {
        sku: sku.to_owned(),
        quantity,
        unit_price: Some(messages::Money {
            currency_code: currency.to_owned(),
            minor_units,
        }),
    }
}

fn request(lines: Vec<messages::OrderLine>) -> messages::PlaceOrderRequest {
    messages::PlaceOrderRequest {
        request_id: "0192f0c1-2345-7abc-8def-0123456789ab".to_owned(),
        customer_id: "17850".to_owned(),
        lines,
        payment_token: "tok_approved".to_owned(),
    }
}

fn faulty_fields(request: messages::PlaceOrderRequest) -> Vec<String> {
    let violations = parse_place_order(request).unwrap_err();
    violations
        .listed()
        .iter()
        .map(|violation| violation.field.clone())
        .collect()
}

#[test]
fn a_valid_request_is_parsed() {
    let order = parse_place_order(request(vec![line("85123A", 6, "GBP", 255)])).unwrap();

    assert_eq!(order.customer_id.as_str(), "17850");
    assert_eq!(order.lines.total().minor_units, 1_530);
    assert_eq!(order.payment_token.expose(), "tok_approved");
}

#[test]
fn all_violations_are_reported_together_with_their_paths() {
    let bad = messages::PlaceOrderRequest {
        request_id: "7".to_owned(),
        customer_id: String::new(),
        lines: vec![
            line("85123A", 1, "GBP", 255),
            line("", 0, "XXX", -5),
            line("22752", 100_001, "EUR", 0),
            messages::OrderLine {
                unit_price: None,
                ..line("22752", 1, "GBP", 1)
            },
        ],
        payment_token: "t".repeat(129),
    };

    assert_eq!(
        faulty_fields(bad),
        [
            "request_id",
            "customer_id",
            "lines[1].sku",
            "lines[1].quantity",
            "lines[1].unit_price.currency_code",
            "lines[1].unit_price.minor_units",
            "lines[2].quantity",
            "lines[2].unit_price.minor_units",
            "lines[2].unit_price.currency_code",
            "lines[3].unit_price",
            "payment_token",
        ]
    );
}

#[test]
fn an_empty_request_is_refused_in_every_field() {
    assert_eq!(
        faulty_fields(messages::PlaceOrderRequest::default()),
        ["request_id", "customer_id", "lines", "payment_token"]
    );
}

#[test]
fn every_line_in_another_currency_is_reported() {
    let lines = vec![
        line("A", 1, "GBP", 1),
        line("B", 1, "EUR", 1),
        line("C", 1, "GBP", 1),
        line("D", 1, "USD", 1),
    ];

    assert_eq!(
        faulty_fields(request(lines)),
        [
            "lines[1].unit_price.currency_code",
            "lines[3].unit_price.currency_code"
        ]
    );
}

#[test]
fn too_many_lines_are_one_violation() {
    let most = vec![line("A", 1, "GBP", 1); MAX_LINES];
    let too_many = vec![line("A", 1, "GBP", 1); MAX_LINES + 1];

    assert!(parse_place_order(request(most)).is_ok());
    assert_eq!(faulty_fields(request(too_many)), ["lines"]);
}

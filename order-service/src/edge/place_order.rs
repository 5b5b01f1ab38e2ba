//! PlaceOrder's request becomes a [`NewOrder`], or all its faults are named at once.

use grpc::server::violations::Violations;
use proto::orders::v1 as messages;

use crate::domain::{
    Currency, CustomerId, InvalidLines, MAX_LINES, Money, NewOrder, OrderLine, OrderLines,
    PaymentToken, Quantity, RequestId, Sku, UnitPrice,
};

/// Reads a request.
///
/// # Errors
/// [`Violations`] with every field that is missing, malformed or out of bounds.
pub fn parse_place_order(request: messages::PlaceOrderRequest) -> Result<NewOrder, Violations> {
    let mut faults = Violations::default();
    let request_id = faults.check("request_id", RequestId::parse(&request.request_id));
    let customer_id = faults.check("customer_id", CustomerId::parse(request.customer_id));
    let lines = parse_lines(request.lines, &mut faults);
    let payment_token = faults.check("payment_token", PaymentToken::parse(request.payment_token));

    match (request_id, customer_id, lines, payment_token) {
        (Some(request_id), Some(customer_id), Some(lines), Some(payment_token)) => Ok(NewOrder {
            request_id,
            customer_id,
            lines,
            payment_token,
        }),
        _ => Err(faults),
    }
}

fn parse_lines(messages: Vec<messages::OrderLine>, faults: &mut Violations) -> Option<OrderLines> {
    let sent = messages.len();
    if sent > MAX_LINES {
        faults.add("lines", InvalidLines::TooMany);
    }
    let mut lines = Vec::with_capacity(sent.min(MAX_LINES));
    let mut currency = None;
    for (index, message) in messages.into_iter().take(MAX_LINES).enumerate() {
        lines.extend(parse_line(index, message, &mut currency, faults));
    }
    if lines.len() < sent {
        return None;
    }
    OrderLines::new(lines)
        .map_err(|rule| faults.add("lines", rule))
        .ok()
}

fn parse_line(
    index: usize,
    message: messages::OrderLine,
    currency: &mut Option<Currency>,
    faults: &mut Violations,
) -> Option<OrderLine> {
    let sku = Sku::parse(message.sku);
    let sku = faults.check(format_args!("lines[{index}].sku"), sku);
    let quantity = Quantity::parse(message.quantity);
    let quantity = faults.check(format_args!("lines[{index}].quantity"), quantity);
    let unit_price = parse_unit_price(index, message.unit_price, currency, faults);
    Some(OrderLine {
        sku: sku?,
        quantity: quantity?,
        unit_price: unit_price?,
    })
}

/// The first readable currency is the order's; a line in another one is named here, since [`OrderLines`] would only
/// name the first of them.
fn parse_unit_price(
    index: usize,
    message: Option<messages::Money>,
    order_currency: &mut Option<Currency>,
    faults: &mut Violations,
) -> Option<UnitPrice> {
    let Some(message) = message else {
        faults.add(format_args!("lines[{index}].unit_price"), "must be set");
        return None;
    };
    let code_path = format_args!("lines[{index}].unit_price.currency_code");
    let currency = faults.check(code_path, Currency::parse(&message.currency_code));
    // The amount is judged although the currency may be unreadable: the client shall learn of both.
    let price = UnitPrice::parse(Money {
        currency: currency.unwrap_or(Currency::Gbp),
        minor_units: message.minor_units,
    });
    let amount_path = format_args!("lines[{index}].unit_price.minor_units");
    let price = faults.check(amount_path, price);

    let currency = currency?;
    let expected = *order_currency.get_or_insert(currency);
    if currency != expected {
        let line = index;
        faults.add(code_path, InvalidLines::MixedCurrencies { line, expected });
        return None;
    }
    price
}

#[cfg(test)]
mod tests {
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
        let faults = parse_place_order(request).unwrap_err();
        faults
            .listed()
            .iter()
            .map(|fault| fault.field.clone())
            .collect()
    }

    #[test]
    fn a_well_formed_request_becomes_an_order() {
        let order = parse_place_order(request(vec![line("85123A", 6, "GBP", 255)])).unwrap();

        assert_eq!(order.customer_id.as_str(), "17850");
        assert_eq!(order.lines.total().minor_units, 1_530);
        assert_eq!(order.payment_token.expose(), "tok_approved");
    }

    #[test]
    fn every_fault_is_named_at_once_with_its_path() {
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
    fn every_line_in_another_currency_is_named() {
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
    fn too_many_lines_are_one_fault() {
        let most = vec![line("A", 1, "GBP", 1); MAX_LINES];
        let too_many = vec![line("A", 1, "GBP", 1); MAX_LINES + 1];

        assert!(parse_place_order(request(most)).is_ok());
        assert_eq!(faulty_fields(request(too_many)), ["lines"]);
    }
}

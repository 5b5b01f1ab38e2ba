//! An invoice as a PlaceOrderRequest, or why it cannot be represented as one.
//!
//! Only unrepresentable values are refused here: a quantity beyond 32 bits, and a price that is not a whole number of
//! pence. A zero or negative quantity or price is representable, so it is sent, and order-service refuses it.

use std::fmt;

use proto::orders::v1::{Money, OrderLine, PlaceOrderRequest};
use uuid::Uuid;

use super::invoice::{Invoice, InvoiceLine};
use super::payment;
use super::price::POUND_DECIMALS;

/// The currency of the data set.
const CURRENCY: &str = "GBP";

/// The fields of an invoice that the contract cannot represent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inexpressible {
    /// The fields in line order; never empty.
    pub violations: Vec<OrderViolation>,
}

/// One field that the contract cannot represent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderViolation {
    /// The field's path in `PlaceOrderRequest`, such as `lines[2].quantity`.
    pub field: String,
    /// The kind, as an upper-case code for counting.
    pub reason: &'static str,
    pub description: String,
}

/// The request id of an invoice in one round of one run: the same for every retry, different in every other run.
pub fn id(invoice: &Invoice, round: usize, run: Uuid) -> Uuid {
    Uuid::new_v5(&run, format!("{}/{round}", invoice.number).as_bytes())
}

pub fn of(invoice: &Invoice, request_id: Uuid) -> Result<PlaceOrderRequest, Inexpressible> {
    let mut lines = Vec::with_capacity(invoice.lines.len());
    let mut violations = Vec::new();
    for (position, line) in invoice.lines.iter().enumerate() {
        let quantity = quantity(line, position);
        let price = unit_price(line, position);
        match (quantity, price) {
            (Ok(quantity), Ok(unit_price)) => lines.push(OrderLine {
                sku: line.sku.clone(),
                quantity,
                unit_price: Some(unit_price),
            }),
            (quantity, price) => violations.extend(quantity.err().into_iter().chain(price.err())),
        }
    }
    if !violations.is_empty() {
        return Err(Inexpressible { violations });
    }
    Ok(PlaceOrderRequest {
        request_id: request_id.to_string(),
        customer_id: invoice.customer_id.clone(),
        lines,
        payment_token: payment::token(&invoice.number).to_owned(),
    })
}

fn quantity(line: &InvoiceLine, position: usize) -> Result<i32, OrderViolation> {
    i32::try_from(line.quantity).map_err(|_| OrderViolation {
        field: format!("lines[{position}].quantity"),
        reason: "QUANTITY_OUT_OF_RANGE",
        description: format!("{} is no 32-bit number", line.quantity),
    })
}

fn unit_price(line: &InvoiceLine, position: usize) -> Result<Money, OrderViolation> {
    let minor_units = line.unit_price.minor_units(POUND_DECIMALS);
    let minor_units = minor_units.map_err(|error| OrderViolation {
        field: format!("lines[{position}].unit_price.minor_units"),
        reason: "PRICE_INEXACT",
        description: error.to_string(),
    })?;
    Ok(Money {
        currency_code: CURRENCY.to_owned(),
        minor_units,
    })
}

impl fmt::Display for Inexpressible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, violation) in self.violations.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(
                f,
                "{separator}{}: {}",
                violation.field, violation.description
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::invoice::GUEST;
    use super::*;

    fn invoice(lines: &[(i64, &str)]) -> Invoice {
        let lines = lines.iter().map(|(quantity, price)| InvoiceLine {
            sku: "85123A".into(),
            description: "HOLDER".into(),
            quantity: *quantity,
            unit_price: price.parse().unwrap(),
        });
        Invoice {
            number: "536365".into(),
            customer_id: GUEST.into(),
            lines: lines.collect(),
        }
    }

    #[test]
    fn a_sale_becomes_a_request() {
        let request = of(&invoice(&[(6, "2.55"), (1, "0.1")]), Uuid::nil()).unwrap();

        assert_eq!(request.lines[0].quantity, 6);
        let price = request.lines[1].unit_price.as_ref().unwrap();
        assert_eq!(
            (price.currency_code.as_str(), price.minor_units),
            ("GBP", 10)
        );
    }

    #[test]
    fn zero_and_negative_values_are_left_to_the_server_to_judge() {
        let request = of(
            &invoice(&[(0, "2.55"), (-6, "0.0"), (1, "-2.5")]),
            Uuid::nil(),
        )
        .unwrap();

        let prices = request.lines.iter().map(|line| {
            let price = line.unit_price.as_ref().unwrap();
            (line.quantity, price.minor_units)
        });
        assert_eq!(prices.collect::<Vec<_>>(), [(0, 255), (-6, 0), (1, -250)]);
    }

    #[test]
    fn all_unrepresentable_fields_are_named() {
        let lines = [(1, "2.55"), (6, "0.001"), (2_147_483_648, "1.0")];

        let refusal = of(&invoice(&lines), Uuid::nil()).unwrap_err();

        assert_eq!(
            refusal.to_string(),
            "lines[1].unit_price.minor_units: 0.001 is no 64-bit number of whole minor units (2 decimal places); \
             lines[2].quantity: 2147483648 is no 32-bit number"
        );
        let reasons = refusal.violations.iter().map(|violation| violation.reason);
        assert_eq!(
            reasons.collect::<Vec<_>>(),
            ["PRICE_INEXACT", "QUANTITY_OUT_OF_RANGE"]
        );
    }

    #[test]
    fn a_request_id_is_repeated_only_within_a_round() {
        let (run, other_run) = (Uuid::new_v4(), Uuid::new_v4());
        let invoice = invoice(&[(1, "1.0")]);

        let first = id(&invoice, 0, run);

        assert_eq!(first, id(&invoice, 0, run));
        assert_ne!(first, id(&invoice, 1, run));
        assert_ne!(first, id(&invoice, 0, other_run));
    }
}

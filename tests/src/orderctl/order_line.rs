//! `SKU:QUANTITY:PRICE[:CURRENCY]` as a line of an order.

use std::str::FromStr;

use proto::orders::v1::{Money, OrderLine};

use crate::client::vocabulary::decimals;
use crate::orders::price::DecimalPrice;

/// The currency of a line that names none.
const DEFAULT_CURRENCY: &str = "GBP";

/// An order line from the command line. A SKU may contain colons: the other parts are split off from the end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LineArgument(pub(super) OrderLine);

/// Why the text is not an order line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    #[error(
        "expected SKU:QUANTITY:PRICE or SKU:QUANTITY:PRICE:CURRENCY, such as 85123A:2:2.55:GBP"
    )]
    Shape,
    #[error("the quantity {0:?} is no whole number from -2147483648 to 2147483647")]
    Quantity(String),
    #[error("the price {0}")]
    Price(String),
}

impl FromStr for LineArgument {
    type Err = LineError;

    fn from_str(text: &str) -> Result<Self, LineError> {
        let (rest, currency) = match text.rsplit_once(':') {
            Some((rest, last)) if is_currency(last) => (rest, last),
            _ => (text, DEFAULT_CURRENCY),
        };
        let mut parts = rest.rsplitn(3, ':');
        let (price, quantity, sku) = (parts.next(), parts.next(), parts.next());
        let (Some(price), Some(quantity), Some(sku)) = (price, quantity, sku) else {
            return Err(LineError::Shape);
        };
        let quantity = quantity
            .parse()
            .map_err(|_| LineError::Quantity(quantity.to_owned()))?;
        Ok(Self(OrderLine {
            sku: sku.to_owned(),
            quantity,
            unit_price: Some(money(price, currency)?),
        }))
    }
}

fn is_currency(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn money(price: &str, currency: &str) -> Result<Money, LineError> {
    let price =
        DecimalPrice::from_str(price).map_err(|error| LineError::Price(error.to_string()))?;
    let minor_units = price.minor_units(decimals(currency));
    Ok(Money {
        currency_code: currency.to_owned(),
        minor_units: minor_units.map_err(|error| LineError::Price(error.to_string()))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, quantity: i32, minor_units: i64, currency: &str) -> LineArgument {
        LineArgument(OrderLine {
            sku: sku.into(),
            quantity,
            unit_price: Some(Money {
                currency_code: currency.into(),
                minor_units,
            }),
        })
    }

    #[test]
    fn a_line_is_parsed() {
        assert_eq!("85123A:2:2.55".parse(), Ok(line("85123A", 2, 255, "GBP")));
        assert_eq!(
            "85123A:2:2.5:EUR".parse(),
            Ok(line("85123A", 2, 250, "EUR"))
        );
        assert_eq!("CUP:1:255:JPY".parse(), Ok(line("CUP", 1, 255, "JPY")));
        assert_eq!("a:b:1:2".parse(), Ok(line("a:b", 1, 200, "GBP")));
    }

    #[test]
    fn representable_values_are_left_to_the_service_to_judge() {
        assert_eq!(":0:-1:xyz".parse(), Ok(line("", 0, -100, "xyz")));
    }

    #[test]
    fn values_that_cannot_be_represented_are_explained() {
        for (text, complaint) in [
            ("85123A", "expected SKU:QUANTITY:PRICE"),
            ("85123A:2", "expected SKU:QUANTITY:PRICE"),
            ("85123A:two:2.55", "the quantity \"two\" is no whole number"),
            (
                "85123A:2:cheap1",
                "the price \"cheap1\" is no decimal number",
            ),
            (
                "CUP:1:2.55:JPY",
                "the price 2.55 is no 64-bit number of whole",
            ),
        ] {
            let error = text.parse::<LineArgument>().unwrap_err().to_string();

            assert!(error.contains(complaint), "{error}");
        }
    }
}

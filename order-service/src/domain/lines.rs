//! The lines of an order: at least one, at most 500, one currency, a total without overflow.

use thiserror::Error;

use super::line::OrderLine;
use super::money::{Currency, Money};

pub const MAX_LINES: usize = 500;

/// Lines in the order of the request, and their total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLines {
    lines: Vec<OrderLine>,
    total: Money,
}

impl OrderLines {
    /// # Errors
    /// [`InvalidLines`]: the first violated rule.
    pub fn new(lines: Vec<OrderLine>) -> Result<Self, InvalidLines> {
        let total = total_of(&lines)?;
        Ok(Self { lines, total })
    }

    pub fn as_slice(&self) -> &[OrderLine] {
        &self.lines
    }

    /// Sum over the lines of quantity times unit price.
    pub fn total(&self) -> Money {
        self.total
    }
}

/// A violated rule between lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidLines {
    #[error("must have at least one line")]
    None,
    #[error("must have at most {MAX_LINES} lines")]
    TooMany,
    #[error("must be {expected}, the currency of the first line")]
    MixedCurrencies { line: usize, expected: Currency },
    #[error("must have a total below 2^63 minor units")]
    TotalOverflows,
}

fn total_of(lines: &[OrderLine]) -> Result<Money, InvalidLines> {
    let first = lines.first().ok_or(InvalidLines::None)?;
    if lines.len() > MAX_LINES {
        return Err(InvalidLines::TooMany);
    }
    let currency = first.unit_price.money().currency;
    let mut minor_units: i64 = 0;
    for (line, position) in lines.iter().enumerate() {
        if position.unit_price.money().currency != currency {
            let expected = currency;
            return Err(InvalidLines::MixedCurrencies { line, expected });
        }
        // The current bounds cannot overflow (500 lines of 10^13), but each may be raised separately.
        minor_units = amount_of(position)
            .and_then(|amount| minor_units.checked_add(amount))
            .ok_or(InvalidLines::TotalOverflows)?;
    }
    Ok(Money {
        currency,
        minor_units,
    })
}

fn amount_of(line: &OrderLine) -> Option<i64> {
    let pieces = i64::from(line.quantity.get());
    line.unit_price.money().minor_units.checked_mul(pieces)
}

#[cfg(test)]
mod tests {
    use super::super::line::{Quantity, Sku, UnitPrice};
    use super::*;

    fn line(currency: Currency, minor_units: i64, pieces: i32) -> OrderLine {
        OrderLine {
            sku: Sku::parse("85123A").unwrap(),
            quantity: Quantity::parse(pieces).unwrap(),
            unit_price: UnitPrice::parse(Money {
                currency,
                minor_units,
            })
            .unwrap(),
        }
    }

    #[test]
    fn the_total_is_the_sum_of_quantity_times_price() {
        let lines = vec![line(Currency::Gbp, 255, 6), line(Currency::Gbp, 339, 2)];

        let total = OrderLines::new(lines).unwrap().total();

        assert_eq!(
            total,
            Money {
                currency: Currency::Gbp,
                minor_units: 2_208
            }
        );
    }

    #[test]
    fn the_largest_order_has_a_total() {
        let largest = line(Currency::Jpy, UnitPrice::MAX_MINOR_UNITS, Quantity::MAX);

        let lines = OrderLines::new(vec![largest; MAX_LINES]).unwrap();

        assert_eq!(lines.total().minor_units, 5_000_000_000_000_000);
    }

    #[test]
    fn there_is_a_line_but_not_too_many() {
        let too_many = vec![line(Currency::Gbp, 1, 1); MAX_LINES + 1];

        assert_eq!(OrderLines::new(vec![]), Err(InvalidLines::None));
        assert_eq!(OrderLines::new(too_many), Err(InvalidLines::TooMany));
    }

    #[test]
    fn all_lines_share_one_currency() {
        let mixed = vec![line(Currency::Gbp, 1, 1), line(Currency::Eur, 1, 1)];

        let expected = Currency::Gbp;
        assert_eq!(
            OrderLines::new(mixed),
            Err(InvalidLines::MixedCurrencies { line: 1, expected })
        );
    }
}

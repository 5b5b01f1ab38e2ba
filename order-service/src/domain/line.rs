//! One line of an order: SKU, quantity, unit price.

use super::money::Money;
use super::text::{Malformed, is_printable_ascii};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    pub sku: Sku,
    pub quantity: Quantity,
    pub unit_price: UnitPrice,
}

/// A stock keeping unit. processing-service knows whether it is in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sku(String);

impl Sku {
    const RULE: Malformed = Malformed("must have 1 to 64 printable ASCII characters");

    /// # Errors
    /// [`Malformed`] when it is empty, too long or not printable ASCII.
    pub fn parse(text: impl Into<String>) -> Result<Self, Malformed> {
        let text = text.into();
        let is_valid = is_printable_ascii(&text, 64);
        is_valid.then_some(Self(text)).ok_or(Self::RULE)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A number of pieces, from 1 to [`Quantity::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i32);

impl Quantity {
    pub const MAX: i32 = 100_000;

    const RULE: Malformed = Malformed("must be 1 to 100000");

    /// # Errors
    /// [`Malformed`] for less than 1 and for more than [`Quantity::MAX`].
    pub fn parse(pieces: i32) -> Result<Self, Malformed> {
        let is_valid = (1..=Self::MAX).contains(&pieces);
        is_valid.then_some(Self(pieces)).ok_or(Self::RULE)
    }

    pub fn get(self) -> i32 {
        self.0
    }
}

/// The price of one piece, from 1 to [`UnitPrice::MAX_MINOR_UNITS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitPrice(Money);

impl UnitPrice {
    pub const MAX_MINOR_UNITS: i64 = 100_000_000;

    const RULE: Malformed = Malformed("must be 1 to 100000000 minor units");

    /// # Errors
    /// [`Malformed`] for zero, a negative amount, and more than [`UnitPrice::MAX_MINOR_UNITS`].
    pub fn parse(price: Money) -> Result<Self, Malformed> {
        let is_valid = (1..=Self::MAX_MINOR_UNITS).contains(&price.minor_units);
        is_valid.then_some(Self(price)).ok_or(Self::RULE)
    }

    pub fn money(self) -> Money {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::money::Currency;
    use super::*;

    #[test]
    fn a_sku_is_short_printable_ascii() {
        for text in ["85123A", "BANK CHARGES", "~", &"x".repeat(64)] {
            assert_eq!(Sku::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "tab\t", "ü", "\u{7f}", &"x".repeat(65)] {
            assert_eq!(Sku::parse(text), Err(Sku::RULE), "{text}");
        }
    }

    #[test]
    fn a_quantity_is_at_least_one_and_bounded() {
        assert_eq!(Quantity::parse(1).unwrap().get(), 1);
        assert_eq!(Quantity::parse(Quantity::MAX).unwrap().get(), 100_000);
        for pieces in [0, -1, i32::MIN, Quantity::MAX + 1, i32::MAX] {
            assert_eq!(Quantity::parse(pieces), Err(Quantity::RULE), "{pieces}");
        }
    }

    #[test]
    fn a_price_is_positive_and_bounded() {
        let price = |minor_units| {
            UnitPrice::parse(Money {
                currency: Currency::Gbp,
                minor_units,
            })
        };

        assert!(price(1).is_ok());
        assert!(price(UnitPrice::MAX_MINOR_UNITS).is_ok());
        for minor_units in [i64::MIN, -1, 0, UnitPrice::MAX_MINOR_UNITS + 1, i64::MAX] {
            assert_eq!(price(minor_units), Err(UnitPrice::RULE), "{minor_units}");
        }
    }
}

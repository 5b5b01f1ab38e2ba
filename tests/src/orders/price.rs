//! Decimal prices to minor units, exactly.
//!
//! Decimal text is parsed as decimal text. A float would turn 2.55 into 254.999…, and rounding would invent a price; a
//! price that is not a whole number of minor units is therefore refused.

use std::str::FromStr;

/// A decimal price: an optional sign, digits, and optionally a point and more digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecimalPrice(String);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no decimal number")]
pub struct NoDecimal(String);

/// The price does not fit the contract's money: a 64-bit number of whole minor units.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{price} is no 64-bit number of whole minor units ({decimals} decimal places)")]
pub struct Inexact {
    price: String,
    decimals: usize,
}

/// Decimal places of a pound.
pub const POUND_DECIMALS: usize = 2;

impl DecimalPrice {
    /// The price in minor units of a currency with this many decimal places.
    pub fn minor_units(&self, decimals: usize) -> Result<i64, Inexact> {
        let inexact = || Inexact {
            price: self.0.clone(),
            decimals,
        };
        let (whole, fraction) = self.0.split_once('.').unwrap_or((&self.0, ""));
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > decimals {
            return Err(inexact());
        }
        // Both groups of digits side by side are the number of minor units: "-1.5" is "-1" and "50".
        let digits = format!("{whole}{fraction:0<decimals$}");
        digits.parse().map_err(|_| inexact())
    }

    /// Whether the price is above zero, also when it is not representable.
    pub fn is_positive(&self) -> bool {
        !self.0.starts_with('-') && self.0.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
    }
}

impl FromStr for DecimalPrice {
    type Err = NoDecimal;

    fn from_str(text: &str) -> Result<Self, NoDecimal> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if digits(whole) && digits(fraction) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoDecimal(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pence(text: &str) -> Option<i64> {
        text.parse::<DecimalPrice>()
            .unwrap()
            .minor_units(POUND_DECIMALS)
            .ok()
    }

    #[test]
    fn a_price_is_exact_to_the_penny() {
        assert_eq!(pence("2.55"), Some(255));
        assert_eq!(pence("2.1"), Some(210));
        assert_eq!(pence("15"), Some(1500));
        assert_eq!(pence("0.07"), Some(7));
        assert_eq!(pence("0.0"), Some(0));
        assert_eq!(pence("11062.06"), Some(1_106_206));
        assert_eq!(pence("1.2500"), Some(125));
        assert_eq!(pence("-11062.06"), Some(-1_106_206));
        assert_eq!(pence("-0.05"), Some(-5));
    }

    #[test]
    fn a_fraction_of_a_penny_is_not_rounded() {
        assert_eq!(pence("0.001"), None);
        assert_eq!(pence("2.555"), None);
    }

    #[test]
    fn a_currency_without_decimals_accepts_only_whole_prices() {
        let yen = |text: &str| text.parse::<DecimalPrice>().unwrap().minor_units(0).ok();

        assert_eq!(
            (yen("255"), yen("255.0"), yen("2.55")),
            (Some(255), Some(255), None)
        );
    }

    #[test]
    fn a_price_beyond_64_bits_is_refused() {
        assert_eq!(pence("92233720368547758.07"), Some(i64::MAX));
        assert_eq!(pence("92233720368547758.08"), None);
    }

    #[test]
    fn text_that_is_not_a_decimal_number_is_not_a_price() {
        for text in ["", "-", ".", "1.", ".5", "1e3", "1,5", "+1", "£1", "--1"] {
            assert!(text.parse::<DecimalPrice>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_price_above_zero_is_positive() {
        let positive = |text: &str| text.parse::<DecimalPrice>().unwrap().is_positive();

        assert!(positive("0.001") && positive("2.55"));
        assert!(!positive("0.0") && !positive("0") && !positive("-2.55"));
    }
}

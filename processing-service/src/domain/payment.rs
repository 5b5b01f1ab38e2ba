//! Money and what a payment is identified by.

use std::fmt;
use std::sync::Arc;

use super::{Malformed, is_printable, redacted};

/// Characters of a payment token, as the contract limits them.
const TOKEN_LIMIT: usize = 128;

/// A currency: three upper-case letters. Which ones are accepted is decided where orders are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads an ISO 4217 code.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        match text.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(Malformed::expected("three upper-case letters")),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|&letter| write!(formatter, "{}", char::from(letter)))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// An amount to pay: more than nothing, exact to the minor unit of its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    currency: Currency,
    minor_units: i64,
}

impl Money {
    /// This many minor units of this currency.
    pub fn new(currency: Currency, minor_units: i64) -> Result<Self, Malformed> {
        if minor_units < 1 {
            return Err(Malformed::expected("an amount of more than 0"));
        }
        Ok(Self {
            currency,
            minor_units,
        })
    }

    /// The currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The amount in the currency's smallest unit.
    pub fn minor_units(&self) -> i64 {
        self.minor_units
    }
}

/// Stands for an authorisation. It is as good as money: it cannot be printed, and it is not stored here.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentToken(Arc<str>);

impl PaymentToken {
    /// Reads a token.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if !is_printable(text, TOKEN_LIMIT) {
            return Err(Malformed::expected("1 to 128 printable ASCII characters"));
        }
        Ok(Self(text.into()))
    }

    /// The token itself, for the gateway only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PaymentToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        redacted("PaymentToken", formatter)
    }
}

/// The provider's identity of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureId(Arc<str>);

impl CaptureId {
    /// As the provider gave it.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// As the provider gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_show_itself() {
        let token = PaymentToken::parse("tok_approved").unwrap();

        assert_eq!(format!("{token:?}"), "PaymentToken(redacted)");
    }

    #[test]
    fn an_amount_is_more_than_nothing() {
        let currency = Currency::parse("GBP").unwrap();

        assert!(Money::new(currency, 1).is_ok());
        assert!(Money::new(currency, 0).is_err());
        assert!(Money::new(currency, -1).is_err());
    }

    #[test]
    fn a_currency_is_three_upper_case_letters() {
        assert_eq!(Currency::parse("GBP").unwrap().to_string(), "GBP");
        for text in ["", "GB", "gbp", "GBPX", "G£", "£P"] {
            assert!(Currency::parse(text).is_err(), "{text}");
        }
    }
}

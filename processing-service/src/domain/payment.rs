//! Money, payment tokens and capture ids.

use std::fmt;
use std::sync::Arc;

use super::text::{Malformed, is_printable};

/// Maximum length of a payment token in characters, as in the contract.
const TOKEN_LIMIT: usize = 128;

/// A currency: three upper-case letters. order-service decides which currencies are accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Parses an ISO 4217 code.
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

/// A positive amount in minor units of its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    currency: Currency,
    minor_units: i64,
}

impl Money {
    pub fn new(currency: Currency, minor_units: i64) -> Result<Self, Malformed> {
        if minor_units < 1 {
            return Err(Malformed::expected("an amount of more than 0"));
        }
        Ok(Self {
            currency,
            minor_units,
        })
    }

    pub fn currency(&self) -> Currency {
        self.currency
    }

    pub fn minor_units(&self) -> i64 {
        self.minor_units
    }
}

/// Token of a payment authorisation. It is a secret: `Debug` redacts it, and this service does not store it.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentToken(Arc<str>);

impl PaymentToken {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if !is_printable(text, TOKEN_LIMIT) {
            return Err(Malformed::expected("1 to 128 printable ASCII characters"));
        }
        Ok(Self(text.into()))
    }

    /// The secret itself, for the gateway only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PaymentToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PaymentToken(redacted)")
    }
}

/// The payment provider's identifier of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureId(Arc<str>);

impl CaptureId {
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

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

//! The authorisation to capture a payment. A secret: never logged, and stored only in the event that carries it to
//! processing-service and, until the order is final, beside the order, so that the event can be published again.

use std::fmt;

use super::text::{Malformed, is_printable_ascii};

/// An authorisation that the client obtained at checkout.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentToken(String);

impl PaymentToken {
    const RULE: Malformed = Malformed("must have 1 to 128 printable ASCII characters");

    /// # Errors
    /// [`Malformed`] when it is empty, too long or not printable ASCII.
    pub fn parse(text: impl Into<String>) -> Result<Self, Malformed> {
        let text = text.into();
        let is_valid = is_printable_ascii(&text, 128);
        is_valid.then_some(Self(text)).ok_or(Self::RULE)
    }

    /// For the event, the fingerprint and the store only. Never for a log, a span or a reply.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PaymentToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PaymentToken(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_short_printable_ascii() {
        assert_eq!(
            PaymentToken::parse("tok_approved").unwrap().expose(),
            "tok_approved"
        );
        assert!(PaymentToken::parse("x".repeat(128)).is_ok());
        for text in ["", "tok\n", "£", &"x".repeat(129)] {
            assert_eq!(PaymentToken::parse(text), Err(PaymentToken::RULE));
        }
    }

    #[test]
    fn debug_output_does_not_show_the_token() {
        let token = PaymentToken::parse("tok_approved").unwrap();

        assert_eq!(format!("{token:?}"), "PaymentToken(redacted)");
    }
}

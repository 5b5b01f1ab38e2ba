//! Money: a currency and an integer in its minor unit. No arithmetic rounds.

use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use super::text::Malformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    pub currency: Currency,
    pub minor_units: i64,
}

/// The ISO 4217 currencies that orders can be in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Currency {
    Chf,
    Czk,
    Dkk,
    Eur,
    Gbp,
    Jpy,
    Nok,
    Pln,
    Sek,
    Usd,
}

impl Currency {
    pub(crate) const RULE: Malformed =
        Malformed("must be one of CHF, CZK, DKK, EUR, GBP, JPY, NOK, PLN, SEK, USD");

    /// Parses an ISO 4217 code in upper case.
    ///
    /// # Errors
    /// [`Malformed`] when it is not one of these.
    pub fn parse(code: &str) -> Result<Self, Malformed> {
        code.parse().map_err(|_| Self::RULE)
    }

    pub fn code(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back_and_named_in_the_error() {
        for &currency in Currency::VARIANTS {
            assert_eq!(Currency::parse(currency.code()), Ok(currency));
            assert!(Currency::RULE.to_string().contains(currency.code()));
        }
    }

    #[test]
    fn other_spellings_are_no_currency() {
        for code in ["", "gbp", "GBP ", "XXX", "GB"] {
            assert_eq!(Currency::parse(code), Err(Currency::RULE), "{code}");
        }
    }
}

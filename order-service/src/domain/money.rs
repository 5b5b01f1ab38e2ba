//! Money: a currency and an integer in its minor unit. No arithmetic rounds.

use std::fmt;

use thiserror::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    pub currency: Currency,
    pub minor_units: i64,
}

/// The ISO 4217 currencies that orders can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    pub const ALL: [Self; 10] = [
        Self::Chf,
        Self::Czk,
        Self::Dkk,
        Self::Eur,
        Self::Gbp,
        Self::Jpy,
        Self::Nok,
        Self::Pln,
        Self::Sek,
        Self::Usd,
    ];

    /// Parses an ISO 4217 code in upper case.
    ///
    /// # Errors
    /// [`UnknownCurrency`] when it is not one of [`Currency::ALL`].
    pub fn parse(code: &str) -> Result<Self, UnknownCurrency> {
        Self::ALL
            .into_iter()
            .find(|currency| currency.code() == code)
            .ok_or(UnknownCurrency)
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Chf => "CHF",
            Self::Czk => "CZK",
            Self::Dkk => "DKK",
            Self::Eur => "EUR",
            Self::Gbp => "GBP",
            Self::Jpy => "JPY",
            Self::Nok => "NOK",
            Self::Pln => "PLN",
            Self::Sek => "SEK",
            Self::Usd => "USD",
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be one of CHF, CZK, DKK, EUR, GBP, JPY, NOK, PLN, SEK, USD")]
pub struct UnknownCurrency;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back_and_named_in_the_error() {
        for currency in Currency::ALL {
            assert_eq!(Currency::parse(currency.code()), Ok(currency));
            assert!(UnknownCurrency.to_string().contains(currency.code()));
        }
    }

    #[test]
    fn other_spellings_are_no_currency() {
        for code in ["", "gbp", "GBP ", "XXX", "GB"] {
            assert_eq!(Currency::parse(code), Err(UnknownCurrency), "{code}");
        }
    }
}

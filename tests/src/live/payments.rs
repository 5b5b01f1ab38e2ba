//! The payment switch: which test token the placed orders carry, hence what the simulated provider does.

use serde::{Deserialize, Serialize};

use crate::orders::payment::{APPROVED, DECLINED, SLOW, TIMEOUT_ONCE, UNAVAILABLE};

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Payments {
    /// The token of each invoice, as in `make demo`: most are approved.
    #[default]
    Mixed,
    Approved,
    Slow,
    Hanging,
    Failing,
    Declined,
}

impl Payments {
    /// The token of an order whose own one is given.
    pub(super) fn token(self, own: String) -> String {
        let token = match self {
            Self::Mixed => return own,
            Self::Approved => APPROVED,
            Self::Slow => SLOW,
            Self::Hanging => TIMEOUT_ONCE,
            Self::Failing => UNAVAILABLE,
            Self::Declined => DECLINED,
        };
        token.to_owned()
    }

    /// What the provider does with such orders.
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Mixed => {
                "Payments are as in the data: of 100 orders, 94 are approved at once and 4 declined"
            }
            Self::Approved => "Every payment is approved at once",
            Self::Slow => "The payment provider takes two seconds for every capture",
            Self::Hanging => {
                "The payment provider captures and does not answer; the timeout of 3 s ends the call, and the retry with the same \
                 key gets the answer"
            }
            Self::Failing => {
                "The payment provider is unavailable: five attempts, then the order is rejected and its stock released"
            }
            Self::Declined => {
                "Every payment is declined: the order is rejected and its stock released"
            }
        }
    }
}

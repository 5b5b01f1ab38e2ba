//! The result of the availability check, and the shortages that refuse an order.

use strum::{EnumString, IntoStaticStr};

/// The result of the availability check when an order was accepted. It reserves nothing: processing decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Availability {
    /// The check is off, or the order was written by a release without it.
    NotChecked,
    /// Every line was in stock.
    Confirmed,
    /// The check got no usable response.
    Unverified,
}

impl Availability {
    pub const ALL: [Self; 3] = [Self::NotChecked, Self::Confirmed, Self::Unverified];

    /// The name in the contract, without its prefix.
    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn from_name(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnavailableLine {
    /// Index in the order.
    pub line: usize,
    pub shortage: Shortage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    UnknownSku,
    OutOfStock {
        /// Pieces in stock.
        available: i64,
        /// Pieces of this SKU in all lines of the order.
        asked: i64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_availability_is_read_back_from_its_name() {
        for availability in Availability::ALL {
            assert_eq!(
                Availability::from_name(availability.name()),
                Some(availability)
            );
        }
        assert_eq!(Availability::from_name("PROMISED"), None);
    }
}

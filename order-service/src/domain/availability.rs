//! What was known of the stock when an order was accepted, and what is missing when it is not.

/// What was known of the stock when an order was accepted. It is a look and no reservation: processing decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Availability {
    /// Nobody asked: the check is switched off, or the order is older than the check.
    NotChecked,
    /// Every line was in stock at that moment.
    Confirmed,
    /// The question got no answer that counts.
    Unverified,
}

impl Availability {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::NotChecked, Self::Confirmed, Self::Unverified];

    /// The name, as the contract spells it without its prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotChecked => "NOT_CHECKED",
            Self::Confirmed => "CONFIRMED",
            Self::Unverified => "UNVERIFIED",
        }
    }

    /// Reads a name back.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// A line that asks for what cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnavailableLine {
    /// Its index in the order.
    pub line: usize,
    /// What is wrong with it.
    pub shortage: Shortage,
}

/// Why a line cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The catalogue does not have its SKU.
    UnknownSku,
    /// The lines of its SKU ask for more than there is.
    OutOfStock {
        /// Pieces that can be had.
        available: i64,
        /// Pieces that the order's lines of this SKU ask for together.
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

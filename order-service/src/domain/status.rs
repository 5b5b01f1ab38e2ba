//! The states of an order.

use strum::{EnumString, IntoStaticStr, VariantArray};

/// The state of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderStatus {
    /// Durable and confirmed, not processed yet.
    Accepted,
    /// processing-service has reported progress.
    Processing,
    /// The customer has requested the cancellation; processing-service decides whether it came in time.
    CancelRequested,
    /// Final: paid and shipped.
    Fulfilled,
    /// Final: not processed, for this reason.
    Rejected(RejectionReason),
    /// Final: cancelled in time.
    Cancelled,
}

impl OrderStatus {
    /// Whether no event can change the state any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Accepted | Self::Processing | Self::CancelRequested => false,
            Self::Fulfilled | Self::Rejected(_) | Self::Cancelled => true,
        }
    }

    /// The name in the contract, without its prefix.
    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn rejection_reason(self) -> Option<RejectionReason> {
        match self {
            Self::Rejected(reason) => Some(reason),
            _ => None,
        }
    }

    /// The reverse of `name` and `rejection_reason`.
    pub fn from_names(name: &str, reason: Option<&str>) -> Option<Self> {
        match (name, reason) {
            ("ACCEPTED", None) => Some(Self::Accepted),
            ("PROCESSING", None) => Some(Self::Processing),
            ("CANCEL_REQUESTED", None) => Some(Self::CancelRequested),
            ("FULFILLED", None) => Some(Self::Fulfilled),
            ("REJECTED", Some(reason)) => reason.parse().ok().map(Self::Rejected),
            ("CANCELLED", None) => Some(Self::Cancelled),
            _ => None,
        }
    }
}

/// Why processing-service rejected an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum RejectionReason {
    /// A reason that this release does not know. The order is rejected all the same.
    Unspecified,
    UnknownSku,
    OutOfStock,
    PaymentDeclined,
    /// The payment provider could not be reached within the attempts allowed.
    PaymentUnavailable,
}

impl RejectionReason {
    /// The name in the contract, without its prefix.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_read_back_from_its_names() {
        let rejected = RejectionReason::VARIANTS
            .iter()
            .copied()
            .map(OrderStatus::Rejected);
        let others = [
            OrderStatus::Accepted,
            OrderStatus::Processing,
            OrderStatus::CancelRequested,
            OrderStatus::Fulfilled,
            OrderStatus::Cancelled,
        ];

        for status in rejected.chain(others) {
            let reason = status.rejection_reason().map(RejectionReason::name);
            assert_eq!(OrderStatus::from_names(status.name(), reason), Some(status));
        }
    }

    #[test]
    fn a_reason_belongs_to_a_rejected_order_only() {
        assert_eq!(OrderStatus::from_names("REJECTED", None), None);
        assert_eq!(
            OrderStatus::from_names("ACCEPTED", Some("UNKNOWN_SKU")),
            None
        );
        assert_eq!(OrderStatus::from_names("LOST", None), None);
    }
}

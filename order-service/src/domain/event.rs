//! The events in the life of an order, and their names in its history.

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::status::RejectionReason;

/// An event that may follow the placement of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderEvent {
    /// The only event that a customer causes; all others are outcomes of processing.
    CancellationRequested,
    StockReserved,
    PaymentCaptured,
    OrderFulfilled,
    OrderRejected(RejectionReason),
    /// The cancellation came in time.
    OrderCancelled,
}

impl OrderEvent {
    /// Whether processing-service has decided the event.
    pub fn is_outcome(self) -> bool {
        self != Self::CancellationRequested
    }

    pub fn event_type(self) -> EventType {
        match self {
            Self::CancellationRequested => EventType::CancellationRequested,
            Self::StockReserved => EventType::StockReserved,
            Self::PaymentCaptured => EventType::PaymentCaptured,
            Self::OrderFulfilled => EventType::OrderFulfilled,
            Self::OrderRejected(_) => EventType::OrderRejected,
            Self::OrderCancelled => EventType::OrderCancelled,
        }
    }
}

/// The type of a history entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
pub enum EventType {
    OrderPlaced,
    CancellationRequested,
    StockReserved,
    PaymentCaptured,
    OrderFulfilled,
    OrderRejected,
    OrderCancelled,
}

impl EventType {
    /// The name in the store and in the API; also the name of the protobuf message.
    pub fn name(self) -> &'static str {
        self.into()
    }

    pub fn from_name(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_name_is_read_back() {
        for &event in EventType::VARIANTS {
            assert_eq!(EventType::from_name(event.name()), Some(event));
        }
        assert_eq!(EventType::from_name("OrderLost"), None);
    }
}

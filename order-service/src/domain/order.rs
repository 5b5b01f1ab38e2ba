//! An order and its history: each accepted event raises the version by one and leaves one entry.

use uuid::Uuid;

use super::availability::Availability;
use super::identity::{CustomerId, OrderId};
use super::lines::OrderLines;
use super::new_order::NewOrder;
use super::status::OrderStatus;
use super::timestamp::Timestamp;
use super::transition::{OrderEvent, Refusal, transition};

/// An order and its current state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its identity.
    pub id: OrderId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// What became of it so far.
    pub status: OrderStatus,
    /// Number of the last history entry; 1 when it was placed.
    pub version: u64,
    /// What was ordered.
    pub lines: OrderLines,
    /// What was known of the stock when it was accepted.
    pub availability: Availability,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its state changed last.
    pub updated_at: Timestamp,
}

/// One event in the life of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The order it belongs to.
    pub order_id: OrderId,
    /// Its position in the history, from 1, without gaps.
    pub version: u64,
    /// Identity of the event, as its record carries it.
    pub event_id: Uuid,
    /// What happened.
    pub event_type: EventType,
    /// The state after it.
    pub status: OrderStatus,
    /// When it happened, by the clock of the service that decided it.
    pub occurred_at: Timestamp,
    /// The event of processing that caused it; none for what a customer did, and for what a release wrote that did not
    /// keep it yet.
    pub cause_id: Option<Uuid>,
}

impl Order {
    /// The order that a request makes.
    pub fn placed(
        id: OrderId,
        request: &NewOrder,
        availability: Availability,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            customer_id: request.customer_id.clone(),
            status: OrderStatus::Accepted,
            version: 1,
            lines: request.lines.clone(),
            availability,
            created_at: at,
            updated_at: at,
        }
    }

    /// The first entry of the history.
    pub fn placed_entry(&self, event_id: Uuid) -> HistoryEntry {
        HistoryEntry {
            order_id: self.id,
            version: self.version,
            event_id,
            event_type: EventType::OrderPlaced,
            status: self.status,
            occurred_at: self.created_at,
            cause_id: None,
        }
    }

    /// Lets an event happen: the order moves on, and the entry for its history is returned.
    ///
    /// # Errors
    /// [`Refusal`] when the event must change nothing; the order is then as it was.
    pub fn apply(
        &mut self,
        event: OrderEvent,
        event_id: Uuid,
        at: Timestamp,
    ) -> Result<HistoryEntry, Refusal> {
        self.status = transition(self.status, event)?;
        self.version += 1;
        // The deciding service has another clock: an order never seems to change before it was last seen to.
        self.updated_at = self.updated_at.max(at);
        Ok(HistoryEntry {
            order_id: self.id,
            version: self.version,
            event_id,
            event_type: event.event_type(),
            status: self.status,
            occurred_at: at,
            cause_id: event.is_outcome().then_some(event_id),
        })
    }
}

/// The names of all events in an order's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the names")]
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
    /// Every event, in the sequence of a life.
    pub const ALL: [Self; 7] = [
        Self::OrderPlaced,
        Self::CancellationRequested,
        Self::StockReserved,
        Self::PaymentCaptured,
        Self::OrderFulfilled,
        Self::OrderRejected,
        Self::OrderCancelled,
    ];

    /// The name, which is also the name of the event's message.
    pub fn name(self) -> &'static str {
        match self {
            Self::OrderPlaced => "OrderPlaced",
            Self::CancellationRequested => "CancellationRequested",
            Self::StockReserved => "StockReserved",
            Self::PaymentCaptured => "PaymentCaptured",
            Self::OrderFulfilled => "OrderFulfilled",
            Self::OrderRejected => "OrderRejected",
            Self::OrderCancelled => "OrderCancelled",
        }
    }

    /// Reads a name back.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::line::{OrderLine, Quantity, Sku, UnitPrice};
    use super::super::money::{Currency, Money};
    use super::super::status::RejectionReason;
    use super::*;

    fn placed() -> Order {
        let price = Money {
            currency: Currency::Gbp,
            minor_units: 255,
        };
        let line = OrderLine {
            sku: Sku::parse("85123A").unwrap(),
            quantity: Quantity::parse(6).unwrap(),
            unit_price: UnitPrice::parse(price).unwrap(),
        };
        Order {
            id: OrderId::new(Uuid::from_u128(7)),
            customer_id: CustomerId::parse("guest").unwrap(),
            status: OrderStatus::Accepted,
            version: 1,
            lines: OrderLines::new(vec![line]).unwrap(),
            availability: Availability::Confirmed,
            created_at: Timestamp::from_unix_millis(1_000),
            updated_at: Timestamp::from_unix_millis(1_000),
        }
    }

    fn any_event() -> impl Strategy<Value = OrderEvent> {
        prop::sample::select(vec![
            OrderEvent::CancellationRequested,
            OrderEvent::StockReserved,
            OrderEvent::PaymentCaptured,
            OrderEvent::OrderFulfilled,
            OrderEvent::OrderRejected(RejectionReason::UnknownSku),
            OrderEvent::OrderCancelled,
        ])
    }

    proptest! {
        #[test]
        fn the_version_counts_accepted_events_and_nothing_else(
            events in prop::collection::vec(any_event(), 0..20)
        ) {
            let mut order = placed();
            let mut versions = vec![order.version];

            for event in events {
                let before = order.clone();
                match order.apply(event, Uuid::from_u128(1), Timestamp::from_unix_millis(2_000)) {
                    Ok(entry) => {
                        prop_assert_eq!(entry.status, order.status);
                        versions.push(entry.version);
                    }
                    Err(_) => prop_assert_eq!(&order, &before),
                }
            }

            let without_gaps: Vec<u64> = (1..=versions.len() as u64).collect();
            prop_assert_eq!(versions, without_gaps);
        }
    }

    #[test]
    fn an_order_does_not_change_before_it_was_placed() {
        let mut order = placed();
        let skewed = Timestamp::from_unix_millis(400);

        let entry = order
            .apply(OrderEvent::StockReserved, Uuid::from_u128(1), skewed)
            .unwrap();

        assert_eq!(entry.occurred_at, skewed);
        assert_eq!(order.updated_at, order.created_at);
    }

    #[test]
    fn an_entry_knows_the_event_of_processing_that_caused_it() {
        let mut order = placed();
        let mut cause_of = |event| {
            let entry = order.apply(
                event,
                Uuid::from_u128(1),
                Timestamp::from_unix_millis(2_000),
            );
            entry.unwrap().cause_id
        };

        assert_eq!(
            cause_of(OrderEvent::StockReserved),
            Some(Uuid::from_u128(1))
        );
        assert_eq!(cause_of(OrderEvent::CancellationRequested), None);
    }

    #[test]
    fn every_event_name_is_read_back() {
        for event in EventType::ALL {
            assert_eq!(EventType::from_name(event.name()), Some(event));
        }
        assert_eq!(EventType::from_name("OrderLost"), None);
    }
}

//! An order and its history: each applied event increments the version and adds one entry.

use uuid::Uuid;

use super::availability::Availability;
use super::event::{EventType, OrderEvent};
use super::fingerprint::Fingerprint;
use super::identity::{CustomerId, OrderId, RequestId};
use super::lines::OrderLines;
use super::payment_token::PaymentToken;
use super::status::OrderStatus;
use super::timestamp::Timestamp;
use super::transition::{TransitionRefused, transition};

/// A validated PlaceOrder request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    pub request_id: RequestId,
    pub customer_id: CustomerId,
    pub lines: OrderLines,
    pub payment_token: PaymentToken,
}

impl NewOrder {
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(
            &self.customer_id,
            self.lines.as_slice(),
            &self.payment_token,
        )
    }
}

/// An order and its current state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: OrderId,
    pub customer_id: CustomerId,
    pub status: OrderStatus,
    /// Version of the last history entry; 1 after the placement.
    pub version: u64,
    pub lines: OrderLines,
    /// At the time of acceptance.
    pub availability: Availability,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// One event in the history of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    pub order_id: OrderId,
    /// From 1, without gaps.
    pub version: u64,
    /// The CloudEvents id of the record.
    pub event_id: Uuid,
    pub event_type: EventType,
    /// The state after it.
    pub status: OrderStatus,
    /// By the clock of the service that decided the event.
    pub occurred_at: Timestamp,
    /// The event of processing-service that caused the entry; none for a customer's action, and for entries of releases
    /// that did not store the cause.
    pub cause_id: Option<Uuid>,
}

impl Order {
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

    /// Applies an event and returns the entry for the history.
    ///
    /// # Errors
    /// [`TransitionRefused`]; the order is unchanged.
    pub fn apply(
        &mut self,
        event: OrderEvent,
        event_id: Uuid,
        at: Timestamp,
    ) -> Result<HistoryEntry, TransitionRefused> {
        self.status = transition(self.status, event)?;
        self.version += 1;
        // The deciding service has another clock: `updated_at` must not go backwards.
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
}

//! The order as processing sees it: whose it is does not matter here, only what it asks for and what pays for it.

use std::fmt;

use uuid::Uuid;

use super::payment::{Money, PaymentToken};
use super::stock::Demand;

/// Namespace of shipment ids: a fixed random UUID, so that they cannot meet ids derived elsewhere.
const SHIPMENTS: Uuid = Uuid::from_u128(0x6f0b_83f5_13a7_4c0e_9f2d_51c8_07ae_b9d4);

/// Identity of an order, given by order-service. It is also the idempotency key of every effect that the order has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Uuid);

impl OrderId {
    /// The order with this UUID.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// The UUID.
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Identity of a shipment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShipmentId(Uuid);

impl ShipmentId {
    /// The shipment of this order: always the same, so that shipping twice is seen to be one shipment.
    pub fn of(order: OrderId) -> Self {
        Self(Uuid::new_v5(&SHIPMENTS, order.0.as_bytes()))
    }
}

impl fmt::Display for ShipmentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// An order to process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which order.
    pub id: OrderId,
    /// The pieces it asks for.
    pub demand: Demand,
    /// What is to be captured.
    pub total: Money,
    /// The authorisation to capture from.
    pub payment_token: PaymentToken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_one_shipment_id() {
        let first = OrderId::new(Uuid::from_u128(1));
        let second = OrderId::new(Uuid::from_u128(2));

        assert_eq!(ShipmentId::of(first), ShipmentId::of(first));
        assert_ne!(ShipmentId::of(first), ShipmentId::of(second));
    }
}

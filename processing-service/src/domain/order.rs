//! The part of an order that processing needs: its items and its payment. The customer is not kept.

use std::fmt;

use uuid::Uuid;

use super::payment::{Money, PaymentToken};
use super::stock::Demand;

/// Namespace of shipment ids: a fixed random UUID, so that they cannot collide with ids derived elsewhere.
const SHIPMENTS: Uuid = Uuid::from_u128(0x6f0b_83f5_13a7_4c0e_9f2d_51c8_07ae_b9d4);

/// Identity of an order, assigned by order-service; also the idempotency key of every effect of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Uuid);

impl OrderId {
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShipmentId(Uuid);

impl ShipmentId {
    /// Derived from the order id (UUID v5), so that shipping twice yields the same shipment.
    pub fn of(order: OrderId) -> Self {
        Self(Uuid::new_v5(&SHIPMENTS, order.0.as_bytes()))
    }
}

impl fmt::Display for ShipmentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: OrderId,
    pub demand: Demand,
    /// The amount to capture.
    pub total: Money,
    /// The payment authorisation to capture from.
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

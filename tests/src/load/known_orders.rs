//! Orders that the run has placed, for the operations on existing orders.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use proto::orders::v1::Order;

/// Recent orders are what customers look at; older ones are forgotten.
const KEPT: usize = 1_024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownOrder {
    pub(super) order_id: String,
    pub(super) customer_id: String,
}

#[derive(Debug, Default)]
pub(super) struct KnownOrders(Mutex<VecDeque<KnownOrder>>);

impl KnownOrders {
    pub(super) fn add(&self, order: &Order) {
        let mut orders = self.lock();
        if orders.len() == KEPT {
            orders.pop_front();
        }
        orders.push_back(KnownOrder {
            order_id: order.order_id.clone(),
            customer_id: order.customer_id.clone(),
        });
    }

    /// A random one; `None` before the first.
    pub(super) fn any(&self) -> Option<KnownOrder> {
        let orders = self.lock();
        let number = orders.len();
        (number > 0).then(|| orders[rand::random_range(0..number)].clone())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<KnownOrder>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_order_is_forgotten_first() {
        let known = KnownOrders::default();
        assert_eq!(known.any(), None);

        for number in 0..=KEPT {
            known.add(&Order {
                order_id: number.to_string(),
                ..Order::default()
            });
        }

        let orders = known.lock();
        assert_eq!((orders.len(), orders[0].order_id.as_str()), (KEPT, "1"));
    }
}

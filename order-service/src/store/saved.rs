//! The replies to a batch of new orders after its insert. The unique index on (customer, request id) decides which are new:
//! two equal requests in one batch are handled like two that are a day apart.

use std::collections::{HashMap, HashSet};

use super::order_store::{PlaceOrder, Placed};
use super::rows::{self, SavedRow};
use crate::domain::{CustomerId, Fingerprint, NewOrder, Order, OrderId, RequestId};

type IdempotencyKey = (CustomerId, RequestId);

/// Orders of earlier requests, by idempotency key.
#[derive(Debug, Default)]
pub(super) struct SavedOrders(HashMap<IdempotencyKey, (Fingerprint, Order)>);

impl SavedOrders {
    pub(super) fn read(rows: Vec<SavedRow>) -> Result<Self, sqlx::Error> {
        let mut saved = HashMap::with_capacity(rows.len());
        for row in rows {
            let (request_id, fingerprint, order) = row.into_parts()?;
            saved.insert(
                (order.customer_id.clone(), request_id),
                (fingerprint, order),
            );
        }
        Ok(Self(saved))
    }

    /// One reply per command; `new` are the orders that the batch has inserted.
    pub(super) fn replies(
        &self,
        batch: &[PlaceOrder],
        new: &HashSet<OrderId>,
    ) -> Result<Vec<Placed>, sqlx::Error> {
        let reply = |command: &PlaceOrder| {
            if new.contains(&command.order.id) {
                Ok(Placed::New)
            } else {
                self.reply(command)
            }
        };
        batch.iter().map(reply).collect()
    }

    /// The reply to a retry of this request; `None` if it was not placed yet.
    pub(super) fn reply_to(&self, request: &NewOrder) -> Option<Placed> {
        let key = (request.customer_id.clone(), request.request_id);
        self.find(&key, request.fingerprint())
    }

    fn reply(&self, command: &PlaceOrder) -> Result<Placed, sqlx::Error> {
        let key = (command.order.customer_id.clone(), command.request_id);
        // The insert was skipped although the idempotency key is new: another order has this id.
        self.find(&key, command.fingerprint)
            .ok_or_else(|| rows::damaged("the order id is in use"))
    }

    fn find(&self, key: &IdempotencyKey, wanted: Fingerprint) -> Option<Placed> {
        let (fingerprint, order) = self.0.get(key)?;
        if *fingerprint == wanted {
            Some(Placed::Duplicate(order.clone()))
        } else {
            Some(Placed::Conflict)
        }
    }
}

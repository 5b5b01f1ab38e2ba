//! The replies to a batch of new orders after its insert. The unique index on (customer, request id) decides which are new:
//! two equal requests in one batch are handled like two that are a day apart.

use std::collections::{HashMap, HashSet};

use super::order_store::{PlaceOrder, Placed};
use super::rows::{self, SavedRow};
use crate::domain::{CustomerId, Fingerprint, NewOrder, Order, OrderId, RequestId};

type IdempotencyKey = (CustomerId, RequestId);

/// The idempotency keys of the commands whose order was not inserted.
pub(super) fn retries<'a>(
    batch: impl IntoIterator<Item = &'a PlaceOrder>,
    new: &HashSet<OrderId>,
) -> Vec<(&'a CustomerId, RequestId)> {
    let batch = batch.into_iter();
    let retries = batch.filter(|command| !new.contains(&command.order.id));
    retries
        .map(|command| (&command.order.customer_id, command.request_id))
        .collect()
}

/// Orders of earlier requests, by idempotency key.
#[derive(Debug)]
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
                return Ok(Placed::New);
            }
            let key = (command.order.customer_id.clone(), command.request_id);
            // The insert was skipped although the idempotency key is new: another order has this id.
            self.find(&key, command.fingerprint)
                .ok_or_else(|| rows::damaged("the order id is in use"))
        };
        batch.iter().map(reply).collect()
    }

    /// The reply to a retry of this request; `None` if it was not placed yet.
    pub(super) fn reply_to(&self, request: &NewOrder) -> Option<Placed> {
        let key = (request.customer_id.clone(), request.request_id);
        self.find(&key, request.fingerprint())
    }

    fn find(&self, key: &IdempotencyKey, wanted: Fingerprint) -> Option<Placed> {
        let (fingerprint, order) = self.0.get(key)?;
        let is_retry = *fingerprint == wanted;
        Some(if is_retry {
            Placed::Duplicate(order.clone())
        } else {
            Placed::Conflict
        })
    }
}

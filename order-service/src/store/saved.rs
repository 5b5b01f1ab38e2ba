//! What a batch of new orders is answered, once the database has said which of them are new: the uniqueness of
//! (customer, request id) decides, so two equal requests in one batch are told apart by the same rule as two a day
//! apart.

use std::collections::{HashMap, HashSet};

use super::rows::{self, SavedRow};
use super::{PlaceOrder, Placed};
use crate::domain::{CustomerId, Fingerprint, Order, OrderId, RequestId};

type Intent = (CustomerId, RequestId);

/// Orders that were saved before, by their intent.
#[derive(Debug, Default)]
pub(super) struct SavedOrders(HashMap<Intent, (Fingerprint, Order)>);

impl SavedOrders {
    /// Reads the rows.
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

    /// One answer per command; `new` are the orders that the batch has stored.
    pub(super) fn answers(
        &self,
        batch: &[PlaceOrder],
        new: &HashSet<OrderId>,
    ) -> Result<Vec<Placed>, sqlx::Error> {
        let answer = |command: &PlaceOrder| {
            if new.contains(&command.order.id) {
                Ok(Placed::New)
            } else {
                self.answer(command)
            }
        };
        batch.iter().map(answer).collect()
    }

    fn answer(&self, command: &PlaceOrder) -> Result<Placed, sqlx::Error> {
        let intent = (command.order.customer_id.clone(), command.request_id);
        match self.0.get(&intent) {
            Some((fingerprint, order)) if *fingerprint == command.fingerprint => {
                Ok(Placed::Duplicate(order.clone()))
            }
            Some(_) => Ok(Placed::Conflict),
            // Neither the request id nor a free order id: the order id is taken by a stranger.
            None => Err(rows::damaged("the order id is in use")),
        }
    }
}

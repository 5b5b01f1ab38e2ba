//! What a batch of new orders is answered, once the database has said which of them are new: the uniqueness of
//! (customer, request id) decides, so two equal requests in one batch are told apart by the same rule as two a day
//! apart.

use std::collections::{HashMap, HashSet};

use super::rows::{self, SavedRow};
use super::{PlaceOrder, Placed};
use crate::domain::{CustomerId, Fingerprint, NewOrder, Order, OrderId, RequestId};

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

    /// What a request is answered that was placed before; `None` if it was not.
    pub(super) fn answer_to(&self, request: &NewOrder) -> Option<Placed> {
        let intent = (request.customer_id.clone(), request.request_id);
        self.find(&intent, request.fingerprint())
    }

    fn answer(&self, command: &PlaceOrder) -> Result<Placed, sqlx::Error> {
        let intent = (command.order.customer_id.clone(), command.request_id);
        // Neither the request id nor a free order id: the order id is taken by a stranger.
        self.find(&intent, command.fingerprint)
            .ok_or_else(|| rows::damaged("the order id is in use"))
    }

    fn find(&self, intent: &Intent, wanted: Fingerprint) -> Option<Placed> {
        let (fingerprint, order) = self.0.get(intent)?;
        if *fingerprint == wanted {
            Some(Placed::Duplicate(order.clone()))
        } else {
            Some(Placed::Conflict)
        }
    }
}

//! Async, waiting: the honest variant. The user gets the outcome, or learns at the deadline that there is none yet.

use tokio::time::Instant;

use super::super::ledger::Ledger;
use super::super::order::StudyOrder;
use super::super::way::{Checkout, Reply};
use super::received::Received;

#[derive(Clone, Debug)]
pub(in super::super) struct AsyncWaiting {
    pub(super) received: Received,
    /// Gets the outcomes that the front reads from the topic.
    pub(super) ledger: Ledger,
}

impl Checkout for AsyncWaiting {
    async fn submit(&self, order: &StudyOrder, deadline: Instant) -> Reply {
        if let Err(cause) = self.received.receive(order, deadline).await {
            return Reply::Failed(cause);
        }
        match self.ledger.outcome(order.id, deadline).await {
            Some(outcome) => Reply::Ended(outcome),
            None => Reply::Pending,
        }
    }
}

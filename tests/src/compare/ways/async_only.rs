//! Async only: "received" is all that the user is told. The outcome is read from the topic of processing-service.

use tokio::time::Instant;

use super::super::order::StudyOrder;
use super::super::way::{Checkout, Reply};
use super::received::Received;

#[derive(Clone, Debug)]
pub(in super::super) struct AsyncOnly(pub(super) Received);

impl Checkout for AsyncOnly {
    async fn submit(&self, order: &StudyOrder, deadline: Instant) -> Reply {
        match self.0.receive(order, deadline).await {
            Ok(()) => Reply::Promised,
            Err(cause) => Reply::Failed(cause),
        }
    }
}

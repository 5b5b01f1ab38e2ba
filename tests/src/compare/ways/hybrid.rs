//! Hybrid: PlaceOrder promises, WatchOrder brings the outcome.

use anyhow::Result;
use proto::orders::v1::{Order, OrderStatus};
use tokio::time::Instant;
use tonic::{Code, Request};
use uuid::Uuid;

use super::super::ledger::{Ledger, Outcome};
use super::super::order::StudyOrder;
use super::super::site::{CONNECTIONS, Site};
use super::super::way::{Checkout, Reply};
use super::failed;
use crate::client::connections::Connections;
use crate::client::recorded;
use crate::client::watch::Watch;
use crate::open_loop::answer::within;
use crate::replay::journal::Journal;

#[derive(Clone, Debug)]
pub(in super::super) struct Hybrid {
    calls: Connections,
    /// Not through the proxy of the entry: a broken line would end every watch, which is not what is compared.
    watches: Connections,
    journal: Journal,
    ledger: Ledger,
    /// No watch outlives it.
    watch_until: Instant,
}

impl Hybrid {
    pub(super) fn open(site: &Site, ledger: Ledger) -> Result<Self> {
        Ok(Self {
            calls: Connections::exactly(CONNECTIONS, &site.entry())?,
            watches: Connections::exactly(CONNECTIONS, &site.order_service())?,
            journal: site.journal.clone(),
            ledger,
            watch_until: Instant::now() + site.longest(),
        })
    }

    /// Follows the order of a request until it is final.
    fn watch(&self, id: Uuid, order: &Order) {
        let watch = Watch::new(self.watches.next(), &order.order_id, 0);
        let (ledger, until) = (self.ledger.clone(), self.watch_until);
        tokio::spawn(async move {
            let mut status = OrderStatus::Unspecified;
            // An order that is not followed to its end has no outcome in the ledger.
            if watch
                .until_final(until, |entry| status = entry.status())
                .await
                .is_ok()
            {
                ledger.ended(id, outcome(status));
            }
        });
    }
}

fn outcome(status: OrderStatus) -> Outcome {
    match status {
        OrderStatus::Fulfilled => Outcome::Fulfilled,
        _ => Outcome::Undone,
    }
}

impl Checkout for Hybrid {
    async fn submit(&self, order: &StudyOrder, deadline: Instant) -> Reply {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut client = self.calls.next();
        let mut request = Request::new(order.place());
        request.set_timeout(left);
        let placing = recorded::place(&mut client, &self.journal, request, None);
        match within(left, placing).await {
            Ok(placed) => {
                self.watch(order.id, &placed);
                Reply::Promised
            }
            // ITEMS_UNAVAILABLE, the only one with this code.
            Err(status) if status.code() == Code::FailedPrecondition => Reply::Refused,
            Err(status) => failed(&status),
        }
    }
}

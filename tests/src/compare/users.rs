//! The users: one checkout each, sent when it is due, whether or not earlier ones are answered.
//!
//! All times of a checkout count from when it was due ([`crate::open_loop`]): a client that waits for a slow system before it
//! sends again would hide the wait.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ledger::Ledger;
use super::order::{StudyOrder, StudyOrders};
use super::scenario::{CHECKOUT, Disturbance};
use super::way::{Checkout as _, Reply};
use super::ways::Front;
use crate::open_loop::Arrivals;
use crate::open_loop::pacer::{self, Calls, DueCall};
use crate::open_loop::rate_curve::RateCurve;
use crate::open_loop::schedule::due_times;

/// Checkouts in flight: more than a spike sends within the deadline, so that none is dropped.
const OUTSTANDING: usize = 16_384;

/// A retrying client waits this long after a failed attempt.
const PAUSE: Duration = Duration::from_millis(100);

/// The users of a scenario. Clones share the ids.
#[derive(Clone, Debug)]
pub(super) struct Users {
    front: Front,
    ledger: Ledger,
    orders: StudyOrders,
    disturbance: Disturbance,
    /// The orders that were sent.
    ids: Arc<Mutex<Vec<Uuid>>>,
}

impl Users {
    pub(super) fn new(
        front: &Front,
        ledger: &Ledger,
        orders: &StudyOrders,
        disturbance: Disturbance,
    ) -> Self {
        Self {
            front: front.clone(),
            ledger: ledger.clone(),
            orders: orders.clone(),
            disturbance,
            ids: Arc::default(),
        }
    }

    /// Offers a load and returns the ids of its orders when the last user has an answer.
    ///
    /// # Errors
    /// When a user panicked, or an order was not sent.
    pub(super) async fn offer(&self, load: RateCurve) -> Result<Vec<Uuid>> {
        let stop = CancellationToken::new();
        // If the caller dropped the run, no further order is sent.
        let _stop_if_dropped = stop.clone().drop_guard();
        let due_times = due_times(load, Arrivals::Poisson);
        pacer::run(due_times, OUTSTANDING, stop, self.clone()).await?;
        let ids = std::mem::take(&mut *self.ids.lock().unwrap_or_else(PoisonError::into_inner));
        let answered = self.ledger.answered(&ids);
        ensure!(
            answered == ids.len(),
            "{} users have no answer",
            ids.len() - answered
        );
        Ok(ids)
    }

    /// Notes order number N.
    fn begin(&self, call: DueCall) -> StudyOrder {
        let number = usize::try_from(call.number).unwrap_or(usize::MAX);
        let order = self.orders.order(number, self.disturbance);
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.push(order.id);
        self.ledger.begin(&order, Instant::from_std(call.due));
        order
    }

    async fn until_answered(&self, order: &StudyOrder, deadline: Instant) -> Reply {
        loop {
            self.ledger.attempt(order.id);
            let reply = self.send(order, deadline).await;
            let has_time = Instant::now() + PAUSE < deadline;
            let may_retry = self.disturbance == Disturbance::BrokenLine && has_time;
            if !may_retry || !matches!(reply, Reply::Failed(_)) {
                return reply;
            }
            sleep(PAUSE).await;
        }
    }

    /// The copy of a request that is delivered twice has an answer that the user does not see.
    async fn send(&self, order: &StudyOrder, deadline: Instant) -> Reply {
        if self.disturbance == Disturbance::Twice {
            let (front, copy) = (self.front.clone(), order.clone());
            tokio::spawn(async move { front.submit(&copy, deadline).await });
        }
        self.front.submit(order, deadline).await
    }
}

impl Calls for Users {
    fn make(&self, call: DueCall) -> impl Future<Output = ()> + Send + 'static {
        let users = self.clone();
        async move {
            let order = users.begin(call);
            let deadline = Instant::from_std(call.due) + CHECKOUT;
            let reply = users.until_answered(&order, deadline).await;
            users.ledger.told(order.id, reply);
        }
    }

    /// Counts as an order without an answer.
    fn dropped(&self, call: DueCall) {
        self.begin(call);
    }
}

//! The same orders in three ways, side by side: sync only, async only, hybrid. `make compare` measures them; here they are seen.
//!
//! order-service does not know the orders of the other two ways, so these have a processing-service of their own: the
//! [`Companion`]. What is done to processing-service is done to the companion too.

mod async_only;
mod companion;
mod sync_only;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use futures::future::join_all;
use proto::orders::v1::{Money, PlaceOrderRequest};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::board::{Board, milliseconds};
use super::chapters::Chapter;
use super::payments::Payments;
use super::placing::{Placed, Placing};
use super::story::Story;
use super::tasks::Tasks;
use crate::stack::Stack;

pub(super) use companion::Companion;

/// Orders of each way: enough for a median, few enough to be done in a moment.
const ORDERS: usize = 20;

/// Time that a user waits for an answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Time that outcomes are waited for.
const OUTCOMES: Duration = Duration::from_secs(12);

/// What became of one order.
#[derive(Clone, Copy, Debug, Default)]
struct WayOutcome {
    /// `None`: the user saw an error.
    answered: Option<Duration>,
    /// `None`: not final in time, or not known to be.
    ended: Option<Duration>,
}

/// The figures of a way as the page shows them; times are medians in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct WayRow {
    way: &'static str,
    answer: &'static str,
    orders: usize,
    errors: usize,
    answered_ms: Option<f64>,
    ended: usize,
    ended_ms: Option<f64>,
}

/// One order before it is a message of a way.
#[derive(Clone, Debug)]
struct WayOrder {
    id: Uuid,
    request: PlaceOrderRequest,
    total: Money,
}

#[derive(Clone, Debug)]
pub(super) struct Ways {
    stack: Arc<Stack>,
    companion: Companion,
    placing: Placing,
    board: Board,
    story: Story,
    /// One comparison at a time.
    turn: Arc<Semaphore>,
    rows: Arc<Mutex<Vec<WayRow>>>,
}

impl Ways {
    pub(super) fn new(
        stack: Arc<Stack>,
        companion: Companion,
        (placing, board, story): (Placing, Board, Story),
    ) -> Self {
        Self {
            stack,
            companion,
            placing,
            board,
            story,
            turn: Arc::new(Semaphore::new(1)),
            rows: Arc::default(),
        }
    }

    /// The last comparison; empty before the first.
    pub(super) fn rows(&self) -> Vec<WayRow> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.clone()
    }

    /// Begins a comparison; false while one is in progress.
    pub(super) fn begin(&self, payments: Payments, tasks: &Tasks) -> bool {
        let Ok(turn) = self.turn.clone().try_acquire_owned() else {
            return false;
        };
        let ways = self.clone();
        tasks.spawn(async move {
            ways.story.tell(
                Chapter::Ways,
                format!("{ORDERS} orders are sent in each of three ways. The first time, a second processing-service is started for it."),
            );
            let told = match ways.compare(payments).await {
                Ok(()) => "The three ways are compared: the table has what a user saw in each.".to_owned(),
                Err(error) => format!("The three ways could not be compared: {error:#}"),
            };
            ways.story.tell(Chapter::Ways, told);
            drop(turn);
        });
        true
    }

    async fn compare(&self, payments: Payments) -> Result<()> {
        let second = self.companion.started(&self.stack).await?;
        let orders = || self.orders(payments);
        let (sync_orders, async_orders) = (orders()?, orders()?);
        let (sync_only, async_only, hybrid) = tokio::join!(
            sync_only::run(second, sync_orders),
            async_only::run(second, async_orders),
            self.hybrid(payments),
        );
        let rows = vec![
            WayRow::of("sync only", "it is done", &sync_only?),
            WayRow::of("async only", "it was received", &async_only?),
            WayRow::of("hybrid", "it is promised", &hybrid),
        ];
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
        Ok(())
    }

    fn orders(&self, payments: Payments) -> Result<Vec<WayOrder>> {
        let requests = (0..ORDERS).map(|_| self.placing.next_request(payments).1);
        requests.map(WayOrder::of).collect()
    }

    /// On the stack itself.
    async fn hybrid(&self, payments: Payments) -> Vec<WayOutcome> {
        let orders = (0..ORDERS).map(async |_| {
            let deadline = Instant::now() + OUTCOMES;
            let Placed::Accepted {
                order_id,
                confirmed_ms,
                ..
            } = self.placing.place(payments).await
            else {
                return WayOutcome::default();
            };
            WayOutcome {
                answered: Some(of_milliseconds(confirmed_ms)),
                ended: self.ended(&order_id, deadline).await.map(of_milliseconds),
            }
        });
        join_all(orders).await
    }

    async fn ended(&self, order_id: &str, deadline: Instant) -> Option<f64> {
        while Instant::now() < deadline {
            if let Some(ended) = self.board.outcome_of(order_id) {
                return Some(ended);
            }
            sleep(Duration::from_millis(50)).await;
        }
        None
    }
}

impl WayOrder {
    fn of(request: PlaceOrderRequest) -> Result<Self> {
        let mut total = Money::default();
        for line in &request.lines {
            let price = line.unit_price.as_ref().context("a line without a price")?;
            total.currency_code.clone_from(&price.currency_code);
            total.minor_units += price.minor_units * i64::from(line.quantity);
        }
        Ok(Self {
            id: Uuid::now_v7(),
            request,
            total,
        })
    }
}

impl WayRow {
    fn of(way: &'static str, answer: &'static str, outcomes: &[WayOutcome]) -> Self {
        let answered: Vec<_> = outcomes.iter().filter_map(|order| order.answered).collect();
        let ended: Vec<_> = outcomes.iter().filter_map(|order| order.ended).collect();
        Self {
            way,
            answer,
            orders: outcomes.len(),
            errors: outcomes.len() - answered.len(),
            ended: ended.len(),
            answered_ms: median(answered),
            ended_ms: median(ended),
        }
    }
}

fn median(mut times: Vec<Duration>) -> Option<f64> {
    times.sort();
    times.get(times.len() / 2).copied().map(milliseconds)
}

fn of_milliseconds(milliseconds: f64) -> Duration {
    Duration::from_secs_f64(milliseconds.max(0.0) / 1_000.0)
}

/// Time from one to the other by the clock of this machine, which all processes share.
fn between(start: SystemTime, end: SystemTime) -> Duration {
    end.duration_since(start).unwrap_or_default()
}

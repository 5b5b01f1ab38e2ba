//! Continuous load while a test does something to the system.

use std::time::Duration;

use anyhow::Result;
use futures::future::{ready, try_join_all};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::orders::v1::Order;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::{Draft, System, eventually, is_transient};

/// Concurrent clients, each with one call in flight.
const CLIENTS: usize = 8;

/// Pause between the orders of one client: together 160 orders per second, which two cores sustain.
const PACE: Duration = Duration::from_millis(50);

/// Timeout of one call: the called replica may be frozen.
const ANSWER: Duration = Duration::from_secs(2);

impl System {
    /// Places orders while `work` runs, and returns every confirmed order together with the result of `work`. A client
    /// whose call is not answered retries it at the next replica.
    ///
    /// # Errors
    /// When the work fails, or when an order is refused or not confirmed in time.
    pub async fn under_load<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<(Vec<Order>, T)> {
        let done = CancellationToken::new();
        let clients = try_join_all((0..CLIENTS).map(|_| self.place_until(&done)));
        let work = async {
            // Also on failure: the clients end, and the error is returned.
            let _end = done.clone().drop_guard();
            work.await
        };
        let (orders, result) = tokio::try_join!(clients, work)?;
        Ok((orders.concat(), result))
    }

    async fn place_until(&self, done: &CancellationToken) -> Result<Vec<Order>> {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut orders = Vec::new();
        while !done.is_cancelled() {
            pace.tick().await;
            orders.push(self.place_without_retry(&Draft::of("LAMP", 1)).await?);
        }
        Ok(orders)
    }

    async fn place_without_retry(&self, draft: &Draft) -> Result<Order> {
        eventually("the order is confirmed", async || {
            match timeout(ANSWER, self.place_order(draft)).await {
                Ok(Ok(order)) => Ok(Some(order)),
                Err(_) => Ok(None),
                Ok(Err(status)) if is_transient(&status) => Ok(None),
                // A replica that was frozen finds many cancelled calls and closes their connection.
                Ok(Err(status)) if status.code() == Code::ResourceExhausted => Ok(None),
                Ok(Err(status)) => Err(status.into()),
            }
        })
        .await
    }

    /// Waits until all these orders are final.
    ///
    /// # Errors
    /// When one is not final in time.
    pub async fn all_become_final(&self, orders: &[Order]) -> Result<()> {
        stream::iter(orders)
            .map(|order| self.watch_until_final(&order.order_id))
            .buffer_unordered(CLIENTS)
            .try_for_each(|_| ready(Ok(())))
            .await
    }
}

//! The clients of a measurement: they place orders, each recorded in the journal, and watch them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use proto::orders::v1::{Order, PlaceOrderRequest};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;

use crate::client::connections::Connections;
use crate::client::watch::{Watch, WatchError};
use crate::closed_loop::{Extent, measure};
use crate::open_loop::lean::LeanConnections;
use crate::orders::basket;
use crate::replay::journal::Journal;

/// Connections to a replica: more did not change a figure.
const CONNECTIONS: usize = 4;

/// Deadline of a call; an answer takes milliseconds.
const ANSWER: Duration = Duration::from_secs(10);

/// Deadline of a watch: a backlog of a million orders takes minutes.
const FINAL: Duration = Duration::from_secs(1_800);

/// Clients of one replica of order-service.
#[derive(Clone, Debug)]
pub(super) struct Customers {
    connections: LeanConnections,
    journal: Journal,
    /// Lines of each order; `None`: the usual two.
    lines: Option<usize>,
}

impl Customers {
    pub(super) async fn of(address: SocketAddr, journal: Journal) -> Result<Self> {
        Ok(Self {
            connections: LeanConnections::for_orders(address, CONNECTIONS, ANSWER).await?,
            journal,
            lines: None,
        })
    }

    pub(super) fn with_lines(self, lines: Option<usize>) -> Self {
        Self { lines, ..self }
    }

    /// Places an order.
    pub(super) async fn place(&self) -> Result<Order, Status> {
        let request = self.request();
        let call = self.journal.place(&request, None)?;
        let order = self.connections.place(&request).await;
        call.end(order.as_ref());
        order
    }

    fn request(&self) -> PlaceOrderRequest {
        self.lines.map_or_else(basket::request, basket::request_of)
    }
}

/// Watches of orders to their final state, each in a task.
#[derive(Debug)]
pub(super) struct Watchers {
    connections: Connections,
    unfinished: Arc<Semaphore>,
    watches: Mutex<JoinSet<Result<(), WatchError>>>,
}

impl Watchers {
    /// For at most this many watched orders at once that are not final.
    pub(super) fn new(addresses: &[String], unfinished: usize) -> Result<Self> {
        Ok(Self {
            connections: Connections::to(addresses, unfinished)?,
            unfinished: Arc::new(Semaphore::new(unfinished)),
            watches: Mutex::default(),
        })
    }

    /// Watches an order. Waits while too many watched orders are not final.
    async fn watch(&self, order: &Order) -> Result<()> {
        let permit = Arc::clone(&self.unfinished).acquire_owned().await?;
        let watch = Watch::new(self.connections.next(), &order.order_id, order.version);
        let deadline = Instant::now() + FINAL;
        self.lock().spawn(async move {
            let end = watch.until_final(deadline, |_| {}).await;
            drop(permit);
            end
        });
        Ok(())
    }

    /// Returns when every watched order is final.
    pub(super) async fn until_all_are_final(self) -> Result<()> {
        let mut watches = std::mem::take(&mut *self.lock());
        while let Some(end) = watches.join_next().await {
            end??;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, JoinSet<Result<(), WatchError>>> {
        // Spawning does not panic.
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Places this many orders in a closed loop.
pub(super) async fn place(customers: &[Customers], callers: usize, orders: u64) -> Result<()> {
    let call = |customers: Customers| async move {
        customers.place().await?;
        Ok(())
    };
    measure(callers, Extent::Calls(orders), customers, call).await?;
    Ok(())
}

/// Places this many orders in a closed loop and watches each from its confirmation on.
pub(super) async fn place_watched(
    customers: &[Customers],
    callers: usize,
    orders: u64,
    watchers: &Watchers,
) -> Result<()> {
    let call =
        |customers: Customers| async move { watchers.watch(&customers.place().await?).await };
    measure(callers, Extent::Calls(orders), customers, call).await?;
    Ok(())
}

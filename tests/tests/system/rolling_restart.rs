//! A rollout under load: every process is stopped and restarted in sequence, without a failed call.
//!
//! The client implements gRPC's retry policy (`retryableStatusCodes: [UNAVAILABLE]`, exponential backoff with jitter,
//! the next attempt at the next replica), and nothing else: any other status is a failed call, also CANCELLED, which
//! indicates a server that closes its connections too early. With two replicas of each service the other one answers
//! meanwhile; on the embedded engines there is one, so calls wait until it is back, and none fails either.

use std::error::Error as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{GetOrderRequest, Order, WatchOrderRequest};
use tests::client::retry::RetryBackoff;
use tests::client::vocabulary::is_final;
use tests::system::{Draft, Process, Service, System, WAIT_LIMIT};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

/// Concurrent clients: together about a dozen calls in flight.
const CLIENTS: usize = 48;

/// Load before, between and after the restarts, so that each of them meets orders in every state.
const BREATH: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_fails_no_call_and_publishes_nothing_twice() -> Result<()> {
    let system = System::start().await?;
    let callers = Caller::one_per_client(&system)?;
    let done = CancellationToken::new();
    let clients = try_join_all(callers.iter().map(|caller| caller.call_until(&done)));
    let rollout = async {
        // Also on failure, so that the clients end and the error is reported.
        let _end = done.clone().drop_guard();
        roll(&system).await
    };

    let (orders, ()) = tokio::try_join!(clients, rollout)?;

    let orders: usize = orders.into_iter().sum();
    let retries: u32 = callers.iter().map(Caller::retries).sum();
    println!("{orders} orders, {retries} retried calls");
    assert_eq!(system.stack().restarts(), 0);
    assert_eq!(system.stock("LAMP").await?.shipped, i64::try_from(orders)?);
    // Without unexpected restarts, this allows no duplicate on the topics at all.
    system.finish().await
}

/// Restarts every process of the pair like a rollout: each one after the previous one is ready again.
async fn roll(system: &System) -> Result<()> {
    sleep(BREATH).await;
    for service in Service::PAIR {
        for process in system.stack().processes(service) {
            restart(system, process).await?;
            sleep(BREATH).await;
        }
    }
    Ok(())
}

async fn restart(system: &System, process: Process) -> Result<()> {
    let ending = system.stack().stop_process(process).await;
    let ending = ending.context("it was running")?;
    ensure!(ending.is_clean(), "{process}: {ending}");
    Ok(system.stack().start_process(process).await?)
}

/// A client with the retry policy of gRPC.
struct Caller {
    replicas: Vec<OrderServiceClient<Channel>>,
    turn: AtomicU32,
    retries: AtomicU32,
}

impl Caller {
    fn one_per_client(system: &System) -> Result<Vec<Self>> {
        let replicas = 0..system.addresses().orders.len();
        (0..CLIENTS)
            .map(|number| {
                let clients = replicas.clone().map(|replica| system.client_of(replica));
                Ok(Self {
                    replicas: clients.collect::<Result<_>>()?,
                    turn: AtomicU32::new(u32::try_from(number)?),
                    retries: AtomicU32::new(0),
                })
            })
            .collect()
    }

    fn retries(&self) -> u32 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Places orders, reads and watches each until it is final; returns their number.
    async fn call_until(&self, done: &CancellationToken) -> Result<usize> {
        let mut orders = 0;
        while !done.is_cancelled() {
            let order = self.place().await.context("PlaceOrder")?;
            self.get(&order.order_id).await.context("GetOrder")?;
            self.watch(&order.order_id).await.context("WatchOrder")?;
            orders += 1;
        }
        Ok(orders)
    }

    async fn place(&self) -> Result<Order> {
        let draft = Draft::of("LAMP", 1);
        let placed = self.call(async |mut client| client.place_order(draft.request()).await);
        placed.await?.order.context("an order")
    }

    async fn get(&self, order_id: &str) -> Result<()> {
        let request = GetOrderRequest {
            order_id: order_id.to_owned(),
        };
        let read = self.call(async |mut client| client.get_order(request.clone()).await);
        read.await?.order.context("an order").map(drop)
    }

    /// A stream that ends with UNAVAILABLE is resumed after the last version received.
    async fn watch(&self, order_id: &str) -> Result<()> {
        let mut after_version = 0;
        loop {
            let request = WatchOrderRequest {
                order_id: order_id.to_owned(),
                after_version,
            };
            let opened = self.call(async |mut client| client.watch_order(request.clone()).await);
            let mut stream = opened.await?;
            loop {
                match stream.message().await {
                    Ok(Some(shown)) => {
                        let entry = shown.entry.context("an entry")?;
                        ensure!(entry.version == after_version + 1, "{entry:?}");
                        after_version = entry.version;
                        if is_final(entry.status) {
                            return Ok(());
                        }
                    }
                    Err(status) if status.code() == Code::Unavailable => break,
                    other => bail!("the stream of order {order_id} ended: {other:?}"),
                }
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn call<T>(
        &self,
        attempt: impl AsyncFn(OrderServiceClient<Channel>) -> Result<Response<T>, Status>,
    ) -> Result<T> {
        let begun = Instant::now();
        let mut backoff = RetryBackoff::default();
        loop {
            match attempt(self.next()).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if may_be_sent_again(&status) && begun.elapsed() < WAIT_LIMIT => {}
                Err(status) => bail!("after {:?}: {status:?}", begun.elapsed()),
            }
            self.retries.fetch_add(1, Ordering::Relaxed);
            sleep(backoff.next_pause()).await;
        }
    }

    /// The next replica, round robin.
    fn next(&self) -> OrderServiceClient<Channel> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) as usize;
        self.replicas[turn % self.replicas.len()].clone()
    }
}

/// Retryable: UNAVAILABLE, and a call that no method has seen, which every gRPC client retries (gRFC A6, transparent
/// retries).
fn may_be_sent_again(status: &Status) -> bool {
    status.code() == Code::Unavailable || was_not_processed(status)
}

/// A call that meets a closing connection. While it waits for its turn, hyper cancels it: CANCELLED in tonic. When the
/// GOAWAY arrives between its turn and its first frame, or names an earlier stream as the last, h2 fails it with that
/// GOAWAY: INTERNAL in tonic. No server has processed it (RFC 9113, section 6.8).
fn was_not_processed(status: &Status) -> bool {
    let mut causes = std::iter::successors(status.source(), |error| (*error).source());
    causes.any(|cause| {
        let is_cancelled = cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_canceled);
        is_cancelled || cause.downcast_ref().is_some_and(is_graceful_goaway)
    })
}

fn is_graceful_goaway(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
}

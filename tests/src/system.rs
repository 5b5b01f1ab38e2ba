//! The harness of the system tests: a stack per test, and verbs to drive it.
//!
//! ```text
//! let system = System::start().await?;
//! let order = system.place_order(&Draft::of("MUG", 2)).await?;
//! let history = system.watch_until_final(&order.order_id).await?;
//! system.finish().await
//! ```
//!
//! On Apache Kafka a system has a broker of a pool to itself, under a KAFKA_TOPIC_PREFIX of its own; a test that stops,
//! kills or freezes its broker begins with [`System::start_with_own_broker`].
//!
//! Every test ends with [`System::finish`]: the audit must be green and every process must stop cleanly. A system that
//! is dropped without it has failed; its log directory is kept and printed.

mod broker_pool;
mod crash_plan;
mod draft;
mod eventually;
mod foreign_records;
mod groups;
mod home;
mod load;
mod memory;
mod outbox;
mod processes;
mod program;
mod starting;
mod stock;
mod stopping;
mod topic;
mod topic_changes;
mod watching;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use auditor::Limits;
use auditor::verdict::Verdict;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, ListOrdersResponse, Order,
    PlaceOrderRequest,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::audit::{self, settled};
use crate::client::connections::Connections;
use crate::client::recorded;
use crate::replay::journal::Journal;
use crate::stack::{Stack, StackAddresses};
use broker_pool::PooledBroker;
use home::Home;
use stopping::stop_cleanly;

pub use crate::stack::{Process, Service};
pub use crash_plan::CrashPlan;
pub use draft::{CUSTOMER, Draft};
pub use eventually::{WAIT_LIMIT, eventually};
pub use foreign_records::ForeignRecords;
pub use program::run_to_end;
pub use starting::engines;
pub use stock::Stock;
pub use topic::{Topic, TopicRecord};

pub(crate) use topic::record_of;
pub use watching::statuses;

/// The catalogue of every system: SKU and opening stock.
pub const STOCK: [(&str, u64); 3] = [("MUG", 1_000), ("TEAPOT", 5), ("LAMP", 100_000)];

/// File name of the journal in the system's directory.
const JOURNAL: &str = "journal.jsonl";

#[derive(Debug)]
pub struct System {
    stack: Stack,
    clients: Connections,
    home: Home,
    /// Whether the journal is incomplete, because a test has made calls without it.
    has_other_clients: AtomicBool,
    journal: Journal,
    /// Unless the broker is its own.
    broker: Option<PooledBroker>,
}

impl System {
    /// A client of order-service, round robin over its replicas. Its calls are not recorded in the journal.
    pub fn client(&self) -> OrderServiceClient<Channel> {
        self.has_other_clients.store(true, Ordering::Relaxed);
        self.clients.next()
    }

    /// A client of one replica of order-service. Its calls are not recorded in the journal.
    ///
    /// # Errors
    /// When there is no such replica.
    pub fn client_of(&self, replica: usize) -> Result<OrderServiceClient<Channel>> {
        let address = self.addresses().orders.get(replica);
        let address = address.context("there is no such replica")?;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        self.has_other_clients.store(true, Ordering::Relaxed);
        Ok(OrderServiceClient::new(endpoint.connect_lazy()))
    }

    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    pub fn addresses(&self) -> &StackAddresses {
        self.stack.addresses()
    }

    /// Places an order.
    ///
    /// # Errors
    /// The status that order-service answers.
    pub async fn place_order(&self, draft: &Draft) -> Result<Order, Status> {
        self.place(draft.request()).await
    }

    /// Places an order as a well-behaved client: retries with the same request id while the service is down.
    ///
    /// # Errors
    /// When it is refused, or not confirmed within [`WAIT_LIMIT`].
    pub async fn place_order_retrying(&self, draft: &Draft) -> Result<Order> {
        eventually("the order is confirmed", async || {
            match self.place_order(draft).await {
                Ok(order) => Ok(Some(order)),
                Err(status) if is_transient(&status) => Ok(None),
                Err(status) => Err(status.into()),
            }
        })
        .await
    }

    /// Sends a PlaceOrder request unchanged.
    ///
    /// # Errors
    /// The status that order-service answers.
    pub async fn place(&self, request: PlaceOrderRequest) -> Result<Order, Status> {
        recorded::place(&mut self.clients.next(), &self.journal, request, None).await
    }

    /// Reads an order.
    ///
    /// # Errors
    /// The status that order-service answers.
    pub async fn order(&self, order_id: &str) -> Result<Order, Status> {
        let order_id = order_id.to_owned();
        let request = GetOrderRequest { order_id };
        recorded::get(&mut self.clients.next(), &self.journal, request).await
    }

    /// Requests the cancellation of an order.
    ///
    /// # Errors
    /// The status that order-service answers.
    pub async fn cancel(&self, order_id: &str) -> Result<Order, Status> {
        let order_id = order_id.to_owned();
        let request = CancelOrderRequest { order_id };
        recorded::cancel(&mut self.clients.next(), &self.journal, request).await
    }

    /// Reads one page of the test customer's orders.
    ///
    /// # Errors
    /// The status that order-service answers.
    pub async fn list(
        &self,
        page_size: i32,
        page_token: &str,
    ) -> Result<ListOrdersResponse, Status> {
        let request = ListOrdersRequest {
            customer_id: CUSTOMER.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
        };
        Ok(self.clients.next().list_orders(request).await?.into_inner())
    }

    pub fn topic(&self, name: &'static str) -> Topic {
        Topic::of(&self.stack, name)
    }

    /// The data directory of this system.
    pub fn data_dir(&self) -> &Path {
        self.stack.data_dir()
    }

    /// Waits until no work is in progress and audits the orders.
    ///
    /// # Errors
    /// When the databases cannot be read, or when the audit finds violations.
    pub async fn audit(&self) -> Result<()> {
        // Unfinished work after that is reported by the audit.
        settled::wait(&self.stack, WAIT_LIMIT).await?;
        let verdict = self.verdict(Limits::default()).await?;
        ensure!(verdict.is_ok(), "{verdict}");
        Ok(())
    }

    /// Runs the auditor on the running system.
    ///
    /// # Errors
    /// When topics, databases or journal cannot be read.
    pub async fn verdict(&self, limits: Limits) -> Result<Verdict> {
        let limits = self.complete(limits);
        audit::now(&self.stack, Some(&self.journal_file()), &limits).await
    }

    /// Ends the test: every order must be final, the audit green, and every process must stop cleanly. No event may be
    /// in the retry store, and unless a process was restarted no event may be published twice.
    ///
    /// # Errors
    /// When one of these does not hold.
    pub async fn finish(self) -> Result<()> {
        let limits = Limits {
            wire_duplicates: (self.stack.restarts() == 0).then_some(0),
            set_aside: Some(0),
            ..Limits::default()
        };
        self.finish_within(limits).await.map(drop)
    }

    /// Ends a test whose limits are wider, or narrower, than those of [`System::finish`].
    ///
    /// # Errors
    /// When the audit exceeds these limits, or a process does not stop cleanly.
    pub async fn finish_within(self, limits: Limits) -> Result<Verdict> {
        self.journal.close()?;
        let (limits, journal) = (self.complete(limits), self.journal_file());
        let verdict =
            audit::of_the_stopped(&self.stack, Some(&journal), limits, WAIT_LIMIT).await?;
        ensure!(verdict.is_ok(), "{verdict}");
        self.discard().await?;
        Ok(verdict)
    }

    fn complete(&self, limits: Limits) -> Limits {
        let has_other_clients =
            limits.has_other_clients || self.has_other_clients.load(Ordering::Relaxed);
        Limits {
            has_other_clients,
            ..limits
        }
    }

    fn journal_file(&self) -> std::path::PathBuf {
        self.home.path().join(JOURNAL)
    }

    /// Ends a test without an audit: every process must stop cleanly.
    ///
    /// # Errors
    /// When one does not.
    pub async fn discard(self) -> Result<()> {
        let Self {
            stack,
            home,
            broker,
            ..
        } = self;
        stop_cleanly(stack).await?;
        if let Some(broker) = broker {
            broker.give_back()?;
        }
        home.remove()
    }
}

/// The transient errors while a service restarts: no connection, a broken connection, or UNAVAILABLE.
fn is_transient(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal
    )
}

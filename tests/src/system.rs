//! The harness of the system tests: a whole stack of its own for one test, and verbs to drive it.
//!
//! ```text
//! let system = System::start().await?;
//! let order = system.place_order(&Draft::of("MUG", 2)).await?;
//! let history = system.watch_until_final(&order.order_id).await?;
//! system.finish().await
//! ```
//!
//! Every test ends with [`System::finish`]: the audit must be green and every process must stop cleanly. A system that
//! is dropped without it has failed, and says where its logs are.

mod draft;
mod eventually;
mod home;
mod program;
mod stock;
mod topic;
mod watching;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, ListOrdersResponse, Order,
    PlaceOrderRequest,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::audit::{self, Databases, settled};
use crate::stack::{Addresses, CatalogueSource, Ending, Stack, StackConfig};
use home::Home;

pub use crate::stack::Process;
pub use draft::{CUSTOMER, Draft};
pub use eventually::{PATIENCE, eventually};
pub use program::run_to_end;
pub use stock::Stock;
pub use topic::{Topic, TopicRecord};
pub use watching::statuses;

/// What every system sells, with the opening stock.
pub const STOCK: [(&str, u64); 3] = [("MUG", 1_000), ("TEAPOT", 5), ("LAMP", 1_000)];

/// A running system of its own.
#[derive(Debug)]
pub struct System {
    stack: Stack,
    client: OrderServiceClient<Channel>,
    home: Home,
}

impl System {
    /// Starts a system with default settings.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a system with environment variables for single processes.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_with(environment: &[(Process, &str, &str)]) -> Result<Self> {
        let environment = environment
            .iter()
            .map(|(process, name, value)| (*process, (*name).to_owned(), (*value).to_owned()));
        Self::start_in(Home::new()?, environment.collect()).await
    }

    /// Stops the whole stack cleanly and starts another one, with default settings, on the same data.
    ///
    /// # Errors
    /// When a process does not stop cleanly, or the new stack does not start.
    pub async fn start_again(self) -> Result<Self> {
        let Self { stack, home, .. } = self;
        stop_cleanly(stack).await?;
        Self::start_in(home, Vec::new()).await
    }

    async fn start_in(home: Home, environment: Vec<(Process, String, String)>) -> Result<Self> {
        let mut config = StackConfig::on_free_ports(home.path(), catalogue());
        config.environment = environment;
        let stack = Stack::start(config).await?;
        // Lazy: the channel reconnects by itself when order-service comes back.
        let endpoint = Endpoint::from_shared(format!("http://{}", stack.addresses().orders))?;
        let client = OrderServiceClient::new(endpoint.connect_lazy());
        Ok(Self {
            stack,
            client,
            home,
        })
    }

    /// A client of order-service.
    pub fn client(&self) -> OrderServiceClient<Channel> {
        self.client.clone()
    }

    /// Where the processes listen.
    pub fn addresses(&self) -> &Addresses {
        self.stack.addresses()
    }

    /// Places an order.
    ///
    /// # Errors
    /// The status that order-service answers.
    pub async fn place_order(&self, draft: &Draft) -> Result<Order, Status> {
        self.place(draft.request()).await
    }

    /// Places an order as a well-behaved client does: repeats it under the same request id while the service is away.
    ///
    /// # Errors
    /// When it is refused, or not confirmed for too long.
    pub async fn place_order_patiently(&self, draft: &Draft) -> Result<Order> {
        eventually("the order is confirmed", async || {
            match self.place_order(draft).await {
                Ok(order) => Ok(Some(order)),
                Err(status) if is_transient(&status) => Ok(None),
                Err(status) => Err(status.into()),
            }
        })
        .await
    }

    /// Sends a PlaceOrder request as it is.
    ///
    /// # Errors
    /// The status that order-service answers.
    pub async fn place(&self, request: PlaceOrderRequest) -> Result<Order, Status> {
        let response = self.client().place_order(request).await?.into_inner();
        the_order(response.order)
    }

    /// Reads an order.
    ///
    /// # Errors
    /// The status that order-service answers.
    pub async fn order(&self, order_id: &str) -> Result<Order, Status> {
        let order_id = order_id.to_owned();
        let request = GetOrderRequest { order_id };
        let response = self.client().get_order(request).await?.into_inner();
        the_order(response.order)
    }

    /// Asks to cancel an order.
    ///
    /// # Errors
    /// The status that order-service answers.
    pub async fn cancel(&self, order_id: &str) -> Result<Order, Status> {
        let order_id = order_id.to_owned();
        let request = CancelOrderRequest { order_id };
        let response = self.client().cancel_order(request).await?.into_inner();
        the_order(response.order)
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
        Ok(self.client().list_orders(request).await?.into_inner())
    }

    /// A topic of this system's broker.
    pub fn topic(&self, name: &'static str) -> Topic {
        Topic::new(self.addresses().kafka.clone(), name)
    }

    /// Kills a process with SIGKILL and waits until the stack has restarted it and it is ready again.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn kill(&self, process: Process) -> Result<()> {
        let before = self.stack.state(process).restarts;
        self.stack.kill(process).await;
        eventually(&format!("{process} is restarted"), async || {
            Ok((self.stack.state(process).restarts > before).then_some(()))
        })
        .await?;
        tokio::time::timeout(PATIENCE, self.stack.until_ready(process))
            .await
            .with_context(|| format!("{process} is not ready again after a kill"))
    }

    /// Stops a process as an operator does, with SIGTERM, and keeps it down.
    ///
    /// # Errors
    /// When it was not running.
    pub async fn stop(&self, process: Process) -> Result<Ending> {
        self.stack
            .stop_process(process)
            .await
            .with_context(|| format!("{process} was not running"))
    }

    /// Starts a process that was stopped and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart(&self, process: Process) -> Result<()> {
        Ok(self.stack.start_process(process).await?)
    }

    /// Where everything of this system is kept.
    pub fn data_dir(&self) -> &Path {
        self.stack.data_dir()
    }

    /// The database file of a service.
    pub fn database(&self, process: Process) -> PathBuf {
        self.stack.database(process)
    }

    /// Everything that a process has logged.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub fn log(&self, process: Process) -> Result<String> {
        let path = self.stack.log_file(process);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Waits until nothing is under way any more and audits what has become of the orders.
    ///
    /// # Errors
    /// When the databases cannot be read, or when the audit finds violations.
    pub async fn audit(&self) -> Result<()> {
        let databases = Databases {
            orders: self.database(Process::Orders),
            processing: self.database(Process::Processing),
        };
        // What is still under way after that, the audit names.
        settled::wait(&databases, PATIENCE).await?;
        let verdict = audit::run(&databases, None).await?;
        ensure!(verdict.is_ok(), "{verdict}");
        Ok(())
    }

    /// Ends the test: every order must be final, the audit green, and every process must stop cleanly.
    ///
    /// # Errors
    /// Whatever of this does not hold.
    pub async fn finish(self) -> Result<()> {
        self.audit().await?;
        let Self { stack, home, .. } = self;
        for (process, ending) in stack.stop().await {
            ensure!(
                ending.is_clean(),
                "{process} did not stop cleanly: {ending}"
            );
        }
        home.remove()
    }
}

async fn stop_cleanly(stack: Stack) -> Result<()> {
    for (process, ending) in stack.stop().await {
        ensure!(
            ending.is_clean(),
            "{process} did not stop cleanly: {ending}"
        );
    }
    Ok(())
}

fn catalogue() -> CatalogueSource {
    let lines = STOCK.map(|(sku, stock)| format!("{sku},{sku} of the tests,{stock}\n"));
    CatalogueSource::Text(format!("sku,name,opening_stock\n{}", lines.concat()))
}

fn the_order(order: Option<Order>) -> Result<Order, Status> {
    order.ok_or_else(|| Status::data_loss("the response has no order"))
}

/// What a client sees while a service restarts: no connection, a connection that breaks, or a polite refusal.
fn is_transient(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal
    )
}

//! The availability check: a call to processing-service before an order is accepted.
//!
//! ```text
//! PlaceOrder ─▶ check ─┬─ every line in stock ──▶ CONFIRMED       by cached reports, or else by a call
//!                      ├─ shortage ─────────────▶ refused, with the shortage of each line
//!                      └─ no usable response: timeout, error, breaker open, no time left
//!                           ├─ best-effort ─────▶ UNVERIFIED, and processing decides
//!                           └─ required ────────▶ refused, retryable
//! ```
//!
//! It is the only synchronous call before the commit, so it has a budget: at most `AVAILABILITY_TIMEOUT`, and never the time
//! that the commit needs. Deadline, retries and circuit breaker are those of [`grpc::client`].
//!
//! A call per order would cost as much as the rest of the confirmation. Therefore orders share calls (`shared_calls`), and
//! reports are used again until `AVAILABILITY_MAX_AGE` (`report_cache`). Any response can be outdated when it arrives, since
//! the check reserves nothing (ADR 12); the setting bounds by how much.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use grpc::client::{Address, BreakerRules, Dependency, Discovery, ServiceClient, ServiceConfig};
use grpc::tls::{ClientTls, Connector};
use service::command_line::ExitError;
use service::deadline::Deadline;
use sql::group_commit::{GroupCommit, GroupCommitConfig};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::availability::{self, Reports, Verdict};
use crate::config::{AvailabilityConfig, AvailabilityPolicy, InventoryConfig};
use crate::domain::{Availability, OrderLines, UnavailableLine};

mod report_cache;
mod shared_calls;

use report_cache::ReportCache;
use shared_calls::{Question, SharedCalls};

/// Reserved of the caller's deadline for the commit: it takes a few milliseconds, and twice that if it waits for the commit
/// before.
const COMMIT_RESERVE: Duration = Duration::from_millis(20);

/// The client of the check, connected to nothing yet.
#[derive(Debug)]
pub struct InventoryClient {
    config: AvailabilityConfig,
    /// `None`: the check is off.
    client: Option<ServiceClient>,
}

/// The check; clones share it.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// `None`: the check is off.
    check: Option<Check>,
}

#[derive(Clone, Debug)]
struct Check {
    is_required: bool,
    timeout: Duration,
    cache: Arc<ReportCache>,
    calls: GroupCommit<SharedCalls>,
}

/// The background work of the client: discovery and certificate renewal.
#[must_use = "without it, no replica of processing-service is discovered"]
#[derive(Debug)]
pub struct InventoryUpkeep {
    discovery: Discovery,
    tls: Option<ClientTls>,
}

/// Why the check refuses an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAvailable {
    /// These lines have a shortage.
    Lines(Vec<UnavailableLine>),
    /// No usable response, and the policy requires one.
    Unknown,
}

impl InventoryClient {
    /// Creates the client and its background work. Nothing is connected yet.
    ///
    /// # Errors
    /// For an unusable configuration.
    pub fn new(config: &InventoryConfig) -> Result<(Self, Option<InventoryUpkeep>), ExitError> {
        let availability = config.availability;
        let off = Self {
            config: availability,
            client: None,
        };
        if availability.policy == AvailabilityPolicy::Off {
            return Ok((off, None));
        }
        let tls = config.tls.as_ref().map(ClientTls::load).transpose();
        let tls = tls.map_err(unusable("setting up TLS"))?;
        let connectors = connectors(config, tls.as_ref())?;
        let service_config = ServiceConfig::parse(proto::SERVICE_CONFIG);
        let dependency = Dependency {
            name: "processing-service",
            caller: env!("CARGO_PKG_NAME"),
            service_config: service_config.map_err(unusable("parsing the service config"))?,
            breaker: BreakerRules::with_slow_call(availability.slow_call()),
        };
        let connect = move |address: &Address| {
            let connector = connectors.get(address).cloned();
            connector.unwrap_or_else(Connector::plain)
        };
        let (client, discovery) = ServiceClient::new(&config.addresses, dependency, connect);
        let client = Some(client);
        let upkeep = InventoryUpkeep { discovery, tls };
        Ok((Self { client, ..off }, Some(upkeep)))
    }

    /// Registers the metrics of the client.
    pub fn observe(&self) {
        if let Some(client) = &self.client {
            client.observe();
        }
    }

    /// Starts the task that makes the calls on `tracker`; it ends when the last clone of the check is dropped.
    pub fn start(self, tracker: &TaskTracker) -> Inventory {
        let Self { config, client } = self;
        let start = |client| {
            let cache = Arc::new(ReportCache::new(config.max_age));
            let calls = SharedCalls {
                client,
                cache: Arc::clone(&cache),
                patience: config.slow_call(),
                overdue: tracker.clone(),
            };
            Check {
                is_required: config.policy == AvailabilityPolicy::Required,
                timeout: config.timeout,
                cache,
                calls: GroupCommit::start(calls, GroupCommitConfig::default(), tracker),
            }
        };
        Inventory {
            check: client.map(start),
        }
    }
}

impl Inventory {
    /// No check: orders are accepted as NOT_CHECKED.
    pub fn off() -> Self {
        Self { check: None }
    }

    /// Checks these lines for a call with this deadline.
    ///
    /// # Errors
    /// [`NotAvailable`] when the order must not be accepted.
    pub async fn check(
        &self,
        lines: &OrderLines,
        deadline: Deadline,
    ) -> Result<Availability, NotAvailable> {
        let Some(check) = &self.check else {
            return Ok(Availability::NotChecked);
        };
        match check.run(lines, deadline).await {
            Some(Verdict::Confirmed) => Ok(Availability::Confirmed),
            Some(Verdict::Refused(lines)) => Err(NotAvailable::Lines(lines)),
            None if check.is_required => Err(NotAvailable::Unknown),
            None => Ok(Availability::Unverified),
        }
    }
}

impl Check {
    /// `None` without a usable response in time.
    async fn run(&self, lines: &OrderLines, deadline: Deadline) -> Option<Verdict> {
        let cached = self.cache.verdict(lines, Instant::now());
        if cached.is_some() {
            return cached;
        }
        let budget = self.budget(deadline)?;
        let reports = budget.bound(self.ask(lines, budget)).await.ok()??;
        availability::verdict(lines, |sku| reports.get(sku).copied())
    }

    /// Waits for the call that these lines share with those of other orders.
    async fn ask(&self, lines: &OrderLines, budget: Deadline) -> Option<Arc<Reports>> {
        let call = self
            .calls
            .submit(Question::about(lines, budget))
            .await
            .ok()?;
        call.await.ok()
    }

    /// The deadline of the check for a call with this deadline; `None` if less than half of the timeout is left. Then the
    /// response would rarely come in time, and each timeout counts as a failure in the breaker that all calls share.
    fn budget(&self, deadline: Deadline) -> Option<Deadline> {
        let usual = Deadline::within(self.timeout);
        let budget = deadline.less(COMMIT_RESERVE).earlier(usual);
        let is_enough = budget
            .remaining()
            .is_none_or(|remaining| remaining >= self.timeout / 2);
        is_enough.then_some(budget)
    }
}

fn unusable<E: Error + Send + Sync + 'static>(operation: &str) -> impl Fn(E) -> ExitError {
    move |error| {
        let error = ExitError::failed(error).context(operation);
        error.context("PROCESSING_ADDRESS")
    }
}

/// The connector of each address. For https, the certificate must be for the host of the address.
fn connectors(
    config: &InventoryConfig,
    tls: Option<&ClientTls>,
) -> Result<HashMap<Address, Connector>, ExitError> {
    let connector = |address: &Address| match tls {
        Some(tls) if address.is_secure() => {
            Connector::tls(tls.clone(), address.host()).map_err(|_| {
                ExitError::failed(format!(
                    "PROCESSING_ADDRESS: {address} is not a valid name in a certificate"
                ))
            })
        }
        _ => Ok(Connector::plain()),
    };
    let addresses = config.addresses.iter();
    addresses
        .map(|address| Ok((address.clone(), connector(address)?)))
        .collect()
}

impl InventoryUpkeep {
    /// Discovers replicas and renews certificates until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let discovery = self.discovery.run(shutdown.clone());
        match self.tls {
            Some(tls) => _ = tokio::join!(discovery, tls.renew(shutdown)),
            None => discovery.await,
        }
    }
}

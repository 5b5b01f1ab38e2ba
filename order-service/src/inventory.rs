//! The availability check: a call to processing-service before an order is accepted.
//!
//! ```text
//! PlaceOrder ─▶ check ─┬─ every line in stock ──▶ CONFIRMED
//!                      ├─ shortage ─────────────▶ refused, with the shortage of each line
//!                      └─ no usable response: timeout, error, breaker open, no time left
//!                           ├─ best-effort ─────▶ UNVERIFIED, and processing decides
//!                           └─ required ────────▶ refused, retryable
//! ```
//!
//! It is the only synchronous call before the commit, so it has a budget: at most `AVAILABILITY_TIMEOUT`, and never the time
//! that the commit needs. Deadline, retries and circuit breaker are those of [`grpc::client`].

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use grpc::client::{Address, BreakerRules, Dependency, Discovery, ServiceClient, ServiceConfig};
use grpc::tls::{ClientTls, Connector};
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::inventory::v1::{CheckAvailabilityRequest, CheckAvailabilityResponse};
use service::command_line::ExitError;
use service::deadline::Deadline;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};

use crate::availability::{self, Verdict};
use crate::config::{AvailabilityPolicy, InventoryConfig};
use crate::domain::{Availability, OrderLines, UnavailableLine};

/// Reserved of the caller's deadline for the commit: it takes a few milliseconds, and twice that if it waits for the commit
/// before.
const COMMIT_RESERVE: Duration = Duration::from_millis(20);

/// Largest response message: 500 items with the longest SKUs are some 40 KiB.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// The client of the check; clones share it.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// `None`: the check is off.
    check: Option<Check>,
}

#[derive(Clone, Debug)]
struct Check {
    is_required: bool,
    timeout: Duration,
    client: ServiceClient,
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

impl Inventory {
    /// No check: orders are accepted as NOT_CHECKED.
    pub fn off() -> Self {
        Self { check: None }
    }

    /// Creates the client and its background work. Nothing is connected yet.
    ///
    /// # Errors
    /// For an unusable configuration.
    pub fn new(config: &InventoryConfig) -> Result<(Self, Option<InventoryUpkeep>), ExitError> {
        let is_required = match config.availability.policy {
            AvailabilityPolicy::Off => return Ok((Self::off(), None)),
            AvailabilityPolicy::BestEffort => false,
            AvailabilityPolicy::Required => true,
        };
        let timeout = config.availability.timeout;
        let tls = config.tls.as_ref().map(ClientTls::load).transpose();
        let tls = tls.map_err(unusable("setting up TLS"))?;
        let connectors = connectors(config, tls.as_ref())?;
        let service_config = ServiceConfig::parse(proto::SERVICE_CONFIG);
        let dependency = Dependency {
            name: "processing-service",
            caller: env!("CARGO_PKG_NAME"),
            service_config: service_config.map_err(unusable("parsing the service config"))?,
            // A replica that takes half of the timeout will soon exceed all of it.
            breaker: BreakerRules::with_slow_call(timeout / 2),
        };
        let connect = move |address: &Address| {
            let connector = connectors.get(address).cloned();
            connector.unwrap_or_else(Connector::plain)
        };
        let (client, discovery) = ServiceClient::new(&config.addresses, dependency, connect);
        let check = Check {
            is_required,
            timeout,
            client,
        };
        let upkeep = InventoryUpkeep { discovery, tls };
        let check = Some(check);
        Ok((Self { check }, Some(upkeep)))
    }

    /// Registers the metrics of the client.
    pub fn observe(&self) {
        if let Some(check) = &self.check {
            check.client.observe();
        }
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
            Some(Verdict::Unverified(_)) | None if check.is_required => Err(NotAvailable::Unknown),
            Some(Verdict::Unverified(_)) | None => Ok(Availability::Unverified),
        }
    }
}

impl Check {
    /// `None` without a response in time.
    async fn run(&self, lines: &OrderLines, deadline: Deadline) -> Option<Verdict> {
        let budget = self.budget(deadline)?;
        let response = self.send(availability::request(lines), budget).await;
        let response = response.map_err(|status| log_failure(&status)).ok()?;
        let verdict = availability::verdict(lines, &response);
        if let Verdict::Unverified(error) = &verdict {
            tracing::warn!(%error, "invalid CheckAvailability response");
        }
        Some(verdict)
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

    async fn send(
        &self,
        request: CheckAvailabilityRequest,
        budget: Deadline,
    ) -> Result<CheckAvailabilityResponse, Status> {
        let mut request = Request::new(request);
        request.extensions_mut().insert(budget);
        let client = InventoryServiceClient::new(self.client.clone());
        let mut client = client.max_decoding_message_size(MAX_RESPONSE_BYTES);
        Ok(client.check_availability(request).await?.into_inner())
    }
}

/// The breaker logs an outage, once. A status that blames the request is logged here.
fn log_failure(status: &Status) {
    let code = status.code();
    match code {
        Code::InvalidArgument | Code::Unimplemented | Code::OutOfRange => {
            tracing::warn!(?code, "CheckAvailability request refused as invalid");
        }
        _ => tracing::debug!(?code, "availability check failed"),
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

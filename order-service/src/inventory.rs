//! The question to processing-service whether an order can be had, asked before it is accepted.
//!
//! ```text
//! PlaceOrder ─▶ asked ─┬─ everything is in stock ─▶ CONFIRMED
//!                      ├─ something is short ─────▶ refused, with what is short of which line
//!                      └─ no answer: slow, failing, breaker open, no time left
//!                           ├─ best-effort ───────▶ UNVERIFIED, and processing decides
//!                           └─ required ──────────▶ refused, to be repeated later
//! ```
//!
//! It is the one synchronous call on an order's way, so it has a budget: [`AvailabilityConfig::timeout`] at most, and
//! never the time that the commit needs. That the call hangs for nobody is the client's concern ([`grpc::client`]).

use std::collections::HashMap;
use std::time::Duration;

use grpc::client::{
    Address, BreakerRules, Dependency, Discovery, ServiceClient, ServiceConfig, ServiceConfigError,
};
use grpc::tls::{ClientTls, Connector, TlsError};
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::inventory::v1::{CheckAvailabilityRequest, CheckAvailabilityResponse};
use service::command_line::ExitError;
use service::deadline::Deadline;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};

use crate::availability::{self, Verdict};
use crate::config::{AvailabilityPolicy, InventoryConfig};
use crate::domain::{Availability, OrderLines};
use crate::edge::RpcError;

/// What is kept back of the caller's deadline for what follows the question: a commit takes a few milliseconds, and twice
/// that when it has to wait for the one before.
const COMMIT_RESERVE: Duration = Duration::from_millis(20);

/// Most bytes of an answer: 500 items with the longest SKUs are some 40 KiB.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Asks processing-service; clones share everything.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// Nobody is asked without it.
    question: Option<Question>,
}

#[derive(Clone, Debug)]
struct Question {
    is_required: bool,
    timeout: Duration,
    client: ServiceClient,
}

/// What has to run while processing-service is asked.
#[must_use = "without it no replica of processing-service is known"]
#[derive(Debug)]
pub struct InventoryUpkeep {
    discovery: Discovery,
    tls: Option<ClientTls>,
}

/// Why processing-service cannot be asked.
#[derive(Debug, Error)]
pub enum InventoryError {
    /// The certificates cannot be used.
    #[error("setting up TLS")]
    Tls(#[from] TlsError),
    /// No certificate can be for this host.
    #[error("{0} cannot be the name in a certificate")]
    Host(Address),
    /// The contract's service config is damaged.
    #[error("reading the service config")]
    ServiceConfig(#[from] ServiceConfigError),
}

impl From<InventoryError> for ExitError {
    fn from(error: InventoryError) -> Self {
        Self::failed(error).context("PROCESSING_ADDRESS")
    }
}

impl Inventory {
    /// Nobody is asked.
    pub fn off() -> Self {
        Self { question: None }
    }

    /// Makes the client, and what has to run for it. Nothing is connected yet.
    ///
    /// # Errors
    /// [`InventoryError`] when the configuration cannot be used.
    pub fn new(
        config: &InventoryConfig,
    ) -> Result<(Self, Option<InventoryUpkeep>), InventoryError> {
        let is_required = match config.availability.policy {
            AvailabilityPolicy::Off => return Ok((Self::off(), None)),
            AvailabilityPolicy::BestEffort => false,
            AvailabilityPolicy::Required => true,
        };
        let timeout = config.availability.timeout;
        let tls = config.tls.as_ref().map(ClientTls::load).transpose()?;
        let connectors = connectors(config, tls.as_ref())?;
        let connect = move |address: &Address| {
            // Each address has one, whichever replica it leads to.
            let connector = connectors.get(address).cloned();
            connector.unwrap_or_else(Connector::plain)
        };
        let (client, discovery) = ServiceClient::new(&config.client, dependency(timeout)?, connect);
        let question = Question {
            is_required,
            timeout,
            client,
        };
        let upkeep = InventoryUpkeep { discovery, tls };
        let question = Some(question);
        Ok((Self { question }, Some(upkeep)))
    }

    /// Shows what there is to measure.
    pub fn observe(&self) {
        if let Some(question) = &self.question {
            question.client.observe();
        }
    }

    /// Asks whether these lines can be had, for a call with this deadline.
    ///
    /// # Errors
    /// When a line cannot be had, or when nobody knows and the policy is not to accept that.
    pub async fn check(
        &self,
        lines: &OrderLines,
        deadline: Deadline,
    ) -> Result<Availability, RpcError> {
        let Some(question) = &self.question else {
            return Ok(Availability::NotChecked);
        };
        match question.ask(lines, deadline).await {
            Some(Verdict::Confirmed) => Ok(Availability::Confirmed),
            Some(Verdict::Refused(lines)) => Err(RpcError::ItemsUnavailable(lines)),
            Some(Verdict::Unverified(_)) | None if question.is_required => {
                Err(RpcError::AvailabilityUnknown)
            }
            Some(Verdict::Unverified(_)) | None => Ok(Availability::Unverified),
        }
    }
}

impl Question {
    /// The answer and what it means; nothing if there is none in time.
    async fn ask(&self, lines: &OrderLines, deadline: Deadline) -> Option<Verdict> {
        let budget = self.budget(deadline)?;
        let answer = self.send(availability::question(lines), budget).await;
        let answer = answer.map_err(|status| tell(&status)).ok()?;
        let verdict = availability::verdict(lines, &answer);
        if let Verdict::Unverified(unusable) = &verdict {
            tracing::warn!(%unusable, "the answer of processing-service makes no sense");
        }
        Some(verdict)
    }

    /// How long the question may take for a call with this deadline. A caller in such a hurry that less than half of the
    /// usual time is left is not asked for: the answer would rarely come in time, and every one that does not counts
    /// against processing-service, whose breaker is everybody's.
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
        question: CheckAvailabilityRequest,
        budget: Deadline,
    ) -> Result<CheckAvailabilityResponse, Status> {
        let mut request = Request::new(question);
        request.extensions_mut().insert(budget);
        let client = InventoryServiceClient::new(self.client.clone());
        let mut client = client.max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(client.check_availability(request).await?.into_inner())
    }
}

/// An outage is told once, by the breaker. An answer that says that the question is wrong is another matter.
fn tell(status: &Status) {
    let code = status.code();
    match code {
        Code::InvalidArgument | Code::Unimplemented | Code::OutOfRange => {
            tracing::warn!(?code, "processing-service does not understand the question");
        }
        _ => tracing::debug!(?code, "availability is not known"),
    }
}

fn dependency(timeout: Duration) -> Result<Dependency, ServiceConfigError> {
    Ok(Dependency {
        name: "processing-service",
        caller: env!("CARGO_PKG_NAME"),
        service_config: ServiceConfig::parse(proto::SERVICE_CONFIG)?,
        // Who takes more than half of the budget will soon take all of it.
        breaker: BreakerRules::with_slow_call(timeout / 2),
    })
}

/// How to connect to each address: with TLS, where it says so, to a server that its host is vouched for.
fn connectors(
    config: &InventoryConfig,
    tls: Option<&ClientTls>,
) -> Result<HashMap<Address, Connector>, InventoryError> {
    let connector = |address: &Address| match tls {
        Some(tls) if address.is_secure() => Connector::tls(tls.clone(), address.host())
            .map_err(|_| InventoryError::Host(address.clone())),
        _ => Ok(Connector::plain()),
    };
    let addresses = config.client.addresses.iter();
    addresses
        .map(|address| Ok((address.clone(), connector(address)?)))
        .collect()
}

impl InventoryUpkeep {
    /// Finds the replicas of processing-service, and renews certificates, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let discovery = self.discovery.run(shutdown.clone());
        match self.tls {
            Some(tls) => _ = tokio::join!(discovery, tls.renew(shutdown)),
            None => discovery.await,
        }
    }
}

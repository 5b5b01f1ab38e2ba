//! The place where a way runs: a stack with the services that the way needs, and proxies before its entry.
//!
//! Every way gets a fresh stack with the same settings. order-service runs only in the hybrid one: it would not know the orders
//! of the others. So that the figures depend on the design and not on the speed of the machine, the heavy work has a capacity of
//! its own: the payment provider answers after [`PAYMENT`], and at most [`IN_FLIGHT`] orders are in work, by call or by event.
//!
//! ```text
//! sync only     client ─▶ proxy ─▶ proxy ─▶ proxy ─▶ processing-service
//! async         front ───▶ proxy ─▶ broker ◀─ proxy ◀─ processing-service      (the same proxy)
//! hybrid        client ─▶ proxy ─▶ order-service ─▶ proxy ─▶ processing-service, broker
//! ```
//!
//! The two further proxies of the synchronous call stand for services between the client and the work, such as a checkout and a
//! payment service, which call each other.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::scenario::{HOP, IN_FLIGHT, PAYMENT};
use super::way::Way;
use crate::proxy::{NetworkFault, Proxy};
use crate::replay::journal::Journal;
use crate::stack::{CatalogueSource, Engines, Process, Service, Stack, StackConfig};

/// Connections of a client to its entry.
pub(super) const CONNECTIONS: usize = 8;

/// Proxies of the synchronous chain.
const SYNC_HOPS: usize = 3;

/// No run is longer.
const LONGEST: Duration = Duration::from_secs(3_600);

/// File name of the journal of the hybrid way, for the auditor.
const JOURNAL: &str = "journal.jsonl";

#[derive(Debug)]
pub(super) struct Site {
    pub(super) way: Way,
    pub(super) stack: Stack,
    pub(super) journal: Journal,
    /// Before the entry, the client's side first. Empty where the entry is the broker.
    entry: Vec<Proxy>,
}

impl Site {
    pub(super) async fn start(
        way: Way,
        engines: Engines,
        data_dir: &Path,
        catalogue: &str,
    ) -> Result<Self> {
        let stack = Stack::start(config(engines, data_dir, catalogue)).await?;
        match Self::prepare(way, &stack).await {
            Ok((entry, journal)) => Ok(Self {
                way,
                stack,
                journal,
                entry,
            }),
            Err(error) => {
                stack.stop().await;
                Err(error)
            }
        }
    }

    async fn prepare(way: Way, stack: &Stack) -> Result<(Vec<Proxy>, Journal)> {
        stack.make_topics_and_schemas().await?;
        stack.start_service(Service::Processing).await?;
        let addresses = stack.addresses();
        let entry = match way {
            Way::SyncOnly => chain(addresses.processing[0], SYNC_HOPS).await?,
            Way::AsyncOnly | Way::AsyncWaiting => Vec::new(),
            Way::Hybrid => {
                stack.start_service(Service::Orders).await?;
                chain(addresses.orders[0], 1).await?
            }
        };
        let journal = Journal::buffered(&stack.data_dir().join(JOURNAL))?;
        Ok((entry, journal))
    }

    /// The URL that clients call.
    pub(super) fn entry(&self) -> String {
        let first = self.entry.first().map(Proxy::address);
        format!(
            "http://{}",
            first.unwrap_or(self.stack.addresses().orders[0])
        )
    }

    /// The URL of order-service without a proxy.
    pub(super) fn order_service(&self) -> String {
        format!("http://{}", self.stack.addresses().orders[0])
    }

    /// The broker as the services reach it, through its proxy.
    pub(super) fn broker(&self) -> Result<String> {
        let settings = self.stack.settings(Service::Processing).into_iter();
        let mut brokers = settings.filter(|(name, _)| name == "KAFKA_BROKERS");
        let (_, address) = brokers.next().context("the services have no broker")?;
        Ok(address)
    }

    /// The calls of the hybrid way.
    pub(super) fn journal_file(&self) -> PathBuf {
        self.stack.data_dir().join(JOURNAL)
    }

    /// The time after which nothing of a run is still in progress.
    pub(super) fn longest(&self) -> Duration {
        LONGEST
    }

    /// Breaks the line from the client to the entry, or heals it. Where the entry is the broker, the services share the line.
    pub(super) fn set_entry(&self, fault: NetworkFault) -> Result<()> {
        match self.entry.first() {
            Some(proxy) => proxy.set(fault),
            None => self.broker_proxy()?.set(fault),
        }
        Ok(())
    }

    /// Makes every hop take longer, or not.
    pub(super) fn set_hops(&self, are_slow: bool) -> Result<()> {
        // Half of it in each direction.
        let fault = match are_slow {
            true => NetworkFault::Latency {
                fixed: HOP / 2,
                jitter: Duration::ZERO,
            },
            false => NetworkFault::Pass,
        };
        let proxies = self.stack.proxies().context("the stack has no proxies")?;
        let between = proxies.processing.iter().chain([self.broker_proxy()?]);
        for proxy in self.entry.iter().chain(between) {
            proxy.set(fault);
        }
        Ok(())
    }

    fn broker_proxy(&self) -> Result<&Proxy> {
        let proxies = self.stack.proxies().context("the stack has no proxies")?;
        proxies
            .kafka
            .as_ref()
            .context("there is no proxy before the broker")
    }

    /// Kills a service.
    pub(super) async fn kill(&self, service: Service) -> Result<()> {
        for process in self.stack.processes(service) {
            let ending = self.stack.kill_for_good(process).await;
            ensure!(ending.is_some(), "{process} was not running");
        }
        Ok(())
    }

    /// The processes of the pair that this way needs.
    pub(super) fn services(&self) -> Vec<Process> {
        let services: &[Service] = match self.way {
            Way::Hybrid => &Service::PAIR,
            _ => &[Service::Processing],
        };
        let processes = services
            .iter()
            .map(|service| self.stack.processes(*service));
        processes.collect::<Vec<_>>().concat()
    }

    /// Every process that this way needs, broker and database included.
    pub(super) fn processes(&self) -> Vec<Process> {
        let servers = [Service::Broker, Service::Database];
        let servers = servers
            .map(|service| self.stack.processes(service))
            .concat();
        [self.services(), servers].concat()
    }
}

/// Proxies in a row; the first is the client's.
async fn chain(server: SocketAddr, length: usize) -> Result<Vec<Proxy>> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut proxies: Vec<Proxy> = Vec::new();
    for _ in 0..length {
        let next = proxies.first().map_or(server, Proxy::address);
        let proxy = Proxy::start(any, next).await;
        proxies.insert(0, proxy.context("cannot start a proxy")?);
    }
    Ok(proxies)
}

fn config(engines: Engines, data_dir: &Path, catalogue: &str) -> StackConfig {
    let processing = [
        ("PROCESS_ORDER", "true".to_owned()),
        ("PAYMENT_LATENCY", format!("{}ms", PAYMENT.as_millis())),
        ("GRPC_CONCURRENCY", IN_FLIGHT.to_string()),
        ("ORDERS_IN_FLIGHT", IN_FLIGHT.to_string()),
    ];
    let mut environment: Vec<_> = processing
        .map(|(name, value)| (Service::Processing, name.to_owned(), value))
        .into();
    // Every order of a spike is watched.
    environment.push((
        Service::Orders,
        "WATCH_STREAMS".to_owned(),
        "16000".to_owned(),
    ));
    StackConfig {
        engines,
        through_proxies: true,
        services_are_started: false,
        environment,
        ..StackConfig::on_free_ports(data_dir, CatalogueSource::Text(catalogue.to_owned()))
    }
}

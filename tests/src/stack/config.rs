//! The configuration of a stack, and its addresses.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::ports::Ports;
use super::proxies::{Proxied, ProxyRoute};
use super::{BrokerEngine, DatabaseEngine, Engines, Process, Service, StackError};

/// The catalogue of processing-service.
#[derive(Clone, Debug)]
pub enum CatalogueSource {
    /// A CSV file with the header `sku,name,opening_stock`.
    File(PathBuf),
    /// The text of such a file; the stack keeps it in its data directory.
    Text(String),
}

#[derive(Clone, Debug)]
pub struct StackConfig {
    /// Where databases, logs and process files are kept; created when missing.
    pub data_dir: PathBuf,
    pub engines: Engines,
    /// Port of order-service; 0 picks a free one, here and below. Further replicas get free ports.
    pub order_port: u16,
    /// Port of processing-service.
    pub processing_port: u16,
    /// Port of the stack's own broker.
    pub broker_port: u16,
    /// Port of the PostgreSQL server.
    pub database_port: u16,
    /// The services talk to Apache Kafka over TLS and log in with SCRAM.
    pub kafka_is_secured: bool,
    /// The services reach the stack's own broker and database, and order-service reaches processing-service, through
    /// proxies ([`super::Stack::proxies`]).
    pub through_proxies: bool,
    /// Whether topics and schemas are created and the services started. Otherwise only the broker and the database are
    /// started.
    pub services_are_started: bool,
    /// Further settings of the PostgreSQL server.
    pub database_settings: Vec<(&'static str, &'static str)>,
    /// Whether Apache Kafka logs every request that it has completed, as JSON, to its log file.
    pub broker_logs_requests: bool,
    /// An OTLP collector for the telemetry of both services.
    pub otlp: Option<String>,
    /// Sampling ratio of traces, from 0 to 1; `None` uses the services' default.
    pub sampling: Option<f64>,
    pub catalogue: CatalogueSource,
    /// KAFKA_TOPIC_PREFIX of both services.
    pub topic_prefix: String,
    /// Settings of both services and their subcommands that an external broker needs.
    pub broker_settings: Vec<(String, String)>,
    /// Further environment variables of the processes of a service; they override those of the stack. The subcommands
    /// that create topics and schemas do not get them.
    pub environment: Vec<(Service, String, String)>,
}

impl StackConfig {
    /// A stack in `data_dir` with free ports and otherwise default settings.
    pub fn on_free_ports(data_dir: impl Into<PathBuf>, catalogue: CatalogueSource) -> Self {
        Self {
            data_dir: data_dir.into(),
            engines: Engines::embedded(),
            order_port: 0,
            processing_port: 0,
            broker_port: 0,
            database_port: 0,
            kafka_is_secured: false,
            through_proxies: false,
            services_are_started: true,
            database_settings: Vec::new(),
            broker_logs_requests: false,
            otlp: None,
            sampling: None,
            catalogue,
            topic_prefix: String::new(),
            broker_settings: Vec::new(),
            environment: Vec::new(),
        }
    }

    pub(super) fn environment_of(
        &self,
        service: Service,
    ) -> impl Iterator<Item = (String, String)> {
        self.environment
            .iter()
            .filter(move |(owner, _, _)| *owner == service)
            .map(|(_, name, value)| (name.clone(), value.clone()))
    }

    /// Every process of the stack, in stop order.
    pub fn processes(&self) -> Vec<Process> {
        let replicas = |service| Process::replicas(service, self.engines.replicas);
        let mut processes = Service::PAIR.map(replicas).concat();
        if !matches!(self.engines.broker, BrokerEngine::External(_)) {
            processes.push(Process::only(Service::Broker));
        }
        if self.engines.database == DatabaseEngine::Postgres {
            processes.push(Process::database(0));
            if self.through_proxies {
                processes.push(Process::database(1));
            }
        }
        processes
    }

    /// Picks or checks the ports; fails when one is taken.
    pub(super) async fn choose_addresses(
        &self,
        ports: &mut Ports,
    ) -> Result<StackAddresses, StackError> {
        let is_apache = self.engines.broker == BrokerEngine::Apache;
        let orders = self.choose_for_replicas(ports, Service::Orders, self.order_port);
        let orders = orders.await?;
        let processing = self.choose_for_replicas(ports, Service::Processing, self.processing_port);
        let mut addresses = StackAddresses {
            orders,
            processing: processing.await?,
            kafka: match &self.engines.broker {
                BrokerEngine::External(address) => address.clone(),
                _ => {
                    let broker = ports.choose(Service::Broker, self.broker_port);
                    broker.await?.to_string()
                }
            },
            kafka_controller: is_apache.then(|| ports.pick()).transpose()?,
            kafka_secured: self.kafka_is_secured.then(|| ports.pick()).transpose()?,
            database: match self.engines.database {
                DatabaseEngine::Sqlite => None,
                DatabaseEngine::Postgres => {
                    let database = ports.choose(Service::Database, self.database_port);
                    Some(database.await?)
                }
            },
            standby: None,
            proxied: None,
        };
        if self.through_proxies {
            if addresses.database.is_some() {
                addresses.standby = Some(ports.pick()?);
            }
            addresses.proxied = Some(self.choose_proxied(ports, &addresses)?);
        }
        Ok(addresses)
    }

    /// Chooses the ports of the proxies before the servers that the stack starts itself.
    fn choose_proxied(
        &self,
        ports: &mut Ports,
        addresses: &StackAddresses,
    ) -> Result<Proxied, StackError> {
        let kafka = match self.engines.broker {
            BrokerEngine::Embedded => addresses.kafka.parse().ok(),
            // A listener of its own, which advertises the proxy.
            BrokerEngine::Apache => Some(ports.pick()?),
            BrokerEngine::External(_) => None,
        };
        let mut route = |server| ports.pick().map(|proxy| ProxyRoute { proxy, server });
        let replicas = addresses.processing.iter().copied();
        Ok(Proxied {
            kafka: kafka.map(&mut route).transpose()?,
            database: addresses.database.map(&mut route).transpose()?,
            processing: replicas.map(&mut route).collect::<Result<_, _>>()?,
        })
    }

    async fn choose_for_replicas(
        &self,
        ports: &mut Ports,
        service: Service,
        first_port: u16,
    ) -> Result<Vec<SocketAddr>, StackError> {
        let first = ports.choose(service, first_port).await?;
        let others = (1..self.engines.replicas).map(|_| ports.pick());
        std::iter::once(Ok(first)).chain(others).collect()
    }
}

/// The addresses of the processes of a stack.
#[derive(Clone, Debug)]
pub struct StackAddresses {
    /// order-service, gRPC, one per replica.
    pub orders: Vec<SocketAddr>,
    /// processing-service, gRPC, one per replica.
    pub processing: Vec<SocketAddr>,
    /// The Kafka broker, embedded or not.
    pub kafka: String,
    /// Apache Kafka's listener with TLS and SCRAM, if requested.
    pub kafka_secured: Option<SocketAddr>,
    /// The PostgreSQL server, if the stack has one; before any failover.
    pub database: Option<SocketAddr>,
    /// Apache Kafka's controller listener.
    pub(super) kafka_controller: Option<SocketAddr>,
    /// The standby of the PostgreSQL server, which a failover starts; only behind proxies.
    pub(super) standby: Option<SocketAddr>,
    /// The proxies of the services, if requested.
    pub(super) proxied: Option<Proxied>,
}

impl StackAddresses {
    /// The URLs of all replicas of order-service, for clients.
    pub fn order_urls(&self) -> Vec<String> {
        self.orders.iter().map(url).collect()
    }

    pub(super) fn grpc(&self, process: Process) -> SocketAddr {
        match process.service {
            Service::Processing => self.processing[process.index()],
            _ => self.orders[process.index()],
        }
    }

    /// The broker address of the services.
    pub(super) fn kafka_of_services(&self) -> String {
        let proxy = self.proxied.as_ref().and_then(|proxied| proxied.kafka);
        proxy.map_or_else(|| self.kafka.clone(), |path| path.proxy.to_string())
    }

    /// The address of the PostgreSQL server for the services, if there is one.
    pub(super) fn database_of_services(&self) -> Option<SocketAddr> {
        let proxy = self.proxied.as_ref().and_then(|proxied| proxied.database);
        proxy.map(|path| path.proxy).or(self.database)
    }

    /// The addresses of the processing-service replicas for order-service.
    pub(super) fn processing_of_orders(&self) -> Vec<String> {
        match &self.proxied {
            Some(proxied) => {
                let proxies = proxied.processing.iter();
                proxies.map(|path| url(&path.proxy)).collect()
            }
            None => self.processing.iter().map(url).collect(),
        }
    }
}

fn url(address: &SocketAddr) -> String {
    format!("http://{address}")
}

//! Proxies between the services and their broker and database, and between order-service and processing-service, for
//! faults of the network.
//!
//! Only the services go through them; the stack itself and its tests reach the servers directly, as far as the server
//! allows: Kafka's clients go where the broker tells them. Apache Kafka has a listener for each of the two, the embedded
//! broker has one, so there everybody is sent through the proxy.

use std::io;
use std::net::SocketAddr;

use futures::future::try_join_all;

use super::ports::Ports;
use super::{Addresses, BrokerEngine, Engines, StackError};
use crate::proxy::Proxy;

/// Where a proxy listens, and where it leads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) proxy: SocketAddr,
    pub(super) server: SocketAddr,
}

/// The proxies of a stack.
#[derive(Clone, Debug)]
pub(super) struct Proxied {
    pub(super) kafka: Option<Path>,
    pub(super) database: Option<Path>,
    pub(super) processing: Vec<Path>,
}

impl Proxied {
    /// Settles ports for the servers that the stack starts itself.
    pub(super) fn choose(
        ports: &mut Ports,
        engines: &Engines,
        addresses: &Addresses,
    ) -> Result<Self, StackError> {
        let kafka = match engines.broker {
            BrokerEngine::Embedded => addresses.kafka.parse().ok(),
            // A listener of its own, which advertises the proxy.
            BrokerEngine::Apache => Some(ports.pick()?),
            BrokerEngine::External(_) => None,
        };
        let mut path = |server| ports.pick().map(|proxy| Path { proxy, server });
        let replicas = addresses.processing.iter().copied();
        Ok(Self {
            kafka: kafka.map(&mut path).transpose()?,
            database: addresses.database.map(&mut path).transpose()?,
            processing: replicas.map(&mut path).collect::<Result<_, _>>()?,
        })
    }
}

/// The running proxies of a stack.
#[derive(Debug)]
pub struct Proxies {
    /// Before the broker.
    pub kafka: Option<Proxy>,
    /// Before the PostgreSQL server.
    pub database: Option<Proxy>,
    /// Before processing-service as order-service calls it, one per replica.
    pub processing: Vec<Proxy>,
}

impl Proxies {
    pub(super) async fn start(proxied: &Proxied) -> io::Result<Self> {
        Ok(Self {
            kafka: start(proxied.kafka).await?,
            database: start(proxied.database).await?,
            processing: try_join_all(proxied.processing.iter().map(Path::start)).await?,
        })
    }
}

async fn start(path: Option<Path>) -> io::Result<Option<Proxy>> {
    match path {
        Some(path) => path.start().await.map(Some),
        None => Ok(None),
    }
}

impl Path {
    async fn start(&self) -> io::Result<Proxy> {
        Proxy::start(self.proxy, self.server).await
    }
}

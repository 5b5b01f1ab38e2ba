//! Proxies before the broker, the database and processing-service, for network faults.
//!
//! Only the services use them; the stack itself and the tests connect directly where the server allows it: Kafka
//! clients use the advertised address. Apache Kafka has a listener for each of the two; the embedded broker has one, so
//! all its clients use the proxy.

use std::io;
use std::net::SocketAddr;

use futures::future::try_join_all;

use crate::proxy::Proxy;

/// The address of a proxy and of its upstream server.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProxyRoute {
    pub(super) proxy: SocketAddr,
    pub(super) server: SocketAddr,
}

/// The routes of all proxies of a stack.
#[derive(Clone, Debug)]
pub(super) struct Proxied {
    pub(super) kafka: Option<ProxyRoute>,
    pub(super) database: Option<ProxyRoute>,
    pub(super) processing: Vec<ProxyRoute>,
}

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
            processing: try_join_all(proxied.processing.iter().map(ProxyRoute::start)).await?,
        })
    }
}

async fn start(route: Option<ProxyRoute>) -> io::Result<Option<Proxy>> {
    match route {
        Some(route) => route.start().await.map(Some),
        None => Ok(None),
    }
}

impl ProxyRoute {
    async fn start(&self) -> io::Result<Proxy> {
        Proxy::start(self.proxy, self.server).await
    }
}

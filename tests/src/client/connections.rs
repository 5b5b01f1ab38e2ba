//! Connections to order-service, to one replica or to several.
//!
//! An HTTP/2 connection carries a limited number of streams at once (servers commonly allow 100 to 200); further calls
//! wait in the client. Many calls in flight are therefore spread over several connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use tonic::transport::{Channel, Endpoint};

use super::OrderClient;

/// Streams per connection: the minimum that HTTP/2 recommends for a server's limit (RFC 9113, section 6.5.2).
const STREAMS: usize = 100;

/// Connect timeout: a local address answers or refuses at once; a remote one gets a few round trips.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A peer that vanished without closing (machine lost, cable cut) is detected after interval plus timeout.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A set of connections used round robin. Each is opened by its first call, and opened again after it broke.
#[derive(Clone, Debug)]
pub struct Connections {
    clients: Arc<Vec<OrderClient>>,
    turn: Arc<AtomicUsize>,
}

impl Connections {
    /// Enough connections for this many concurrent calls to addresses such as `http://127.0.0.1:50051`, round robin
    /// over them.
    pub fn to(addresses: &[impl AsRef<str>], calls: usize) -> anyhow::Result<Self> {
        let endpoints = addresses.iter().map(|address| endpoint(address.as_ref()));
        let endpoints = endpoints.collect::<anyhow::Result<Vec<_>>>()?;
        Self::among(&endpoints, calls)
    }

    /// Enough connections for this many concurrent calls, round robin over the endpoints.
    pub fn among(endpoints: &[Endpoint], calls: usize) -> anyhow::Result<Self> {
        anyhow::ensure!(!endpoints.is_empty(), "no address is given");
        let connections = calls.div_ceil(STREAMS).max(endpoints.len());
        Ok(Self::over(endpoints, connections))
    }

    /// This many connections to one address, whatever the number of calls: for a server known to allow the streams.
    pub fn exactly(connections: usize, address: &str) -> anyhow::Result<Self> {
        Ok(Self::over(&[endpoint(address)?], connections.max(1)))
    }

    fn over(endpoints: &[Endpoint], connections: usize) -> Self {
        let turns = endpoints.iter().cycle().take(connections);
        let clients = turns.map(|endpoint| OrderClient::new(endpoint.connect_lazy()));
        Self {
            clients: Arc::new(clients.collect()),
            turn: Arc::default(),
        }
    }

    /// The next connection, round robin.
    pub fn next(&self) -> OrderClient {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.clients[turn % self.clients.len()].clone()
    }
}

/// One connection to an address such as `http://127.0.0.1:50051`; opened by its first call.
pub fn connect(address: &str) -> anyhow::Result<Channel> {
    Ok(endpoint(address)?.connect_lazy())
}

fn endpoint(address: &str) -> anyhow::Result<Endpoint> {
    let endpoint = Endpoint::from_shared(address.to_owned())
        .with_context(|| format!("{address:?} is no address; expected http://HOST:PORT"))?;
    let has_host = endpoint.uri().scheme_str() == Some("http") && endpoint.uri().host().is_some();
    anyhow::ensure!(
        has_host,
        "{address:?} is no address; expected http://HOST:PORT"
    );
    Ok(tuned(endpoint))
}

/// An endpoint with the timeouts of this client.
pub fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_calls_are_spread_over_connections() {
        let few = Connections::to(&["http://127.0.0.1:50051"], 32).unwrap();
        let two = Connections::to(&["http://127.0.0.1:1", "http://127.0.0.1:2"], 32).unwrap();
        let many = Connections::to(&["http://127.0.0.1:50051"], 1_000).unwrap();

        let connections = [few, two, many].map(|connections| connections.clients.len());
        assert_eq!(connections, [1, 2, 10]);
    }

    #[tokio::test]
    async fn an_address_without_a_scheme_is_explained() {
        for address in [
            "localhost:50051",
            "127.0.0.1:50051",
            "ftp://host:1",
            "",
            " ",
        ] {
            let error = Connections::to(&[address], 1).unwrap_err();

            assert!(error.to_string().contains("http://HOST:PORT"), "{error}");
        }
    }
}

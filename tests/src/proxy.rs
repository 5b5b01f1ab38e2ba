//! A TCP proxy that injects network faults between the services and their broker or database.
//!
//! ```text
//! service ──▶ proxy ──▶ broker, database
//!               ▲
//!               └── set(Fault): pass, latency, throttle, cut, half-open, close after N bytes
//! ```
//!
//! * A fault applies to all connections, open and new, until the next one is set.
//! * Data is forwarded in order and unchanged; a fault loses bytes only together with their connection.
//! * Memory is bounded in connections and in buffered bytes per connection; beyond that the proxy does not read, and
//!   its peers experience backpressure as on a slow network.
//! * It knows no protocol. A client that gets another address from its server, as Kafka clients do, bypasses the proxy,
//!   unless the server advertises the proxy's address.
//!
//! Reading order: [`fault`], `connection`.

mod connection;
pub mod fault;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use connection::ProxiedLine;
pub use fault::NetworkFault;

/// Maximum connections. A replica opens a few dozen; more is a leak that should become visible here.
const CONNECTIONS: usize = 1_024;

/// Pause before listening again after a cut: another process may hold the port for a moment.
const LISTEN_AGAIN: Duration = Duration::from_millis(20);

/// A running proxy. On drop it resets every connection and stops listening.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    upstream: watch::Sender<SocketAddr>,
    fault: watch::Sender<NetworkFault>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Listens on `address` (port 0: any) and forwards to `upstream`, without a fault.
    ///
    /// # Errors
    /// When it cannot listen on the address.
    pub async fn start(address: SocketAddr, upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (fault, faults) = watch::channel(NetworkFault::Pass);
        let (upstream, upstreams) = watch::channel(upstream);
        let listening = tokio::spawn(listen(listener, address, upstreams, faults));
        Ok(Self {
            address,
            upstream,
            fault,
            listening,
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards new connections to another server; open ones stay where they are, as after a failover behind one address.
    pub fn forward_to(&self, upstream: SocketAddr) {
        self.upstream.send_replace(upstream);
    }

    /// Sets the fault for all connections from now on.
    pub fn set(&self, fault: NetworkFault) {
        self.fault.send_replace(fault);
    }

    /// The current fault.
    pub fn fault(&self) -> NetworkFault {
        *self.fault.borrow()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections end when the sender of faults is dropped.
        self.listening.abort();
    }
}

/// Accepts until the fault is `Cut`, which closes the socket, so that the operating system refuses connections.
async fn listen(
    listener: TcpListener,
    address: SocketAddr,
    upstream: watch::Receiver<SocketAddr>,
    mut faults: watch::Receiver<NetworkFault>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let line = ProxiedLine::new(faults.clone());
    let mut listener = Some(listener);
    loop {
        let open = match listener.take() {
            Some(listener) => listener,
            None => listen_again(address).await,
        };
        tokio::select! {
            // The cut first: no connection is accepted after it.
            biased;
            _ = faults.wait_for(|fault| *fault == NetworkFault::Cut) => drop(open),
            () = accept(&open, &upstream, &places, &line) => {}
        }
        if faults
            .wait_for(|fault| *fault != NetworkFault::Cut)
            .await
            .is_err()
        {
            return;
        }
    }
}

async fn listen_again(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => sleep(LISTEN_AGAIN).await,
        }
    }
}

/// Accepts forever, each connection in a task of its own that ends with the connection or with the proxy.
async fn accept(
    listener: &TcpListener,
    upstream: &watch::Receiver<SocketAddr>,
    places: &Arc<Semaphore>,
    line: &ProxiedLine,
) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            return;
        };
        let client: TcpStream = match listener.accept().await {
            Ok((client, _)) => client,
            // The peer is gone already, or the process is temporarily out of file descriptors.
            Err(_) => {
                sleep(LISTEN_AGAIN).await;
                continue;
            }
        };
        let (line, upstream) = (line.of_a_connection(), *upstream.borrow());
        tokio::spawn(async move {
            connection::carry(client, upstream, line).await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests;

//! A TCP proxy that breaks connections on command: it stands between the services and their broker or database.
//!
//! ```text
//! service ──▶ proxy ──▶ broker, database
//!               ▲
//!               └── set(Fault): pass, latency, throttle, cut, half-open, close after N bytes
//! ```
//!
//! * A fault holds for every connection, those that are open and those that come, until the next one is set.
//! * Data is forwarded in order and unchanged; a fault loses bytes only together with their connection.
//! * Memory is bounded: so many connections, so many bytes on their way each; beyond that the proxy does not read, and
//!   its peers wait as they would for a slow network.
//! * It knows no protocol. A client that gets another address from its server, as Kafka clients do, bypasses it, unless
//!   the server tells the proxy's.
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

use connection::Line;
pub use fault::Fault;

/// Connections at once. A replica opens a few dozen; more than that is a leak that should not go unseen here.
const CONNECTIONS: usize = 1_024;

/// Between two attempts to listen again after a cut: something else may have the port for a moment.
const LISTEN_AGAIN: Duration = Duration::from_millis(20);

/// A proxy at work. Dropped, it resets every connection and listens no more.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Listens on `address` (port 0: any) and forwards to `upstream`, without a fault.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start(address: SocketAddr, upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (fault, faults) = watch::channel(Fault::Pass);
        let listening = tokio::spawn(listen(listener, address, upstream, faults));
        Ok(Self {
            address,
            fault,
            listening,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens to connections from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// What happens to connections now.
    pub fn fault(&self) -> Fault {
        *self.fault.borrow()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections end with the sender of faults.
        self.listening.abort();
    }
}

/// Accepts while the line is not cut. A cut closes the socket, so that the system itself refuses connections.
async fn listen(
    listener: TcpListener,
    address: SocketAddr,
    upstream: SocketAddr,
    mut faults: watch::Receiver<Fault>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let line = Line::new(faults.clone());
    let mut listener = Some(listener);
    loop {
        let open = match listener.take() {
            Some(listener) => listener,
            None => listen_again(address).await,
        };
        tokio::select! {
            // A cut first: nothing is accepted beside it.
            biased;
            _ = faults.wait_for(|fault| *fault == Fault::Cut) => drop(open),
            () = accept(&open, upstream, &places, &line) => {}
        }
        if faults.wait_for(|fault| *fault != Fault::Cut).await.is_err() {
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

/// Accepts for ever, each connection in a task of its own that ends with the connection or with the proxy.
async fn accept(
    listener: &TcpListener,
    upstream: SocketAddr,
    places: &Arc<Semaphore>,
    line: &Line,
) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            return;
        };
        let client: TcpStream = match listener.accept().await {
            Ok((client, _)) => client,
            // The peer is gone already, or the process is out of descriptors for a moment.
            Err(_) => {
                sleep(LISTEN_AGAIN).await;
                continue;
            }
        };
        let line = line.of_a_connection();
        tokio::spawn(async move {
            connection::carry(client, upstream, line).await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests;

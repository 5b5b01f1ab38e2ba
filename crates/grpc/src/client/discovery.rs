//! Discovery: resolves the names of a service periodically, as a headless Service needs it.
//!
//! A lookup that fails or finds nothing changes nothing: the known replicas are more likely to answer than none. The
//! replicas of a name are replaced all at once.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::address::{Address, Addresses};
use super::endpoints::Endpoints;
use super::pool::Peer;

/// Interval of the lookups: within this time a new replica gets its share.
const INTERVAL: Duration = Duration::from_secs(5);

/// Minimum interval. After a failed connection the names are resolved at once, but no more often than this: an
/// unavailable service must not become a load on the name server.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// Both intervals are multiplied by a number of this range, so that clients do not query in step.
const JITTER: RangeInclusive<f64> = 0.8..=1.2;

/// Timeout of a lookup.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Resolves an address.
pub type Resolve =
    Arc<dyn Fn(Address) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Keeps the replicas up to date while it runs. Without it a client knows none.
#[must_use = "a client whose discovery does not run knows no replica"]
pub struct Discovery {
    endpoints: Arc<Endpoints>,
    resolve: Resolve,
    names: Vec<Address>,
    /// The last successful result of each name.
    known: HashMap<Address, Vec<SocketAddr>>,
    /// Logged when it changes.
    is_failing: bool,
}

impl fmt::Debug for Discovery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Discovery")
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

impl Discovery {
    pub(super) fn new(addresses: &Addresses, endpoints: Arc<Endpoints>) -> Self {
        Self {
            endpoints,
            resolve: Arc::new(|address| Box::pin(system_lookup(address))),
            names: addresses.iter().cloned().collect(),
            known: HashMap::new(),
            is_failing: false,
        }
    }

    /// Replaces the system's resolver.
    pub fn with_resolver(self, resolve: Resolve) -> Self {
        Self { resolve, ..self }
    }

    /// Resolves the names until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let _ = shutdown.run_until_cancelled(self.refresh()).await;
    }

    async fn refresh(&mut self) {
        loop {
            self.look_up_all().await;
            sleep(jittered(MIN_INTERVAL)).await;
            // Time for a lookup in both cases.
            let _ = timeout(
                jittered(INTERVAL - MIN_INTERVAL),
                self.endpoints.lookup_request.notified(),
            )
            .await;
        }
    }

    async fn look_up_all(&mut self) {
        let lookups = self.names.iter().map(|name| self.look_up(name));
        let found = join_all(lookups).await;
        let mut failure = None;
        for (name, found) in self.names.iter().zip(found) {
            match found {
                Ok(sockets) => _ = self.known.insert(name.clone(), sockets),
                Err(error) => failure = Some((name, error)),
            }
        }
        let dependency = self.endpoints.dependency;
        match &failure {
            Some((address, error)) if !self.is_failing => {
                tracing::warn!(dependency, %address, %error, "name lookup failed, known endpoints kept");
            }
            None if self.is_failing => tracing::info!(dependency, "name lookup succeeded again"),
            _ => {}
        }
        self.is_failing = failure.is_some();
        self.endpoints.replace(&self.peers());
        self.endpoints.looked_up.send_replace(true);
    }

    async fn look_up(&self, name: &Address) -> io::Result<Vec<SocketAddr>> {
        let found = timeout(LOOKUP_TIMEOUT, (self.resolve)(name.clone())).await;
        let sockets = found.map_err(|_| io::ErrorKind::TimedOut)??;
        if sockets.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(sockets)
    }

    /// Every replica once, in the order of the names.
    fn peers(&self) -> Vec<Peer> {
        let mut peers = Vec::new();
        for name in &self.names {
            for socket in self.known.get(name).into_iter().flatten() {
                let peer = Peer {
                    address: name.clone(),
                    socket: *socket,
                };
                if !peers.contains(&peer) {
                    peers.push(peer);
                }
            }
        }
        peers
    }
}

async fn system_lookup(address: Address) -> io::Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host((address.host(), address.port())).await?;
    Ok(found.collect())
}

fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(JITTER))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::client::endpoints::endpoint;
    use crate::tls::Connector;
    use service::config::FromSetting;

    type Answers = Arc<Mutex<HashMap<String, io::Result<Vec<SocketAddr>>>>>;

    /// A discovery of `a` and `b` with the answers of the test.
    fn discovery(answers: &Answers) -> Discovery {
        let addresses = Addresses::from_setting("http://a:1,http://b:1").unwrap();
        let open = |peer: &Peer| endpoint(peer).connect_with_connector_lazy(Connector::plain());
        let endpoints = Endpoints::new("dependency", Box::new(open));
        let answers = Arc::clone(answers);
        Discovery::new(&addresses, endpoints).with_resolver(Arc::new(move |address| {
            let answer = answers.lock().unwrap().remove(address.host());
            match answer {
                Some(answer) => Box::pin(std::future::ready(answer)),
                None => Box::pin(std::future::pending()),
            }
        }))
    }

    fn sockets(ports: &[u16]) -> io::Result<Vec<SocketAddr>> {
        let socket = |port: &u16| SocketAddr::from(([127, 0, 0, 1], *port));
        Ok(ports.iter().map(socket).collect())
    }

    fn ports(discovery: &Discovery) -> Vec<u16> {
        let peers = discovery.peers();
        peers.iter().map(|peer| peer.socket.port()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_or_empty_lookup_keeps_the_known_replicas_of_its_name_only() {
        let answers = Answers::default();
        let answer = |name: &str, answer| {
            answers.lock().unwrap().insert(name.to_owned(), answer);
        };
        let mut discovery = discovery(&answers);
        answer("a", sockets(&[1, 2, 2]));
        answer("b", sockets(&[3]));
        discovery.look_up_all().await;
        assert_eq!(ports(&discovery), [1, 2, 3]);

        answer("a", Err(io::ErrorKind::Other.into()));
        answer("b", sockets(&[4]));
        discovery.look_up_all().await;
        assert_eq!(ports(&discovery), [1, 2, 4]);

        answer("a", sockets(&[]));
        // The lookup of b times out.
        discovery.look_up_all().await;
        assert_eq!(ports(&discovery), [1, 2, 4]);

        answer("a", sockets(&[5]));
        answer("b", sockets(&[4]));
        discovery.look_up_all().await;
        assert_eq!(ports(&discovery), [5, 4]);
        assert_eq!(discovery.endpoints.count(), (2, 0, 0));
    }
}

//! The loopback ports of the stack. Checked before anything starts, so that a taken port changes nothing.
//!
//! A picked port is reserved by a lock on a file named after it until the stack is gone: its process listens only
//! seconds later, and another stack must not pick the port meanwhile.

use std::env;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep};

use super::data_directory::open_for_locking;
use super::{Service, StackError, readiness};

/// Lowest picked port: below the ephemeral port ranges of Linux and macOS. In those ranges a client that retries a dead
/// server's port can end up connected to itself.
const FIRST_PICKED: u16 = 20_000;
const PICKED: u16 = 12_000;

/// How long a port that nobody listens on is waited for: longer than Linux keeps the local port of an ended connection.
const OUTGOING_FOR: Duration = Duration::from_secs(65);
const PAUSE: Duration = Duration::from_millis(100);

/// Attempts before giving up; a fair share of all ports is free on any healthy machine.
const ATTEMPTS: usize = 100;

/// The ports of one stack; picked ones are reserved until it is dropped.
#[derive(Debug)]
pub(super) struct Ports {
    locks: PathBuf,
    held: Vec<File>,
    bound: Vec<TcpSocket>,
}

impl Ports {
    pub(super) fn new() -> Result<Self, StackError> {
        // One directory per user, because a user cannot lock another user's files.
        let locks = env::temp_dir().join(format!("local-stack-ports-{}", geteuid()));
        match fs::create_dir_all(&locks) {
            Ok(()) => Ok(Self {
                locks,
                held: Vec::new(),
                bound: Vec::new(),
            }),
            Err(source) => Err(StackError::DataDirectory {
                path: locks,
                source,
            }),
        }
    }

    /// The address of a service: `port` if it is free, any free port if it is 0.
    ///
    /// A port above 32767 can be the local port of an outgoing connection, and stays that for a minute after its end. So a
    /// port that nobody listens on is waited for.
    pub(super) async fn choose(
        &mut self,
        service: Service,
        port: u16,
    ) -> Result<SocketAddr, StackError> {
        if port == 0 {
            return self.pick();
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let failed = |source| StackError::Port { port, source };
        let mut give_up = None;
        while !self.bind(address).map_err(failed)? {
            let is_over = give_up.is_some_and(|at| Instant::now() > at);
            if is_over || readiness::accepts_connections(address).await {
                return Err(StackError::PortTaken { service, port });
            }
            give_up.get_or_insert_with(|| {
                eprintln!("waiting for port {port}, which an outgoing connection has");
                Instant::now() + OUTGOING_FOR
            });
            sleep(PAUSE).await;
        }
        Ok(address)
    }

    /// Binds the port without listening; returns false when it is in use.
    ///
    /// On Linux the port stays bound: no outgoing connection gets it, and the service can still listen on it, now and after
    /// a restart. Elsewhere the service could not.
    fn bind(&mut self, address: SocketAddr) -> io::Result<bool> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        match socket.bind(address) {
            Ok(()) if cfg!(target_os = "linux") => self.bound.push(socket),
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Picks a free port.
    pub(super) fn pick(&mut self) -> Result<SocketAddr, StackError> {
        for _ in 0..ATTEMPTS {
            // The low bits of a version 4 UUID are random; two stacks that start at once pick different ports.
            let [.., high, low] = uuid::Uuid::new_v4().into_bytes();
            let port = FIRST_PICKED + u16::from_be_bytes([high, low]) % PICKED;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if self.hold(port) && TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
        Err(StackError::NoFreePort)
    }

    /// Reserves the port; returns false when it is taken.
    fn hold(&mut self, port: u16) -> bool {
        let Ok(file) = open_for_locking(&self.locks.join(port.to_string())) else {
            return false;
        };
        let is_free = file.try_lock().is_ok();
        if is_free {
            self.held.push(file);
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn listener() -> TcpListener {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener")
    }

    fn port_of(listener: &TcpListener) -> u16 {
        listener.local_addr().expect("its address").port()
    }

    async fn chosen(port: u16) -> (Ports, Result<SocketAddr, StackError>) {
        let mut ports = Ports::new().expect("ports");
        let chosen = ports.choose(Service::Orders, port).await;
        (ports, chosen)
    }

    #[tokio::test]
    async fn a_port_that_somebody_listens_on_is_named_with_the_option_that_changes_it() {
        let owner = listener();
        let port = port_of(&owner);

        let (_, chosen) = chosen(port).await;

        let message = chosen.expect_err("the port is taken").to_string();
        assert!(message.contains(&port.to_string()), "{message}");
        assert!(message.contains("--order-port"), "{message}");
    }

    #[tokio::test]
    async fn the_port_of_an_outgoing_connection_is_waited_for() {
        let server = listener();
        let client = TcpStream::connect(server.local_addr().expect("its address"));
        let client = client.expect("a connection");
        let port = client.local_addr().expect("its address").port();

        // Closed by the server first, so that the client's port is free at once.
        let end = async { drop((server, client)) };
        let ((_, chosen), ()) = tokio::join!(chosen(port), end);

        assert_eq!(chosen.expect("the port").port(), port);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn no_outgoing_connection_gets_a_chosen_port_and_its_service_can_listen() {
        let port = port_of(&listener());
        let (_ports, address) = chosen(port).await;
        let address = address.expect("a free port");

        let outgoing = TcpSocket::new_v4().expect("a socket").bind(address);
        let service = tokio::net::TcpListener::bind(address).await;

        assert!(outgoing.is_err());
        assert!(service.is_ok());
    }

    #[tokio::test]
    async fn port_zero_picks_a_port_outside_the_range_of_outgoing_connections() {
        let (_, address) = chosen(0).await;

        let port = address.expect("a free port").port();
        assert!((FIRST_PICKED..FIRST_PICKED + PICKED).contains(&port));
    }

    #[test]
    fn a_picked_port_is_not_picked_again_until_its_stack_is_gone() {
        let mut first = Ports::new().expect("ports");
        let port = first.pick().expect("a free port").port();
        let mut second = Ports::new().expect("ports");

        assert!(!second.hold(port));
        drop(first);
        assert!(second.hold(port));
    }
}

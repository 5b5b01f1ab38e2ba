//! The loopback ports of the stack. Checked before anything starts, so that a taken port changes nothing.
//!
//! A picked port is reserved by a lock on a file named after it until the stack is gone: its process listens only
//! seconds later, and another stack must not pick the port meanwhile.

use std::env;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use nix::unistd::geteuid;

use super::data_directory::open_for_locking;
use super::{Service, StackError};

/// Lowest picked port: below the ephemeral port ranges of Linux and macOS. In those ranges a client that retries a dead
/// server's port can end up connected to itself.
const FIRST_PICKED: u16 = 20_000;
const PICKED: u16 = 12_000;

/// Attempts before giving up; a fair share of all ports is free on any healthy machine.
const ATTEMPTS: usize = 100;

/// The ports of one stack; picked ones are reserved until it is dropped.
#[derive(Debug)]
pub(super) struct Ports {
    locks: PathBuf,
    held: Vec<File>,
}

impl Ports {
    pub(super) fn new() -> Result<Self, StackError> {
        // One directory per user, because a user cannot lock another user's files.
        let locks = env::temp_dir().join(format!("local-stack-ports-{}", geteuid()));
        let held = Vec::new();
        match fs::create_dir_all(&locks) {
            Ok(()) => Ok(Self { locks, held }),
            Err(source) => Err(StackError::DataDirectory {
                path: locks,
                source,
            }),
        }
    }

    /// The address of a service: `port` if it is free, any free port if it is 0.
    pub(super) fn choose(&mut self, service: Service, port: u16) -> Result<SocketAddr, StackError> {
        if port == 0 {
            return self.pick();
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match TcpListener::bind(address) {
            Ok(_) => Ok(address),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(StackError::PortTaken { service, port })
            }
            Err(source) => Err(StackError::Port { port, source }),
        }
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
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_the_option_that_changes_it() {
        let owner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let port = owner.local_addr().expect("its address").port();

        let chosen = Ports::new().expect("ports").choose(Service::Orders, port);

        let error = chosen.expect_err("the port is taken");

        let message = error.to_string();
        assert!(message.contains(&port.to_string()), "{message}");
        assert!(message.contains("--order-port"), "{message}");
    }

    #[test]
    fn port_zero_picks_a_port_outside_the_range_of_outgoing_connections() {
        let address = Ports::new().expect("ports").choose(Service::Orders, 0);

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

//! Which ports the stack listens on, all on loopback. Checked before anything starts, so that a taken port changes nothing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::{Process, StackError};

/// Free ports are picked from here: below the range from which Linux and macOS take the local ports of outgoing
/// connections. In that range a client that retries a dead server's port can end up connected to itself.
const FIRST_PICKED: u16 = 20_000;
const PICKED: u16 = 12_000;

/// Ports tried before giving up; one in a few is free on any machine that works at all.
const ATTEMPTS: usize = 100;

/// Makes the address of a process: `port` itself if it is free, any free one if it is 0.
pub(super) fn choose(process: Process, port: u16) -> Result<SocketAddr, StackError> {
    if port == 0 {
        return pick();
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(address) {
        Ok(_) => Ok(address),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(StackError::PortTaken { process, port })
        }
        Err(source) => Err(StackError::Port { port, source }),
    }
}

fn pick() -> Result<SocketAddr, StackError> {
    for _ in 0..ATTEMPTS {
        // The low bits of a version 4 UUID are random; two stacks that start at once pick differently.
        let [.., high, low] = uuid::Uuid::new_v4().into_bytes();
        let port = FIRST_PICKED + u16::from_be_bytes([high, low]) % PICKED;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(StackError::NoFreePort)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_the_option_that_changes_it() {
        let owner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let port = owner.local_addr().expect("its address").port();

        let error = choose(Process::Orders, port).expect_err("the port is taken");

        let message = error.to_string();
        assert!(message.contains(&port.to_string()), "{message}");
        assert!(message.contains("--order-port"), "{message}");
    }

    #[test]
    fn port_zero_picks_a_port_outside_the_range_of_outgoing_connections() {
        let address = choose(Process::Orders, 0).expect("a free port");

        assert!((FIRST_PICKED..FIRST_PICKED + PICKED).contains(&address.port()));
    }
}

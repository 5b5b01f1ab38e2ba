//! Command line options of the page.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Live page")]
pub struct PageOptions {
    /// Port of the live page; 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    page_port: u16,

    /// Address of the live page. Everybody who reaches another one than loopback can stop and kill the processes.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    page_address: IpAddr,
}

impl PageOptions {
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.page_address, self.page_port)
    }
}

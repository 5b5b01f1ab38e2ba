//! The line between the service and its database server, to be cut.

use std::net::Ipv4Addr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Forwards connections to a port of this machine while it is whole.
pub(crate) struct Line {
    target: u16,
    port: u16,
    forwarding: Option<JoinHandle<()>>,
}

impl Line {
    /// A whole line.
    pub(crate) async fn to(target: u16) -> Self {
        let listener = listen(0).await;
        Self {
            target,
            port: listener.local_addr().unwrap().port(),
            forwarding: Some(tokio::spawn(forward(listener, target))),
        }
    }

    /// Where it begins.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Breaks every connection, and refuses new ones.
    pub(crate) async fn cut(&mut self) {
        if let Some(forwarding) = self.forwarding.take() {
            forwarding.abort();
            // Aborted, it has closed its sockets.
            assert!(forwarding.await.is_err());
        }
    }

    pub(crate) async fn mend(&mut self) {
        let listener = listen(self.port).await;
        self.forwarding = Some(tokio::spawn(forward(listener, self.target)));
    }
}

async fn listen(port: u16) -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .unwrap()
}

async fn forward(listener: TcpListener, target: u16) {
    let mut connections = JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
            copy_bidirectional(&mut near, &mut far).await
        });
    }
}

//! One connection through the proxy: two directions, each read into a bounded queue and written from it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::NetworkFault;

/// Read size: a few packets.
const CHUNK: usize = 8 * 1024;

/// Maximum queued chunks per direction: half a megabyte, which at 100 ms of latency is 5 MB per second.
const CHUNKS: usize = 64;

/// A connection's view of the line: the current fault, and the bytes carried.
#[derive(Clone, Debug)]
pub(super) struct ProxiedLine {
    faults: watch::Receiver<NetworkFault>,
    carried: Arc<AtomicU64>,
}

/// Bytes and their arrival time.
struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
}

/// Why a connection is ended by the proxy.
enum Broken {
    /// Reset with RST.
    Reset,
    /// The byte limit is reached.
    UsedUp,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        // The peer died: the other peer must see a broken connection, too.
        Self::Reset
    }
}

impl ProxiedLine {
    pub(super) fn new(faults: watch::Receiver<NetworkFault>) -> Self {
        let carried = Arc::default();
        Self { faults, carried }
    }

    /// A fresh counter for a new connection.
    pub(super) fn of_a_connection(&self) -> Self {
        Self::new(self.faults.clone())
    }

    fn fault(&self) -> NetworkFault {
        *self.faults.borrow()
    }

    /// Completes when the line is cut or the proxy is dropped.
    async fn is_cut(&mut self) {
        let _ = self
            .faults
            .wait_for(|fault| *fault == NetworkFault::Cut)
            .await;
    }

    /// Completes when the line is half-open; never when the proxy is dropped, which counts as a cut.
    async fn is_silent(&mut self) {
        if self
            .faults
            .wait_for(|fault| *fault == NetworkFault::HalfOpen)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Completes when the line is not half-open.
    async fn speaks(&mut self) {
        let _ = self
            .faults
            .wait_for(|fault| *fault != NetworkFault::HalfOpen)
            .await;
    }

    /// Waits for `time`, or until the fault changes.
    async fn busy(&mut self, time: Duration) {
        if time.is_zero() {
            return;
        }
        tokio::select! {
            _ = self.faults.changed() => {}
            () = sleep(time) => {}
        }
    }

    /// Counts bytes and returns how many of them may pass.
    fn carry(&self, bytes: usize) -> usize {
        let carried = self.carried.load(Ordering::Relaxed);
        let allowed = self.fault().allows(carried, bytes);
        self.carried.fetch_add(allowed as u64, Ordering::Relaxed);
        allowed
    }
}

/// Carries a connection until either side or a fault ends it.
pub(super) async fn carry(mut client: TcpStream, upstream: SocketAddr, mut line: ProxiedLine) {
    let Some(mut server) = connect(upstream, &mut line).await else {
        return reset(&client);
    };
    if let Err(Broken::Reset) = forward(&mut client, &mut server, &mut line).await {
        reset(&client);
        reset(&server);
    }
}

async fn connect(upstream: SocketAddr, line: &mut ProxiedLine) -> Option<TcpStream> {
    let mut silent = line.clone();
    let connected = async {
        silent.speaks().await;
        TcpStream::connect(upstream).await.ok()
    };
    tokio::select! {
        biased;
        () = line.is_cut() => None,
        server = connected => server,
    }
}

async fn forward(
    client: &mut TcpStream,
    server: &mut TcpStream,
    line: &mut ProxiedLine,
) -> Result<(), Broken> {
    // Without Nagle's algorithm: the fault alone may cause a delay.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let there = one_way(from_client, to_server, line.clone());
    let back = one_way(from_server, to_client, line.clone());
    tokio::select! {
        biased;
        () = line.is_cut() => Err(Broken::Reset),
        ended = async { tokio::try_join!(there, back) } => ended.map(drop),
    }
}

async fn one_way(from: ReadHalf<'_>, to: WriteHalf<'_>, line: ProxiedLine) -> Result<(), Broken> {
    let (chunks, waiting) = mpsc::channel(CHUNKS);
    let taken_in = take_in(from, chunks, line.clone());
    let given_out = give_out(waiting, to, line);
    tokio::try_join!(taken_in, given_out).map(drop)
}

async fn take_in(
    mut from: ReadHalf<'_>,
    chunks: mpsc::Sender<Chunk>,
    mut line: ProxiedLine,
) -> Result<(), Broken> {
    loop {
        let mut bytes = vec![0; CHUNK];
        let read = tokio::select! {
            // Half-open first: nothing is read after it.
            biased;
            () = line.is_silent() => None,
            read = from.read(&mut bytes) => Some(read?),
        };
        match read {
            None => line.speaks().await,
            Some(0) => return Ok(()),
            Some(read) => {
                bytes.truncate(read);
                let due = Instant::now() + line.fault().delay();
                if chunks.send(Chunk { due, bytes }).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

async fn give_out(
    mut waiting: mpsc::Receiver<Chunk>,
    mut to: WriteHalf<'_>,
    mut line: ProxiedLine,
) -> Result<(), Broken> {
    while let Some(chunk) = waiting.recv().await {
        sleep_until(chunk.due).await;
        line.speaks().await;
        let allowed = line.carry(chunk.bytes.len());
        to.write_all(&chunk.bytes[..allowed]).await?;
        if allowed < chunk.bytes.len() {
            return Err(Broken::UsedUp);
        }
        let busy = line.fault().busy(allowed);
        line.busy(busy).await;
    }
    Ok(to.shutdown().await?)
}

/// Closes a connection with RST instead of FIN.
fn reset(connection: &TcpStream) {
    // Fails only for a connection that is closed already.
    let _ = connection.set_zero_linger();
}

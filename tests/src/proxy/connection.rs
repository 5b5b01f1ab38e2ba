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

use super::Fault;

/// Bytes read at once: what a network delivers at once, a few packets.
const CHUNK: usize = 8 * 1024;

/// Chunks on their way in one direction: half a megabyte, which at 100 ms of latency is 5 MB a second.
const CHUNKS: usize = 64;

/// What a connection knows of the line: the fault of the moment, and how much it has carried.
#[derive(Clone, Debug)]
pub(super) struct Line {
    faults: watch::Receiver<Fault>,
    carried: Arc<AtomicU64>,
}

/// Bytes and when they arrive.
struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
}

/// Why a connection does not end as its peers want it.
enum Broken {
    /// It is to be reset.
    Reset,
    /// The byte limit is reached.
    UsedUp,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        // A peer that died: the other one shall see a connection that breaks, too.
        Self::Reset
    }
}

impl Line {
    pub(super) fn new(faults: watch::Receiver<Fault>) -> Self {
        let carried = Arc::default();
        Self { faults, carried }
    }

    /// The line as a new connection finds it.
    pub(super) fn of_a_connection(&self) -> Self {
        Self::new(self.faults.clone())
    }

    fn fault(&self) -> Fault {
        *self.faults.borrow()
    }

    /// Completes when the line is cut, and when the proxy is gone.
    async fn is_cut(&mut self) {
        let _ = self.faults.wait_for(|fault| *fault == Fault::Cut).await;
    }

    /// Completes when the line is silent; never when the proxy is gone, which counts as a cut.
    async fn is_silent(&mut self) {
        if self
            .faults
            .wait_for(|fault| *fault == Fault::HalfOpen)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Completes when the line is not silent, or not any more.
    async fn speaks(&mut self) {
        let _ = self
            .faults
            .wait_for(|fault| *fault != Fault::HalfOpen)
            .await;
    }

    /// Waits, at most until the fault changes.
    async fn busy(&mut self, time: Duration) {
        if time.is_zero() {
            return;
        }
        tokio::select! {
            _ = self.faults.changed() => {}
            () = sleep(time) => {}
        }
    }

    /// Counts bytes and says how many of them may pass.
    fn carry(&self, bytes: usize) -> usize {
        let carried = self.carried.load(Ordering::Relaxed);
        let allowed = self.fault().allows(carried, bytes);
        self.carried.fetch_add(allowed as u64, Ordering::Relaxed);
        allowed
    }
}

/// Carries a connection until it ends on either side, or by a fault.
pub(super) async fn carry(mut client: TcpStream, upstream: SocketAddr, mut line: Line) {
    let Some(mut server) = connect(upstream, &mut line).await else {
        return reset(&client);
    };
    if let Err(Broken::Reset) = forward(&mut client, &mut server, &mut line).await {
        reset(&client);
        reset(&server);
    }
}

async fn connect(upstream: SocketAddr, line: &mut Line) -> Option<TcpStream> {
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
    line: &mut Line,
) -> Result<(), Broken> {
    // Small messages wait for nothing: what delays here shall be the fault alone.
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

async fn one_way(from: ReadHalf<'_>, to: WriteHalf<'_>, line: Line) -> Result<(), Broken> {
    let (chunks, waiting) = mpsc::channel(CHUNKS);
    let taken_in = take_in(from, chunks, line.clone());
    let given_out = give_out(waiting, to, line);
    tokio::try_join!(taken_in, given_out).map(drop)
}

async fn take_in(
    mut from: ReadHalf<'_>,
    chunks: mpsc::Sender<Chunk>,
    mut line: Line,
) -> Result<(), Broken> {
    loop {
        let mut bytes = vec![0; CHUNK];
        let read = tokio::select! {
            // Silence first: nothing is read beside it.
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
    mut line: Line,
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
    // Fails only for a connection that is gone already.
    let _ = connection.set_zero_linger();
}

//! Starts the library's broker on an address and a file, and distinguishes a requested stop from a failure.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use tansu_broker::broker::Broker;
use tansu_storage::StorageContainer;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use crate::groups::Groups;
use crate::remembering_storage::RememberingStorage;

/// Consumer offsets and topics are stored under these two: a change would orphan every existing file.
pub(crate) const CLUSTER_ID: &str = "local";
pub(crate) const NODE_ID: i32 = 1;

/// Serves until SIGTERM or SIGINT; advertises `advertised` to its clients.
///
/// # Errors
/// When the address cannot be bound, the file cannot be opened, or the broker ends without a signal.
pub(crate) async fn run(listen: SocketAddr, advertised: SocketAddr, database: &Path) -> Result<()> {
    ensure!(
        listen.port() != 0,
        "--listen needs a port: it is advertised to clients"
    );
    ensure_free(listen)?;
    let stop_wanted = StopSignals::listen()?;
    let storage = RememberingStorage::new(open_storage(database, advertised).await?);
    let groups = Groups::with_storage(storage.clone())?;
    let broker = Broker::new(
        NODE_ID,
        CLUSTER_ID,
        url(listen)?,
        url(advertised)?,
        storage,
        groups,
        Uuid::new_v4(),
    );
    repair(database).await?;
    println!("embedded-broker listens on {listen}");

    let ended = broker.main(Instant::now()).await;

    ended.context("the broker failed")?;
    // The library returns Ok when its accept loop fails, so only a signal counts as a clean end.
    ensure!(
        stop_wanted.received().await,
        "the broker ended without a signal; see the lines above"
    );
    Ok(())
}

/// The library's storage on this file, which advertises `advertised` to clients.
pub(crate) async fn open_storage(
    database: &Path,
    advertised: SocketAddr,
) -> Result<StorageContainer> {
    StorageContainer::builder()
        .cluster_id(CLUSTER_ID)
        .node_id(NODE_ID)
        .advertised_listener(url(advertised)?)
        .schema_registry(None)
        .lake_house(None)
        .storage(storage_url(database)?)
        .cancellation(tokio_util::sync::CancellationToken::new())
        .silent(true)
        .build()
        .await
        .with_context(|| format!("cannot open the database {}", database.display()))
}

fn url(address: SocketAddr) -> Result<Url> {
    Url::parse(&format!("tcp://{address}")).with_context(|| format!("{address} is not a URL"))
}

/// The library looks up the headers of each record by (topition, offset) in a table without an index: with a dozen
/// headers per record, reading a topic would take quadratic time.
const INDEX_HEADERS: &str =
    "CREATE INDEX IF NOT EXISTS header_by_record ON header (topition, offset_id)";

/// A member that died before this process did would be restored from the file as alive, and keep its partitions
/// forever. A group that starts empty is rejoined by every live member. Offsets are stored elsewhere.
const FORGET_GROUP_MEMBERS: &str = "DELETE FROM consumer_group_detail";

/// Repairs the library's file before the start.
async fn repair(database: &Path) -> Result<()> {
    let name = database.file_name().unwrap_or(database.as_os_str());
    let connection = libsql::Builder::new_local(name).build().await?.connect()?;
    for statement in [INDEX_HEADERS, FORGET_GROUP_MEMBERS] {
        connection
            .execute(statement, ())
            .await
            .with_context(|| format!("cannot prepare the database: {statement}"))?;
    }
    Ok(())
}

/// The library reports a port in use as a panic in a task; this check gives a one-line error.
fn ensure_free(listen: SocketAddr) -> Result<()> {
    TcpListener::bind(listen)
        .map(drop)
        .with_context(|| format!("cannot listen on {listen}"))
}

/// The library resolves the URL's path below the working directory and does not decode percent signs. Changing into the
/// file's own directory and using the bare file name makes every directory usable, including those with spaces.
fn storage_url(database: &Path) -> Result<Url> {
    let Some(name) = database.file_name().and_then(|name| name.to_str()) else {
        bail!("{} does not name a file", database.display());
    };
    let url = Url::parse(&format!("sqlite:///{name}"))
        .with_context(|| format!("{name} cannot stand in a storage URL"))?;
    ensure!(
        url.path().strip_prefix('/') == Some(name) && url.query().is_none(),
        "the file name {name:?} has characters other than letters, digits, '-', '_' and '.'"
    );
    if let Some(directory) = database.parent().filter(|path| *path != Path::new("")) {
        std::env::set_current_dir(directory)
            .with_context(|| format!("cannot use the directory {}", directory.display()))?;
    }
    Ok(url)
}

/// Records a stop signal that arrives while the library handles it too.
struct StopSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
        })
    }

    /// Whether one of the signals arrived since `listen`; does not wait.
    async fn received(mut self) -> bool {
        tokio::select! {
            // In this order: a pending signal must win over the fallback.
            biased;
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => true,
            () = std::future::ready(()) => false,
        }
    }
}

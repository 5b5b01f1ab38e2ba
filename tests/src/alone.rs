//! order-service alone in a directory of its own, without a broker and without processing-service: for measuring its
//! synchronous half, from a client's call to the answer after the commit. Accepted orders are never published, so the
//! outbox grows while it runs: [`Alone::backlog`].

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use auditor::database::Database;
use postgres_server::Server;
use tokio::time::sleep;
use tonic::transport::Channel;

use crate::client::OrderClient;
use crate::client::connections::connect;
use crate::orders::basket;
use crate::procfs;
use crate::stack::programs_directory;

/// Startup timeout; includes migrating the schema.
const START: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(20);

/// The setting that names the database.
const DATABASE_URL: &str = "DATABASE_URL";

/// There is no availability query, and outbox rows are never published.
const UNDISTURBED: [(&str, &str); 3] = [
    ("AVAILABILITY_CHECK", "off"),
    ("BACKLOG_AGE", "1000m"),
    ("BACKLOG_ROWS", "4000000000"),
];

/// The settings of an order-service on a new database of this name.
///
/// # Errors
/// When the database cannot be created.
pub fn on_postgres(server: &Server, database: &str) -> Result<Vec<(&'static str, String)>> {
    server.create_database(database)?;
    let migrate = ("DATABASE_MIGRATE", "true".to_owned());
    Ok(vec![(DATABASE_URL, server.url(database)), migrate])
}

/// Places an order, as a caller of a closed loop.
///
/// # Errors
/// When the order is not accepted.
pub async fn place_order(channel: Channel) -> Result<()> {
    OrderClient::new(channel)
        .place_order(basket::request())
        .await?;
    Ok(())
}

/// A running order-service; killed on drop.
#[derive(Debug)]
pub struct Alone {
    process: Child,
    address: String,
    database: Database,
    _directory: tempfile::TempDir,
}

impl Alone {
    /// Starts it with these settings beside its own, and returns when it accepts orders.
    ///
    /// # Errors
    /// When the program is not built, exits, or accepts no orders in time.
    pub async fn start<N, V>(settings: &[(N, V)]) -> Result<Self>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let settings = settings.iter();
        let settings = settings.map(|(name, value)| (name.as_ref(), value.as_ref()));
        let mut alone = Self::spawn(&settings.collect::<Vec<_>>())?;
        alone.until_it_takes_orders().await?;
        Ok(alone)
    }

    fn spawn(settings: &[(&str, &str)]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let process = Command::new(programs_directory().join("order-service"))
            .current_dir(directory.path())
            .env("GRPC_LISTEN", format!("127.0.0.1:{port}"))
            .env("KAFKA_BROKERS", "127.0.0.1:1")
            .env("LOG_FILTER", "error")
            .envs(UNDISTURBED)
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .context("order-service does not start; build it with `make release`")?;
        let url = settings.iter().find(|(name, _)| *name == DATABASE_URL);
        let database = match url {
            Some((_, url)) => url.parse()?,
            None => Database::Sqlite(directory.path().join("order-service.db")),
        };
        Ok(Self {
            process,
            address: format!("http://127.0.0.1:{port}"),
            database,
            _directory: directory,
        })
    }

    async fn until_it_takes_orders(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        let mut client = OrderClient::new(connect(&self.address)?);
        while let Err(error) = client.place_order(basket::request()).await {
            self.check()?;
            ensure!(
                Instant::now() < deadline,
                "order-service takes no orders: {error}"
            );
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Checks that the process still runs: a service that died would be measured as a very fast or very slow one.
    ///
    /// # Errors
    /// When it has exited.
    pub fn check(&mut self) -> Result<()> {
        let ended = self.process.try_wait()?;
        ensure!(ended.is_none(), "order-service ended: {ended:?}");
        Ok(())
    }

    /// CPU time used so far by all threads.
    ///
    /// # Errors
    /// When `/proc/PID/stat` cannot be read.
    pub fn cpu_time(&self) -> Result<Duration> {
        procfs::cpu_time(self.process.id())
    }

    /// Where it listens, such as `http://127.0.0.1:50051`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Connections for the callers of a closed loop.
    ///
    /// # Errors
    /// Never: the address is its own.
    pub fn channels(&self, number: usize) -> Result<Vec<Channel>> {
        (0..number).map(|_| connect(&self.address)).collect()
    }

    /// Number of events in the outbox.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn backlog(&self) -> Result<i64> {
        let mut reader = self.database.reader().await?;
        reader.number("SELECT count(*) FROM outbox").await
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // An error means that the process has exited.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! The system under measurement: Apache Kafka, PostgreSQL, and the pair, whose services are started with the settings of
//! each measurement.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use auditor::Limits;
use auditor::database::Database;
use sqlx::{Connection as _, PgConnection};

use super::customers::Customers;
use super::progress;
use crate::audit;
use crate::orders::basket;
use crate::replay::journal::Journal;
use crate::stack::{
    BrokerEngine, CatalogueSource, DatabaseEngine, Engines, Process, Service, Stack, StackConfig,
};

/// File name of the journal in the data directory.
const JOURNAL: &str = "journal.jsonl";

/// Orders that are not final.
pub(super) const OPEN_ORDERS: &str = "SELECT count(*) FROM open_orders";

/// Orders that no outcome has reached yet.
pub(super) const WITHOUT_OUTCOME: &str = "SELECT count(*) FROM orders WHERE version = 1";

/// Maximum time from the last order until the audit may begin.
const SETTLE: Duration = Duration::from_secs(600);

/// A setting of a service.
pub(super) type Setting = (&'static str, String);

/// What differs between the stacks of `--grow`.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairSettings {
    pub(super) replicas: u16,
    /// Of each topic; `None`: the default of the services.
    pub(super) partitions: Option<u64>,
}

impl Default for PairSettings {
    fn default() -> Self {
        Self {
            replicas: 1,
            partitions: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Pair {
    stack: Stack,
    journal: Journal,
    journal_file: PathBuf,
}

impl Pair {
    /// Starts the servers and creates topics and tables. The services are not started.
    pub(super) async fn start(data_dir: &Path, settings: PairSettings) -> Result<Self> {
        let stack = Stack::start(config(data_dir, settings)).await?;
        stack.make_topics_and_schemas().await?;
        let journal_file = stack.data_dir().join(JOURNAL);
        Ok(Self {
            journal: Journal::buffered(&journal_file)?,
            journal_file,
            stack,
        })
    }

    /// Audits every order of the run and stops everything. After a failed measurement there is no audit.
    pub(super) async fn finish(self, measured: Result<()>) -> Result<()> {
        let audited = match measured {
            Ok(()) => self.audit().await,
            failed => failed,
        };
        self.stack.stop().await;
        audited
    }

    async fn audit(&self) -> Result<()> {
        println!("audit");
        self.start_service(Service::Processing, &[]).await?;
        self.start_service(Service::Orders, &[]).await?;
        self.journal.close()?;
        let limits = Limits {
            // Only counted: on a machine this busy a lease may expire, and its rows are published again.
            wire_duplicates: None,
            set_aside: Some(0),
            ..Limits::default()
        };
        let journal = Some(self.journal_file.as_path());
        let verdict = audit::of_the_stopped(&self.stack, journal, limits, SETTLE).await?;
        println!("{verdict}");
        ensure!(verdict.is_ok(), "the audit is red");
        Ok(())
    }

    pub(super) fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Starts all replicas of a service, with further settings for this start, and returns when they are ready.
    pub(super) async fn start_service(&self, service: Service, settings: &[Setting]) -> Result<()> {
        self.launch(service, settings).await?;
        // Runs already; waits until it is ready, and explains a failed start.
        self.stack.start_service(service).await?;
        Ok(())
    }

    /// Starts all replicas of a service without waiting until they are ready.
    pub(super) async fn launch(&self, service: Service, settings: &[Setting]) -> Result<()> {
        for process in self.stack.processes(service) {
            let settings = settings.iter();
            let settings = settings.map(|(name, value)| ((*name).to_owned(), value.clone()));
            self.stack
                .launch_once_with(process, settings.collect())
                .await?;
        }
        Ok(())
    }

    /// Starts both services; the settings are those of order-service.
    pub(super) async fn start_both(&self, settings: &[Setting]) -> Result<()> {
        tokio::try_join!(
            self.start_service(Service::Processing, &[]),
            self.start_service(Service::Orders, settings),
        )?;
        Ok(())
    }

    pub(super) async fn stop_service(&self, service: Service) -> Result<()> {
        for (process, ending) in self.stack.stop_service(service).await {
            ensure!(
                ending.is_clean(),
                "{process} did not stop cleanly: {ending}"
            );
        }
        Ok(())
    }

    pub(super) async fn stop_both(&self) -> Result<()> {
        for service in Service::PAIR {
            self.stop_service(service).await?;
        }
        Ok(())
    }

    /// A client of each replica of order-service.
    pub(super) async fn customers(&self) -> Result<Vec<Customers>> {
        let mut customers = Vec::new();
        for address in &self.stack.addresses().orders {
            customers.push(Customers::of(*address, self.journal.clone()).await?);
        }
        Ok(customers)
    }

    /// A session of the harness in the database of a service.
    pub(super) async fn database(&self, service: Service) -> Result<PgConnection> {
        let Database::Postgres(url) = self.stack.database(service) else {
            anyhow::bail!("the database of {service} is not on PostgreSQL");
        };
        PgConnection::connect(&url)
            .await
            .with_context(|| format!("cannot reach the database of {service}"))
    }

    /// Waits until every order is final.
    pub(super) async fn until_all_are_final(&self) -> Result<()> {
        let mut orders = self.database(Service::Orders).await?;
        progress::until_none(&mut orders, OPEN_ORDERS).await
    }

    /// Resident memory of the first replica of a service, in MiB.
    pub(super) fn resident_mib(&self, service: Service) -> Result<f64> {
        let bytes = crate::procfs::resident_memory(self.pid(service)?)?;
        Ok(bytes as f64 / f64::from(1 << 20))
    }

    pub(super) fn pids(&self, service: Service) -> Result<Vec<u32>> {
        let processes = self.stack.processes(service).into_iter();
        processes.map(|process| self.stack.pid(process)).collect()
    }

    fn pid(&self, service: Service) -> Result<u32> {
        self.stack.pid(self.first(service)?)
    }

    fn first(&self, service: Service) -> Result<Process> {
        let processes = self.stack.processes(service);
        processes.first().copied().context("no such process")
    }
}

fn config(data_dir: &Path, settings: PairSettings) -> StackConfig {
    let partitions = settings.partitions.map(|number| {
        let name = "KAFKA_TOPIC_PARTITIONS".to_owned();
        (name, number.to_string())
    });
    let no_simulated_work = (
        Service::Processing,
        "PAYMENT_LATENCY".to_owned(),
        "0ms".to_owned(),
    );
    StackConfig {
        engines: Engines {
            broker: BrokerEngine::Apache,
            database: DatabaseEngine::Postgres,
            replicas: settings.replicas,
        },
        services_are_started: false,
        // The time of each commit, for the latency to the final state.
        database_settings: vec![("track_commit_timestamp", "on")],
        broker_settings: partitions.into_iter().collect(),
        environment: vec![no_simulated_work],
        ..StackConfig::on_free_ports(data_dir, CatalogueSource::Text(basket::catalogue()))
    }
}

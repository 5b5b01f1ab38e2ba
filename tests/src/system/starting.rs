//! Starts a system: on the engines in `TEST_ENGINES`, with or without the services, secured or not. On Apache Kafka with a
//! broker of the pool, unless the system needs its own.

mod production;

use std::env;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail, ensure};

use super::broker_pool::{self, PooledBroker};
use super::home::Home;
use super::stopping::stop_cleanly;
use super::{JOURNAL, STOCK, Service, System};
use crate::client::connections::Connections;
use crate::replay::journal::Journal;
use crate::stack::{BrokerEngine, CatalogueSource, Engines, Stack, StackConfig};

/// The engines of the systems: `embedded` (default) or `production`.
const ENGINES: &str = "TEST_ENGINES";

/// The engines in `TEST_ENGINES`.
///
/// # Errors
/// When the variable has another value.
pub fn engines() -> Result<Engines> {
    match env::var(ENGINES).as_deref() {
        Err(_) | Ok("" | "embedded") => Ok(Engines::embedded()),
        Ok("production") => Ok(Engines::production()),
        Ok(other) => bail!("{ENGINES} is {other:?}; expected embedded or production"),
    }
}

impl System {
    /// Starts a system with default settings.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a system with environment variables for single services.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_with(environment: &[(Service, &str, &str)]) -> Result<Self> {
        let home = Home::new()?;
        let config = config(home.path(), environment)?;
        Self::start_on(home, config).await?.settled().await
    }

    /// Starts a system with default settings and a broker of its own, which the test may kill, stop and freeze, or start
    /// again.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_with_own_broker() -> Result<Self> {
        let home = Home::new()?;
        let config = config(home.path(), &[])?;
        let journal = Journal::create(&home.path().join(JOURNAL))?;
        Self::start_as(home, config, journal, None)
            .await?
            .settled()
            .await
    }

    /// Starts a system with one replica of each service on the engines in `TEST_ENGINES`, with environment variables
    /// for single services.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_one_of_each(environment: &[(Service, &str, &str)]) -> Result<Self> {
        let home = Home::new()?;
        let mut config = config(home.path(), environment)?;
        config.engines.replicas = 1;
        Self::start_on(home, config).await?.settled().await
    }

    /// Starts a system with proxies before its servers and between its services, with environment variables for single
    /// services.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_through_proxies(environment: &[(Service, &str, &str)]) -> Result<Self> {
        let home = Home::new()?;
        let mut config = config(home.path(), environment)?;
        config.through_proxies = true;
        Self::start_on(home, config).await?.settled().await
    }

    /// Starts a system of an installation with this KAFKA_TOPIC_PREFIX, one replica of each service.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_installation(prefix: &str) -> Result<Self> {
        let home = Home::new()?;
        let mut config = config(home.path(), &[])?;
        config.engines.replicas = 1;
        prefix.clone_into(&mut config.topic_prefix);
        Self::start_on(home, config).await?.settled().await
    }

    /// Starts a system of another installation, with databases of its own, on the broker of this one.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_installation_beside(&self, prefix: &str) -> Result<Self> {
        let home = Home::new()?;
        let mut config = config(home.path(), &[])?;
        config.engines.replicas = 1;
        config.engines.broker = BrokerEngine::External(self.addresses().kafka.clone());
        config.broker_settings = self.stack.broker_settings();
        prefix.clone_into(&mut config.topic_prefix);
        Self::start_on(home, config).await?.settled().await
    }

    /// Starts a system on these engines, whatever `TEST_ENGINES` says, with environment variables for single services.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_with_engines(
        engines: Engines,
        environment: &[(Service, &str, &str)],
    ) -> Result<Self> {
        let home = Home::new()?;
        let mut config = config(home.path(), environment)?;
        config.engines = engines;
        Self::start_on(home, config).await
    }

    /// Starts a system on Apache Kafka with TLS and SCRAM, and SQLite files, with environment variables for single
    /// services.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_secured(environment: &[(Service, &str, &str)]) -> Result<Self> {
        let home = Home::new()?;
        let mut config = config(home.path(), environment)?;
        config.engines = Engines {
            broker: BrokerEngine::Apache,
            ..Engines::embedded()
        };
        config.kafka_is_secured = true;
        Self::start_on(home, config).await
    }

    /// Stops the whole stack cleanly and starts another one, with default settings, on the same data.
    ///
    /// # Errors
    /// When the broker is not its own, a process does not stop cleanly, or the new stack does not start.
    pub async fn start_again(self) -> Result<Self> {
        let Self {
            stack,
            home,
            has_other_clients,
            journal,
            broker,
            ..
        } = self;
        ensure!(
            broker.is_none(),
            "the broker of the pool cannot be started again"
        );
        stop_cleanly(stack).await?;
        let config = config(home.path(), &[])?;
        let system = Self::start_as(home, config, journal, None).await?;
        Self {
            has_other_clients,
            ..system
        }
        .settled()
        .await
    }

    async fn start_on(home: Home, mut config: StackConfig) -> Result<Self> {
        let journal = Journal::create(&home.path().join(JOURNAL))?;
        let broker = broker_pool::lend_to(&mut config).await?;
        Self::start_as(home, config, journal, broker).await
    }

    async fn start_as(
        home: Home,
        config: StackConfig,
        journal: Journal,
        broker: Option<PooledBroker>,
    ) -> Result<Self> {
        let stack = Stack::start(config).await?;
        let replicas = stack.addresses().orders.iter();
        let addresses: Vec<_> = replicas
            .map(|address| format!("http://{address}"))
            .collect();
        // Lazy: a connection is reopened when its replica is back.
        let clients = Connections::to(&addresses, addresses.len())?;
        Ok(Self {
            stack,
            clients,
            home,
            has_other_clients: AtomicBool::new(false),
            journal,
            broker,
        })
    }

    /// The embedded broker settles its single-member groups at once and does not report their state.
    async fn settled(self) -> Result<Self> {
        if engines()?.broker != BrokerEngine::Embedded {
            self.until_groups_are_settled().await?;
        }
        Ok(self)
    }
}

fn config(home: &Path, environment: &[(Service, &str, &str)]) -> Result<StackConfig> {
    let mut config = StackConfig::on_free_ports(home, catalogue());
    config.engines = engines()?;
    config.environment = environment
        .iter()
        .map(|(service, name, value)| (*service, (*name).to_owned(), (*value).to_owned()))
        .collect();
    Ok(config)
}

fn catalogue() -> CatalogueSource {
    let lines = STOCK.map(|(sku, stock)| format!("{sku},{sku} of the tests,{stock}\n"));
    CatalogueSource::Text(format!("sku,name,opening_stock\n{}", lines.concat()))
}

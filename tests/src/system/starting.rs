//! Starts a system: on the engines in `TEST_ENGINES`, with or without the services, secured or not.

use std::env;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};

use super::home::Home;
use super::stopping::stop_cleanly;
use super::{JOURNAL, STOCK, Service, System};
use crate::client::connections::Connections;
use crate::replay::journal::Journal;
use crate::stack::{BrokerEngine, CatalogueSource, Engines, Stack, StackConfig};

/// The engines of the systems: `embedded` (default) or `production`.
const ENGINES: &str = "TEST_ENGINES";

/// PostgreSQL logs each statement once, with the name of its session in front, and without the values; a page is never
/// written to the WAL as a whole, and rows are not removed in the background.
const REQUEST_LOG: [(&str, &str); 6] = [
    ("log_statement", "all"),
    ("log_line_prefix", "%a "),
    ("log_parameter_max_length", "0"),
    ("full_page_writes", "off"),
    ("autovacuum", "off"),
    ("checkpoint_timeout", "1h"),
];

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

/// Whether `TEST_ENGINES` is `production`; prints a line when not, for tests that need these engines.
fn are_production() -> Result<bool> {
    let are_production = engines()?.replicas > 1;
    if !are_production {
        println!("skipped: only on the production engines ({ENGINES}=production)");
    }
    Ok(are_production)
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

    /// Starts a system on the production engines, with environment variables for single services. `None`, and a printed
    /// line, when the tests run on the embedded engines.
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_on_production(
        environment: &[(Service, &str, &str)],
    ) -> Result<Option<Self>> {
        if !are_production()? {
            return Ok(None);
        }
        Self::start_with(environment).await.map(Some)
    }

    /// Starts a system on the production engines with proxies before its servers and between its services. `None` as for
    /// [`System::start_on_production`].
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_production_through_proxies() -> Result<Option<Self>> {
        if !are_production()? {
            return Ok(None);
        }
        Self::start_through_proxies(&[]).await.map(Some)
    }

    /// Starts a system on the production engines with this many replicas of each service. `None` as for
    /// [`System::start_on_production`].
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_replicas(replicas: u16) -> Result<Option<Self>> {
        if !are_production()? {
            return Ok(None);
        }
        let home = Home::new()?;
        let mut config = config(home.path(), &[])?;
        config.engines.replicas = replicas;
        let system = Self::start_on(home, config).await?;
        system.settled().await.map(Some)
    }

    /// Starts a system with one replica of each service on the production engines, whose servers log what they are asked:
    /// every statement with the name of the session's service, and every completed request. Nothing else writes WAL or runs
    /// by time that can be avoided. `None` as for [`System::start_on_production`].
    ///
    /// # Errors
    /// When the stack does not start.
    pub async fn start_with_request_logs() -> Result<Option<Self>> {
        if !are_production()? {
            return Ok(None);
        }
        let home = Home::new()?;
        let named = Service::PAIR.map(|service| (service, "PGAPPNAME", service.name()));
        let rare = Service::PAIR.map(|service| (service, "KAFKA_FETCH_WAIT", "10s"));
        let prompt = [
            (Service::Processing, "PAYMENT_LATENCY", "0ms"),
            // A report is never used again, so every order has its call.
            (Service::Orders, "AVAILABILITY_MAX_AGE", "0ms"),
        ];
        let environment = [&named[..], &rare[..], &prompt[..]].concat();
        let mut config = config(home.path(), &environment)?;
        config.engines.replicas = 1;
        config.database_settings = REQUEST_LOG.to_vec();
        config.broker_logs_requests = true;
        Self::start_on(home, config)
            .await?
            .settled()
            .await
            .map(Some)
    }

    /// Starts only the broker and the database, on the production engines: no topics, no tables, no services. `None` as
    /// for [`System::start_on_production`].
    ///
    /// # Errors
    /// When they do not start.
    pub async fn start_without_services(
        environment: &[(Service, &str, &str)],
    ) -> Result<Option<Self>> {
        if !are_production()? {
            return Ok(None);
        }
        let home = Home::new()?;
        let mut config = config(home.path(), environment)?;
        config.services_are_started = false;
        Self::start_on(home, config).await.map(Some)
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
    /// When a process does not stop cleanly, or the new stack does not start.
    pub async fn start_again(self) -> Result<Self> {
        let Self {
            stack,
            home,
            has_other_clients,
            journal,
            ..
        } = self;
        stop_cleanly(stack).await?;
        let config = config(home.path(), &[])?;
        let system = Self::start_as(home, config, journal).await?;
        Self {
            has_other_clients,
            ..system
        }
        .settled()
        .await
    }

    async fn start_on(home: Home, config: StackConfig) -> Result<Self> {
        let journal = Journal::create(&home.path().join(JOURNAL))?;
        Self::start_as(home, config, journal).await
    }

    async fn start_as(home: Home, config: StackConfig, journal: Journal) -> Result<Self> {
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

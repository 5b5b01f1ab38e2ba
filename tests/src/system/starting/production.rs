//! Starts a system on the production engines, for tests that need them and are skipped on the embedded ones.

use anyhow::Result;

use super::super::home::Home;
use super::super::{Service, System};
use super::{ENGINES, config, engines};

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

/// Whether `TEST_ENGINES` is `production`; prints a line when not, for tests that need these engines.
fn are_production() -> Result<bool> {
    let are_production = engines()?.replicas > 1;
    if !are_production {
        println!("skipped: only on the production engines ({ENGINES}=production)");
    }
    Ok(are_production)
}

impl System {
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
}

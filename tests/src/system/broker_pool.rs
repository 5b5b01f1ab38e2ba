//! Apache Kafka brokers that outlive a test: a start costs half of what a short test costs.
//!
//! A system has a broker of the pool to itself, and gives it back when its test has passed. It installs itself under a
//! KAFKA_TOPIC_PREFIX of its own, so that it finds no topic, group or record of the systems before it. A broker ends
//! after a failed test and after [`MAX_USES`].
//!
//! Each is a `local-stack broker`, which ends with the pipe that this process holds.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};

use crate::stack::{BrokerEngine, StackConfig, programs_directory};

/// The topics of earlier uses stay, with two dozen partitions each time.
const MAX_USES: u32 = 10;

static IDLE: Mutex<Vec<PooledBroker>> = Mutex::new(Vec::new());

/// A broker, used by one system at a time. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct PooledBroker {
    process: Child,
    address: String,
    log: PathBuf,
    uses: u32,
    /// Where the log is copied to if the test fails.
    log_of_failure: Option<PathBuf>,
}

/// Configures a system for a broker of the pool. `None` if the system asks for what only a broker of its own has.
pub(super) async fn lend_to(config: &mut StackConfig) -> Result<Option<PooledBroker>> {
    let needs_its_own = config.engines.broker != BrokerEngine::Apache
        || config.through_proxies
        || config.kafka_is_secured
        || config.broker_logs_requests
        // The prefix is the subject of the test.
        || !config.topic_prefix.is_empty();
    if needs_its_own {
        return Ok(None);
    }
    let mut broker = PooledBroker::take().await?;
    broker.uses += 1;
    broker.log_of_failure = Some(config.data_dir.join("logs/broker.log"));
    config.broker_settings = config.engines.broker.settings();
    config.engines.broker = BrokerEngine::External(broker.address.clone());
    config.topic_prefix = format!("use-{}.", broker.uses);
    Ok(Some(broker))
}

impl PooledBroker {
    async fn take() -> Result<Self> {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(broker) => Ok(broker),
            None => tokio::task::spawn_blocking(Self::start).await?,
        }
    }

    fn start() -> Result<Self> {
        let mut process = Command::new(programs_directory().join("local-stack"))
            .arg("broker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C signals the tests only; the closed pipe then ends the broker.
            .process_group(0)
            .spawn()
            .context("cannot start local-stack")?;
        let output = process.stdout.take().context("a pipe")?;
        let mut lines = BufReader::new(output).lines();
        let mut line = || -> Result<String> {
            let line = lines.next();
            Ok(line.context("the broker of the pool did not start")??)
        };
        Ok(Self {
            address: line()?,
            log: line()?.into(),
            process,
            uses: 0,
            log_of_failure: None,
        })
    }

    /// Ends a use whose test has passed.
    ///
    /// # Errors
    /// When the broker has died.
    pub(super) fn give_back(mut self) -> Result<()> {
        let ended = self.process.try_wait()?;
        ensure!(
            ended.is_none(),
            "the broker of the pool has ended: {ended:?}"
        );
        self.log_of_failure = None;
        if self.uses < MAX_USES {
            IDLE.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(self);
        }
        Ok(())
    }
}

impl Drop for PooledBroker {
    fn drop(&mut self) {
        if let Some(copy) = &self.log_of_failure
            && let Err(error) = fs::copy(&self.log, copy)
        {
            eprintln!("cannot keep the log of the broker: {error}");
        }
        drop(self.process.stdin.take());
        // Fails only if another part of the process has reaped the child.
        let _ = self.process.wait();
    }
}

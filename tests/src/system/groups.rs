//! The consumer groups of the pair as reported by the broker.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::{Service, System, eventually};

/// Timeout of one broker call.
const ANSWER: Duration = Duration::from_secs(10);

impl System {
    /// Waits until every process of the pair is a member of its group and no rebalance is in progress. A service
    /// reports ready before that: it accepts orders at once, and its first events come a little later.
    ///
    /// # Errors
    /// When that takes too long.
    pub(super) async fn until_groups_are_settled(&self) -> Result<()> {
        for service in Service::PAIR {
            let members = self.stack.processes(service).len();
            eventually(&format!("the group of {service} is settled"), async || {
                let group = self.group(service).await;
                Ok((group.ok() == Some(("Stable".to_owned(), members))).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// State and member count of a service's group.
    async fn group(&self, service: Service) -> Result<(String, usize)> {
        let brokers = self.addresses().kafka.clone();
        let name = format!("{}{service}", self.stack.topic_prefix());
        // librdkafka blocks the calling thread.
        tokio::task::spawn_blocking(move || describe(&brokers, &name)).await?
    }
}

fn describe(brokers: &str, name: &str) -> Result<(String, usize)> {
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()?;
    let groups = client.fetch_group_list(Some(name), ANSWER)?;
    let group = groups.groups().first().context("no such group")?;
    Ok((group.state().to_owned(), group.members().len()))
}

//! Changes to a topic and to the committed offsets of a group.

use anyhow::{Result, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication, TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::topic::ANSWER;
use super::{Service, Topic, eventually};

/// The topic's largest record batch, in bytes.
const LIMIT: &str = "max.message.bytes";

impl Topic {
    /// Creates the topic with this many partitions.
    ///
    /// # Errors
    /// When the broker does not create it.
    pub async fn create(&self, partitions: i32) -> Result<()> {
        let topic = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1));
        let admin = self.admin()?;
        was_done(admin.create_topics(&[topic], &AdminOptions::new()).await?)
    }

    /// Increases the number of partitions to this number.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn grow_to(&self, partitions: usize) -> Result<()> {
        let more = NewPartitions::new(&self.name, partitions);
        let admin = self.admin()?;
        was_done(
            admin
                .create_partitions(&[more], &AdminOptions::new())
                .await?,
        )
    }

    /// Sets `max.message.bytes`.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn limit_to(&self, bytes: u32) -> Result<()> {
        let bytes = bytes.to_string();
        let topic = ResourceSpecifier::Topic(&self.name);
        let change = AlterConfig::new(topic).set(LIMIT, &bytes);
        let admin = self.admin()?;
        let options = AdminOptions::new();
        for answer in admin.alter_configs(&[change], &options).await? {
            if let Err((_, code)) = answer {
                bail!("the broker refuses to configure {}: {code}", self.name);
            }
        }
        // The controller has it; the broker that is asked learns of it a moment later.
        eventually("the broker knows the limit", async || {
            let described = admin.describe_configs(&[topic], &options).await?;
            let mut configs = described.into_iter().flatten();
            let known = configs.find_map(|config| config.get(LIMIT)?.value.clone());
            Ok((known.as_ref() == Some(&bytes)).then_some(()))
        })
        .await
    }

    /// Deletes the topic with all its records.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn delete(&self) -> Result<()> {
        let admin = self.admin()?;
        was_done(
            admin
                .delete_topics(&[&self.name], &AdminOptions::new())
                .await?,
        )
    }

    /// Resets the offsets of a group to the start of every partition. No member of the group may run.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn rewind(&self, group: Service) -> Result<()> {
        self.set_offsets(group, |low, _| low).await
    }

    /// Sets the offsets of a group to the result of `choose`, called with the first offset and the end of each
    /// partition. No member of the group may run.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn set_offsets(
        &self,
        group: Service,
        choose: impl Fn(i64, i64) -> i64 + Send + 'static,
    ) -> Result<()> {
        let topic = self.clone();
        let set = move || {
            let consumer = topic.consumer(&topic.group(group))?;
            let mut offsets = TopicPartitionList::new();
            for partition in topic.partitions(&consumer)? {
                let (low, high) = consumer.fetch_watermarks(&topic.name, partition, ANSWER)?;
                let offset = Offset::Offset(choose(low, high));
                offsets.add_partition_offset(&topic.name, partition, offset)?;
            }
            Ok(consumer.commit(&offsets, CommitMode::Sync)?)
        };
        // librdkafka blocks the calling thread.
        tokio::task::spawn_blocking(set).await?
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        Ok(config.create()?)
    }
}

fn was_done(answers: Vec<TopicResult>) -> Result<()> {
    for answer in answers {
        if let Err((topic, code)) = answer {
            bail!("the broker refuses to change the topic {topic}: {code}");
        }
    }
    Ok(())
}

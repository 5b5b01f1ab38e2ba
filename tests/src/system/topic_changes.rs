//! What an operator, or an accident, does to a topic and to the offsets of a group on it.

use anyhow::{Result, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication, TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::topic::ANSWER;
use super::{Service, Topic};

impl Topic {
    /// Creates the topic with so many partitions.
    ///
    /// # Errors
    /// When the broker does not create it.
    pub async fn create(&self, partitions: i32) -> Result<()> {
        let topic = NewTopic::new(self.name, partitions, TopicReplication::Fixed(1));
        let admin = self.admin()?;
        was_done(admin.create_topics(&[topic], &AdminOptions::new()).await?)
    }

    /// Gives the topic further partitions, so that it has so many.
    ///
    /// # Errors
    /// When the broker does not do so.
    pub async fn grow_to(&self, partitions: usize) -> Result<()> {
        let more = NewPartitions::new(self.name, partitions);
        let admin = self.admin()?;
        was_done(
            admin
                .create_partitions(&[more], &AdminOptions::new())
                .await?,
        )
    }

    /// Deletes the topic and everything on it.
    ///
    /// # Errors
    /// When the broker does not do so.
    pub async fn delete(&self) -> Result<()> {
        let admin = self.admin()?;
        was_done(
            admin
                .delete_topics(&[self.name], &AdminOptions::new())
                .await?,
        )
    }

    /// Has a group, none of whose members runs, begin again with the first record of every partition.
    ///
    /// # Errors
    /// When the broker does not do so.
    pub async fn rewind(&self, group: Service) -> Result<()> {
        self.set_offsets(group, |low, _| low).await
    }

    /// Sets the offsets of a group, none of whose members runs, to what `choose` makes of the first offset and the end
    /// of each partition.
    ///
    /// # Errors
    /// When the broker does not do so.
    pub async fn set_offsets(
        &self,
        group: Service,
        choose: impl Fn(i64, i64) -> i64 + Send + 'static,
    ) -> Result<()> {
        let topic = self.clone();
        let set = move || {
            let consumer = topic.consumer(group.name())?;
            let mut offsets = TopicPartitionList::new();
            for partition in topic.partitions(&consumer)? {
                let (low, high) = consumer.fetch_watermarks(topic.name, partition, ANSWER)?;
                let offset = Offset::Offset(choose(low, high));
                offsets.add_partition_offset(topic.name, partition, offset)?;
            }
            Ok(consumer.commit(&offsets, CommitMode::Sync)?)
        };
        // librdkafka blocks its caller.
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

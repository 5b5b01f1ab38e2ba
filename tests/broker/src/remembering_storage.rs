//! The library's storage, which does not read again what nobody has written since.
//!
//! The library answers a fetch by polling: until the wait of the request is over, it asks for the topic, the records and the
//! end of each partition, and prepares each of these statements anew. Two idle services cost a third of a core that way, and
//! tests run four such pairs at once. Everything that is written passes through here too, so reads are remembered until then.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tansu_sans_io::create_topics_request::CreatableTopic;
use tansu_sans_io::delete_groups_response::DeletableGroupResult;
use tansu_sans_io::delete_records_request::DeleteRecordsTopic;
use tansu_sans_io::delete_records_response::DeleteRecordsTopicResult;
use tansu_sans_io::describe_cluster_response::DescribeClusterBroker;
use tansu_sans_io::describe_configs_response::DescribeConfigsResult;
use tansu_sans_io::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic;
use tansu_sans_io::incremental_alter_configs_request::AlterConfigsResource;
use tansu_sans_io::incremental_alter_configs_response::AlterConfigsResourceResponse;
use tansu_sans_io::list_groups_response::ListedGroup;
use tansu_sans_io::record::deflated;
use tansu_sans_io::txn_offset_commit_response::TxnOffsetCommitResponseTopic;
use tansu_sans_io::{ConfigResource, ErrorCode, IsolationLevel, ListOffset, ScramMechanism};
use tansu_storage::{
    BrokerRegistrationRequest, GroupDetail, ListOffsetResponse, MetadataResponse, NamedGroupDetail,
    OffsetCommitRequest, OffsetStage, ProducerIdResponse, Result, ScramCredential, Storage,
    TopicId, Topition, TxnAddPartitionsRequest, TxnAddPartitionsResponse, TxnOffsetCommitRequest,
    UpdateError, Version,
};
use url::Url;
use uuid::Uuid;

/// A storage whose unchanged reads cost nothing.
#[derive(Clone, Debug)]
pub(crate) struct RememberingStorage<S> {
    inner: S,
    known: Known,
}

impl<S> RememberingStorage<S> {
    /// Nothing else may write to this storage.
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            known: Known::default(),
        }
    }
}

/// What was read since the last write.
#[derive(Debug, Default)]
struct Reads {
    /// Number of writes. A read that began before a write is not remembered.
    era: u64,
    stages: HashMap<Topition, OffsetStage>,
    topics: HashMap<TopicId, MetadataResponse>,
}

#[derive(Clone, Debug, Default)]
struct Known(Arc<Mutex<Reads>>);

impl Known {
    fn reads(&self) -> MutexGuard<'_, Reads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stage(&self, topition: &Topition) -> (Option<OffsetStage>, u64) {
        let reads = self.reads();
        (reads.stages.get(topition).copied(), reads.era)
    }

    fn metadata(&self, topic: &TopicId) -> (Option<MetadataResponse>, u64) {
        let reads = self.reads();
        (reads.topics.get(topic).cloned(), reads.era)
    }

    fn ends_at_or_below(&self, topition: &Topition, offset: i64) -> bool {
        let (stage, _) = self.stage(topition);
        stage.is_some_and(|stage| offset >= stage.high_watermark())
    }

    /// Adds what was read, unless something was written since `era`.
    fn remember<T>(&self, era: u64, add: impl FnOnce(&mut Reads) -> T) {
        let mut reads = self.reads();
        if reads.era == era {
            add(&mut reads);
        }
    }

    /// To be held during a write.
    fn write(&self) -> Write {
        Write(self.clone())
    }
}

/// A write that is under way. What was read before its end is forgotten then, before the client knows the outcome: also
/// if it failed, or if its request was dropped, since it may have taken effect.
struct Write(Known);

impl Drop for Write {
    fn drop(&mut self) {
        let mut reads = self.0.reads();
        *reads = Reads {
            era: reads.era + 1,
            ..Reads::default()
        };
    }
}

#[async_trait]
impl<S: Storage> Storage for RememberingStorage<S> {
    async fn register_broker(&self, broker_registration: BrokerRegistrationRequest) -> Result<()> {
        let _write = self.known.write();
        self.inner.register_broker(broker_registration).await
    }

    async fn create_topic(&self, topic: CreatableTopic, validate_only: bool) -> Result<Uuid> {
        let _write = self.known.write();
        self.inner.create_topic(topic, validate_only).await
    }

    async fn incremental_alter_resource(
        &self,
        resource: AlterConfigsResource,
    ) -> Result<AlterConfigsResourceResponse> {
        let _write = self.known.write();
        self.inner.incremental_alter_resource(resource).await
    }

    async fn delete_records(
        &self,
        topics: &[DeleteRecordsTopic],
    ) -> Result<Vec<DeleteRecordsTopicResult>> {
        let _write = self.known.write();
        self.inner.delete_records(topics).await
    }

    async fn delete_topic(&self, topic: &TopicId) -> Result<ErrorCode> {
        let _write = self.known.write();
        self.inner.delete_topic(topic).await
    }

    async fn brokers(&self) -> Result<Vec<DescribeClusterBroker>> {
        self.inner.brokers().await
    }

    async fn produce(
        &self,
        transaction_id: Option<&str>,
        topition: &Topition,
        batch: deflated::Batch,
    ) -> Result<i64> {
        let _write = self.known.write();
        self.inner.produce(transaction_id, topition, batch).await
    }

    async fn fetch(
        &self,
        topition: &'_ Topition,
        offset: i64,
        min_bytes: u32,
        max_bytes: u32,
        isolation: IsolationLevel,
    ) -> Result<Vec<deflated::Batch>> {
        if self.known.ends_at_or_below(topition, offset) {
            return Ok(Vec::new());
        }
        self.inner
            .fetch(topition, offset, min_bytes, max_bytes, isolation)
            .await
    }

    async fn offset_stage(&self, topition: &Topition) -> Result<OffsetStage> {
        let (stage, era) = self.known.stage(topition);
        if let Some(stage) = stage {
            return Ok(stage);
        }
        let stage = self.inner.offset_stage(topition).await?;
        self.known
            .remember(era, |reads| reads.stages.insert(topition.clone(), stage));
        Ok(stage)
    }

    async fn list_offsets(
        &self,
        isolation_level: IsolationLevel,
        offsets: &[(Topition, ListOffset)],
    ) -> Result<Vec<(Topition, ListOffsetResponse)>> {
        self.inner.list_offsets(isolation_level, offsets).await
    }

    async fn offset_commit(
        &self,
        group_id: &str,
        retention_time_ms: Option<Duration>,
        offsets: &[(Topition, OffsetCommitRequest)],
    ) -> Result<Vec<(Topition, ErrorCode)>> {
        self.inner
            .offset_commit(group_id, retention_time_ms, offsets)
            .await
    }

    async fn offset_fetch(
        &self,
        group_id: Option<&str>,
        topics: &[Topition],
        require_stable: Option<bool>,
    ) -> Result<BTreeMap<Topition, i64>> {
        self.inner
            .offset_fetch(group_id, topics, require_stable)
            .await
    }

    async fn committed_offset_topitions(&self, group_id: &str) -> Result<BTreeMap<Topition, i64>> {
        self.inner.committed_offset_topitions(group_id).await
    }

    async fn metadata(&self, topics: Option<&[TopicId]>) -> Result<MetadataResponse> {
        let Some([topic]) = topics else {
            return self.inner.metadata(topics).await;
        };
        let (metadata, era) = self.known.metadata(topic);
        if let Some(metadata) = metadata {
            return Ok(metadata);
        }
        let metadata = self.inner.metadata(topics).await?;
        self.known.remember(era, |reads| {
            reads.topics.insert(topic.clone(), metadata.clone())
        });
        Ok(metadata)
    }

    async fn upsert_user_scram_credential(
        &self,
        user: &str,
        mechanism: ScramMechanism,
        credential: ScramCredential,
    ) -> Result<()> {
        self.inner
            .upsert_user_scram_credential(user, mechanism, credential)
            .await
    }

    async fn delete_user_scram_credential(
        &self,
        user: &str,
        mechanism: ScramMechanism,
    ) -> Result<()> {
        self.inner
            .delete_user_scram_credential(user, mechanism)
            .await
    }

    async fn user_scram_credential(
        &self,
        user: &str,
        mechanism: ScramMechanism,
    ) -> Result<Option<ScramCredential>> {
        self.inner.user_scram_credential(user, mechanism).await
    }

    async fn describe_config(
        &self,
        name: &str,
        resource: ConfigResource,
        keys: Option<&[String]>,
    ) -> Result<DescribeConfigsResult> {
        self.inner.describe_config(name, resource, keys).await
    }

    async fn list_groups(&self, states_filter: Option<&[String]>) -> Result<Vec<ListedGroup>> {
        self.inner.list_groups(states_filter).await
    }

    async fn delete_groups(
        &self,
        group_ids: Option<&[String]>,
    ) -> Result<Vec<DeletableGroupResult>> {
        self.inner.delete_groups(group_ids).await
    }

    async fn describe_groups(
        &self,
        group_ids: Option<&[String]>,
        include_authorized_operations: bool,
    ) -> Result<Vec<NamedGroupDetail>> {
        self.inner
            .describe_groups(group_ids, include_authorized_operations)
            .await
    }

    async fn describe_topic_partitions(
        &self,
        topics: Option<&[TopicId]>,
        partition_limit: i32,
        cursor: Option<Topition>,
    ) -> Result<Vec<DescribeTopicPartitionsResponseTopic>> {
        self.inner
            .describe_topic_partitions(topics, partition_limit, cursor)
            .await
    }

    async fn update_group(
        &self,
        group_id: &str,
        detail: GroupDetail,
        version: Option<Version>,
    ) -> Result<Version, UpdateError<GroupDetail>> {
        self.inner.update_group(group_id, detail, version).await
    }

    async fn init_producer(
        &self,
        transaction_id: Option<&str>,
        transaction_timeout_ms: i32,
        producer_id: Option<i64>,
        producer_epoch: Option<i16>,
    ) -> Result<ProducerIdResponse> {
        self.inner
            .init_producer(
                transaction_id,
                transaction_timeout_ms,
                producer_id,
                producer_epoch,
            )
            .await
    }

    async fn txn_add_offsets(
        &self,
        transaction_id: &str,
        producer_id: i64,
        producer_epoch: i16,
        group_id: &str,
    ) -> Result<ErrorCode> {
        self.inner
            .txn_add_offsets(transaction_id, producer_id, producer_epoch, group_id)
            .await
    }

    async fn txn_add_partitions(
        &self,
        partitions: TxnAddPartitionsRequest,
    ) -> Result<TxnAddPartitionsResponse> {
        let _write = self.known.write();
        self.inner.txn_add_partitions(partitions).await
    }

    async fn txn_offset_commit(
        &self,
        offsets: TxnOffsetCommitRequest,
    ) -> Result<Vec<TxnOffsetCommitResponseTopic>> {
        self.inner.txn_offset_commit(offsets).await
    }

    async fn txn_end(
        &self,
        transaction_id: &str,
        producer_id: i64,
        producer_epoch: i16,
        committed: bool,
    ) -> Result<ErrorCode> {
        let _write = self.known.write();
        self.inner
            .txn_end(transaction_id, producer_id, producer_epoch, committed)
            .await
    }

    async fn maintain(&self, now: SystemTime) -> Result<()> {
        let _write = self.known.write();
        self.inner.maintain(now).await
    }

    async fn cluster_id(&self) -> Result<String> {
        self.inner.cluster_id().await
    }

    async fn node(&self) -> Result<i32> {
        self.inner.node().await
    }

    async fn advertised_listener(&self) -> Result<Url> {
        self.inner.advertised_listener().await
    }

    async fn ping(&self) -> Result<()> {
        self.inner.ping().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_ends_all_that_was_read_before_its_end() {
        let (known, topition) = (Known::default(), Topition::new("events", 0));
        let remember = |era| {
            let stage = OffsetStage::default();
            known.remember(era, |reads| reads.stages.insert(topition.clone(), stage));
        };
        let (_, before) = known.stage(&topition);
        remember(before);
        assert!(known.ends_at_or_below(&topition, 0));

        drop(known.write());

        assert!(!known.ends_at_or_below(&topition, 0));
        remember(before);
        assert!(
            !known.ends_at_or_below(&topition, 0),
            "read before the write"
        );
    }
}

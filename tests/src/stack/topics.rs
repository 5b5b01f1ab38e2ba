//! Creates the topics of the pair where they are missing.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use thiserror::Error;

/// Enough to see keys spread and partitions advance independently, few enough to read their offsets at a glance.
const PARTITIONS: i32 = 6;

/// Copies of each partition.
#[derive(Clone, Copy, Debug)]
pub(super) enum Copies {
    /// One: the embedded broker is one node and takes the number literally.
    One,
    /// As the broker is configured (KIP-464).
    BrokerDefault,
}

/// The topics could not be created.
#[derive(Debug, Error)]
pub enum TopicsError {
    /// The request failed as a whole.
    #[error("cannot ask the broker to create topics")]
    Request(#[source] KafkaError),
    /// The broker refused one topic.
    #[error("the broker refuses to create the topic {topic}: {code}")]
    Refused {
        /// The topic.
        topic: String,
        /// Its answer.
        code: RDKafkaErrorCode,
    },
}

/// Creates every topic of the pair that does not exist yet.
pub(super) async fn create(brokers: &str, copies: Copies) -> Result<(), TopicsError> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .map_err(TopicsError::Request)?;
    let copies = match copies {
        Copies::One => 1,
        Copies::BrokerDefault => -1,
    };
    let topics = proto::topics::ALL
        .map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(copies)));
    let answers = admin
        .create_topics(&topics, &AdminOptions::new())
        .await
        .map_err(TopicsError::Request)?;
    for answer in answers {
        match answer {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(TopicsError::Refused { topic, code }),
        }
    }
    Ok(())
}

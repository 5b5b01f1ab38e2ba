//! The configuration of one consumer: data, nothing is connected here.

use std::sync::Arc;

use service::config::{FromSetting, Settings};

use crate::retry_policy::RetryPolicy;

/// The topic of a consumer, its group, its dead-letter topic, all as Kafka names them ([`kafka::KafkaConfig::name`]), and its
/// limits.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// The consumer group: members share the partitions.
    pub group: Arc<str>,
    /// The topic to consume.
    pub topic: Arc<str>,
    /// The topic for events that cannot be handled, with headers that say where they came from.
    pub dead_letter_topic: Arc<str>,
    /// Handler calls at once, over all partitions and the retry store.
    pub max_in_flight: usize,
    /// How long a failing event is retried, and when a partition stops.
    pub retry_policy: RetryPolicy,
    /// Whether attempts continue the trace of their event.
    pub trace_processing: TraceProcessing,
    /// Name of the service, a header of its dead letters.
    pub service: &'static str,
    /// Version of the service, a header of its dead letters.
    pub version: &'static str,
}

impl ConsumerConfig {
    /// Records that a partition may hold in memory: the in-flight ones, and as many again to keep the lanes filled.
    pub(crate) fn max_records_per_partition(&self) -> usize {
        self.max_in_flight * 2
    }
}

/// Relation between the span of an attempt and the span that created the event. There is a link in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceProcessing {
    /// A child: one trace from the caller to the outcome.
    #[default]
    Parent,
    /// The root of a new trace.
    Link,
}

impl TraceProcessing {
    /// Reads the setting `TRACE_PROCESSING`.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        settings.value(
            "TRACE_PROCESSING",
            "parent",
            "`parent`: handling an event continues the trace that created it; `link`: it starts a new trace with a link to that one",
        )
    }
}

impl FromSetting for TraceProcessing {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text {
            "parent" => Ok(Self::Parent),
            "link" => Ok(Self::Link),
            _ => Err("parent or link".to_owned()),
        }
    }
}

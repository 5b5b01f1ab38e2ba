//! The relay's librdkafka producer: rows go in, delivery reports come out. It decides nothing about retries.

use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{
    BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer,
};
use tokio::sync::mpsc;

use super::instrumentation::RelayTelemetry;
use crate::outbox::{OutboxRecord, OutboxRow};
use kafka::headers::{DamagedHeaders, write_native};
use kafka::{ErrorLog, KafkaConfig, ObservedSend, TopicPrefix};

/// Maximum number of reports per [`Producer::reports`].
const REPORT_BATCH: usize = 1_000;

/// The outcome of one publish attempt.
#[derive(Debug)]
pub(super) struct DeliveryReport {
    pub(super) seq: i64,
    pub(super) result: Result<(), KafkaError>,
}

/// A publish attempt failed, or its outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("decoding the stored headers")]
    Damaged(#[from] DamagedHeaders),
    #[error("kafka")]
    Kafka(#[from] KafkaError),
}

/// The producer cannot be used, or not any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProducerError {
    #[error("creating the kafka producer")]
    Create(#[source] KafkaError),
    #[error("fatal error of the kafka producer ({code:?}): {reason}")]
    Fatal {
        code: RDKafkaErrorCode,
        reason: String,
    },
}

/// Handed back by librdkafka with its report.
pub(super) struct PublishAttempt {
    seq: i64,
    observed: ObservedSend,
}

/// A producer whose thread reports on a channel. The channel is unbounded; the window bounds the reports in it.
pub(super) struct Producer {
    client: ThreadedProducer<ProducerCallbacks>,
    reports: mpsc::UnboundedReceiver<DeliveryReport>,
    telemetry: Arc<RelayTelemetry>,
    prefix: TopicPrefix,
}

impl Producer {
    pub(super) fn new(
        kafka: &KafkaConfig,
        telemetry: Arc<RelayTelemetry>,
    ) -> Result<Self, ProducerError> {
        let (sender, reports) = mpsc::unbounded_channel();
        let client = kafka
            .producer()
            .create_with_context(ProducerCallbacks {
                reports: sender,
                errors: ErrorLog::default(),
            })
            .map_err(ProducerError::Create)?;
        Ok(Self {
            client,
            reports,
            telemetry,
            prefix: kafka.prefix.clone(),
        })
    }

    pub(super) fn telemetry(&self) -> &RelayTelemetry {
        &self.telemetry
    }

    /// Hands a row to librdkafka, which copies it. The row names the topic without the prefix of the installation.
    pub(super) fn send(&self, row: &OutboxRow) -> Result<(), SendError> {
        if let Some(damage) = row.damaged {
            return Err(damage.into());
        }
        let OutboxRecord {
            topic,
            key,
            headers,
            payload,
        } = row.record.as_ref();
        let prefixed = self.prefix.apply(topic);
        let attempt = PublishAttempt {
            seq: row.seq,
            observed: self.telemetry.begin(&prefixed, key, headers),
        };
        let record = BaseRecord::with_opaque_to(&prefixed, Box::new(attempt))
            .key(key)
            .payload(payload)
            .headers(write_native(headers));
        self.client.send(record).map_err(|(error, record)| {
            record.delivery_opaque.observed.failed(&error);
            error.into()
        })
    }

    /// The next reports; waits for the first.
    pub(super) async fn reports(&mut self) -> Vec<DeliveryReport> {
        let mut reports = Vec::new();
        self.reports.recv_many(&mut reports, REPORT_BATCH).await;
        reports
    }

    /// Fails if this producer can never send again, for example because the broker forgot its producer id.
    pub(super) fn check(&self) -> Result<(), ProducerError> {
        match self.client.client().fatal_error() {
            None => Ok(()),
            Some((code, reason)) => Err(ProducerError::Fatal { code, reason }),
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // Queued events are still in the table and will be sent again: waiting here would only delay the shutdown.
        self.client.purge(PurgeConfig::default().queue().inflight());
    }
}

struct ProducerCallbacks {
    reports: mpsc::UnboundedSender<DeliveryReport>,
    errors: ErrorLog,
}

impl ClientContext for ProducerCallbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.report(&error, reason);
    }
}

impl ProducerContext for ProducerCallbacks {
    type DeliveryOpaque = Box<PublishAttempt>;

    fn delivery(&self, result: &DeliveryResult<'_>, attempt: Self::DeliveryOpaque) {
        let PublishAttempt { seq, observed } = *attempt;
        observed.reported(result);
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        // Fails when the relay has ended: the row is still in the table.
        let _ = self.reports.send(DeliveryReport { seq, result });
    }
}

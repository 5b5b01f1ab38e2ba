//! The relay's end of librdkafka's producer: rows go in, reports come out.

use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer,
};
use tokio::sync::mpsc;

use super::instrumentation::RelayTelemetry;
use crate::OutboxRow;
use kafka::headers::DamagedHeaders;
use kafka::{ErrorLog, KafkaConfig, ObservedSend};

/// Reports taken at once.
const REPORT_BATCH: usize = 1_000;

/// What became of a row that was sent.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) seq: i64,
    pub(super) result: Result<(), KafkaError>,
}

/// An event is not at the broker, or nobody knows whether it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the row does not hold what was written")]
    Damaged(#[from] DamagedHeaders),
    #[error("the broker, or the way to it")]
    Kafka(#[from] KafkaError),
}

/// The producer cannot be used, or not any longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProducerError {
    #[error("creating the kafka producer")]
    Create(#[source] KafkaError),
    #[error("the kafka producer failed for good ({code:?}): {reason}")]
    Fatal {
        code: RDKafkaErrorCode,
        reason: String,
    },
}

/// What librdkafka gives back with its report.
pub(super) struct Sending {
    seq: i64,
    observed: ObservedSend,
}

/// A producer whose thread reports on a channel. The channel is unbounded, the relay's window bounds what is in it.
pub(super) struct Producer {
    client: ThreadedProducer<Reporter>,
    reports: mpsc::UnboundedReceiver<Report>,
    telemetry: Arc<RelayTelemetry>,
}

impl Producer {
    pub(super) fn new(
        kafka: &KafkaConfig,
        telemetry: Arc<RelayTelemetry>,
    ) -> Result<Self, ProducerError> {
        let (sender, reports) = mpsc::unbounded_channel();
        let client = kafka
            .producer()
            .create_with_context(Reporter::new(sender))
            .map_err(ProducerError::Create)?;
        Ok(Self {
            client,
            reports,
            telemetry,
        })
    }

    /// What is seen of the relay.
    pub(super) fn telemetry(&self) -> &RelayTelemetry {
        &self.telemetry
    }

    /// Hands a row to librdkafka, which copies it.
    pub(super) fn send(&self, row: &OutboxRow) -> Result<(), SendError> {
        let stored = row.headers.as_ref().map_err(|damage| *damage)?;
        let headers = stored.iter().fold(
            OwnedHeaders::new_with_capacity(stored.len()),
            |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(value),
                })
            },
        );
        let sending = Sending {
            seq: row.seq,
            observed: self.telemetry.begin(row, stored),
        };
        let record = BaseRecord::with_opaque_to(&row.topic, Box::new(sending))
            .key(&row.key)
            .payload(&row.payload)
            .headers(headers);
        self.client.send(record).map_err(|(error, record)| {
            record.delivery_opaque.observed.failed(&error);
            error.into()
        })
    }

    /// The next reports; waits for the first.
    pub(super) async fn reports(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        self.reports.recv_many(&mut reports, REPORT_BATCH).await;
        reports
    }

    /// Fails if this producer can never send again, for example because the broker lost its identity.
    pub(super) fn check(&self) -> Result<(), ProducerError> {
        match self.client.client().fatal_error() {
            None => Ok(()),
            Some((code, reason)) => Err(ProducerError::Fatal { code, reason }),
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // What is still queued is in the table and will be sent again: waiting here would only delay the shutdown.
        self.client.purge(PurgeConfig::default().queue().inflight());
    }
}

struct Reporter {
    reports: mpsc::UnboundedSender<Report>,
    errors: ErrorLog,
}

impl Reporter {
    fn new(reports: mpsc::UnboundedSender<Report>) -> Self {
        Self {
            reports,
            errors: ErrorLog::default(),
        }
    }
}

impl ClientContext for Reporter {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.report(&error, reason);
    }
}

impl ProducerContext for Reporter {
    type DeliveryOpaque = Box<Sending>;

    fn delivery(&self, result: &DeliveryResult<'_>, sending: Self::DeliveryOpaque) {
        let Sending { seq, observed } = *sending;
        observed.reported(result);
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        // The relay is gone: the row is still in the table.
        let _ = self.reports.send(Report { seq, result });
    }
}

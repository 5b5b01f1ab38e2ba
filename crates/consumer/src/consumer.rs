//! [`Consumer`]: wires the poll thread, the partition tasks and the sweeper of one topic, and runs them until shutdown.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::attempts::Shared;
use crate::concurrency::ConcurrencyLimit;
use crate::config::ConsumerConfig;
use crate::dead_letters::DeadLetterSink;
use crate::handler::Handler;
use crate::instrumentation::ConsumerTelemetry;
use crate::poll::{self, ConsumerError};
use crate::retry_store::RetryStore;
use crate::sweeper::Sweeper;
use kafka::KafkaConfig;

/// A consumer of one topic, ready to run.
pub struct Consumer {
    kafka: KafkaConfig,
    config: ConsumerConfig,
    handler: Arc<dyn Handler>,
    retry_store: Arc<dyn RetryStore>,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Consumer")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Consumer {
    /// Consumes `config.topic` with `handler`; failing events are moved to `retry_store`. Nothing runs before [`Self::run`].
    pub fn new(
        kafka: &KafkaConfig,
        config: ConsumerConfig,
        handler: Arc<dyn Handler>,
        retry_store: Arc<dyn RetryStore>,
    ) -> Self {
        Self {
            kafka: kafka.clone(),
            config,
            handler,
            retry_store,
        }
    }

    /// Consumes until `shutdown`, then drains, commits and leaves the group.
    ///
    /// # Errors
    /// [`ConsumerError`] when the Kafka client fails permanently or the handler answers [`crate::Failure::Fatal`].
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ConsumerError> {
        let config = self.config;
        let telemetry = Arc::new(ConsumerTelemetry::new(&self.kafka, &config));
        let (fatal_sender, fatal) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            handler: self.handler,
            retry_store: self.retry_store,
            dead_letters: DeadLetterSink::new(&self.kafka, Arc::clone(&telemetry))?,
            limit: ConcurrencyLimit::new(config.max_in_flight),
            telemetry,
            fatal: fatal_sender,
        });
        let sweeper = Sweeper::new(Arc::clone(&shared), self.kafka.group.drain);
        let stop_sweeping = shutdown.child_token();
        let polling = async {
            let polled = poll::run(&self.kafka, shared, fatal, shutdown).await;
            stop_sweeping.cancel();
            polled
        };
        let (polled, ()) = tokio::join!(polling, sweeper.run(stop_sweeping.clone()));
        polled
    }
}

//! Collects the traces of a local stack: it exports to a receiver here, unless another one is configured.
//!
//! With another receiver (`--otlp`) nothing is shown here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{is_complete, typical};
use crate::otlp::Receiver;
use crate::otlp::trace::Trace;
use crate::stack::{Service, StackConfig};

/// Export intervals in milliseconds. The defaults of five seconds and a minute are too long for an interactive wait.
const EXPORT_EVERY: [(&str, &str); 2] = [
    ("OTEL_BSP_SCHEDULE_DELAY", "500"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
];

/// A trace that has not grown for this long is complete: both services have exported since.
const SETTLED: Duration = Duration::from_secs(2);

/// The destination of the traces of a stack.
#[derive(Debug)]
pub struct Observation {
    /// `None` if they go elsewhere.
    receiver: Option<Arc<Receiver>>,
}

impl Observation {
    /// Configures a stack before its start to export to a receiver here, unless another one is configured.
    ///
    /// # Errors
    /// When there is no port for the receiver.
    pub async fn of(config: &mut StackConfig) -> io::Result<Self> {
        if config.otlp.is_some() {
            return Ok(Self { receiver: None });
        }
        let receiver = Arc::new(Receiver::start().await?);
        config.otlp = Some(receiver.url());
        for service in Service::PAIR {
            let often =
                EXPORT_EVERY.map(|(name, every)| (service, name.to_owned(), every.to_owned()));
            config.environment.extend(often);
        }
        Ok(Self {
            receiver: Some(receiver),
        })
    }

    /// The receiver here, if there is one.
    pub fn receiver(&self) -> Option<Arc<Receiver>> {
        self.receiver.clone()
    }

    /// The trace of an order of median duration.
    pub fn typical_order(&self) -> Option<Trace> {
        typical(self.receiver.as_ref()?.traces())
    }

    /// The trace of the first fulfilled order; never completes if the traces go elsewhere.
    pub async fn first_order(&self) -> Trace {
        let Some(receiver) = &self.receiver else {
            return std::future::pending().await;
        };
        let mut before = 0;
        loop {
            sleep(SETTLED).await;
            let complete = receiver.traces().into_iter().find(is_complete);
            let spans = complete.as_ref().map_or(0, |trace| trace.spans().len());
            match complete {
                Some(trace) if spans == before => return trace,
                _ => before = spans,
            }
        }
    }
}

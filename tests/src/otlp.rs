//! A telemetry receiver: OTLP over HTTP with protobuf bodies, as an OpenTelemetry collector accepts it.
//!
//! It keeps the last spans, decoded, and on request the bodies of all requests, both bounded: a stack that runs for a
//! week must not grow. It can also simulate a slow or silent receiver ([`Manner`]), to test the senders.
//!
//! It is not a telemetry backend: nothing is stored, compressed bodies are refused, and only the last minutes are
//! available.
//!
//! Reading order: [`span`], [`trace`], [`metric`], [`sample`] and [`log`] (the received data), `kept` (the buffer), `server`.

mod kept;
pub mod log;
pub mod metric;
pub mod sample;
mod server;
mod signal;
pub mod span;
mod state;
pub mod trace;
mod value;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hyper::body::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use kept::Kept;
use log::LogRecord;
use metric::Metric;
use sample::{Sample, Samples};
use span::Span;
use state::{ReceiverState, lock};
use trace::Trace;

pub use signal::Signal;
pub use state::Manner;
pub use value::{AttributeValue, Attributes};

/// Capacity in spans: a few kilobytes each, so a few hundred megabytes at most; an order has about fifty.
const MAX_SPANS: usize = 50_000;

/// Capacity in bytes of bodies: a test exports a few megabytes.
const MAX_BYTES: usize = 64 << 20;

/// A receiver that listens until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<ReceiverState>>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Receives on a free port of the loopback interface and keeps the last spans.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> io::Result<Self> {
        Self::keeping(Kept::new(MAX_SPANS, 0)).await
    }

    /// Like [`Receiver::start`], but also keeps every body.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start_keeping_bodies() -> io::Result<Self> {
        Self::keeping(Kept::new(MAX_SPANS, MAX_BYTES)).await
    }

    async fn keeping(kept: Kept) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let manner = Manner::default();
        let state = Arc::new(Mutex::new(ReceiverState {
            kept,
            samples: Samples::default(),
            manner,
        }));
        let server = tokio::spawn(server::run(listener, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            server,
        })
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT` for this receiver.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets how later requests are answered; requests that wait already keep waiting.
    pub fn behave(&self, manner: Manner) {
        lock(&self.state).manner = manner;
    }

    /// The received spans of a trace, by its id in hexadecimal digits.
    pub fn trace(&self, trace_id: &str) -> Trace {
        let state = lock(&self.state);
        let spans = state.kept.spans().filter(|span| span.trace_id == trace_id);
        Trace::of(spans.cloned().collect())
    }

    /// The trace of the first kept span with this attribute; empty if there is none.
    pub fn trace_with(&self, attribute: &str, value: &str) -> Trace {
        let trace_id = {
            let state = lock(&self.state);
            let mut spans = state.kept.spans();
            let found = spans.find(|span| span.attribute(attribute) == value);
            found.map(|span| span.trace_id.clone())
        };
        trace_id.map_or_else(Trace::default, |id| self.trace(&id))
    }

    /// Every trace with at least one kept span, oldest first.
    pub fn traces(&self) -> Vec<Trace> {
        Trace::all_of(self.spans())
    }

    /// The kept spans in order of arrival.
    pub fn spans(&self) -> Vec<Span> {
        lock(&self.state).kept.spans().cloned().collect()
    }

    /// Number of spans received since the start, including evicted ones.
    pub fn spans_received(&self) -> u64 {
        lock(&self.state).kept.spans_received()
    }

    /// The last value of every time series.
    pub fn samples(&self) -> Vec<Sample> {
        lock(&self.state).samples.all().cloned().collect()
    }

    /// The received bodies of a signal. `None` when the buffer overflowed.
    pub fn bodies(&self, signal: Signal) -> Option<Vec<Bytes>> {
        lock(&self.state).kept.bodies(signal)
    }

    /// Every metric of every export. `None` as for [`Receiver::bodies`].
    pub fn metrics(&self) -> Option<Vec<Metric>> {
        let bodies = self.bodies(Signal::Metrics)?;
        let decoded = bodies
            .iter()
            .map(|body| metric::decode(body.clone()).unwrap_or_default());
        Some(decoded.collect::<Vec<_>>().concat())
    }

    /// Every log record. `None` as for [`Receiver::bodies`].
    pub fn logs(&self) -> Option<Vec<LogRecord>> {
        let bodies = self.bodies(Signal::Logs)?;
        let decoded = bodies
            .iter()
            .map(|body| log::decode(body.clone()).unwrap_or_default());
        Some(decoded.collect::<Vec<_>>().concat())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[cfg(test)]
mod tests;

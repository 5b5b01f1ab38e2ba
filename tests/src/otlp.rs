//! A receiver for what services export: OTLP over HTTP, protobuf in, as a collector takes it.
//!
//! It keeps the last spans, decoded, and where a test wants them the bodies of all requests, both within bounds: a stack
//! that runs for a week must not grow. It can also be a bad receiver ([`Manner`]), to see what its senders make of that.
//!
//! It is not a backend: nothing is stored, compressed bodies are refused, and a reader that wants more than the last minutes
//! names a real one.
//!
//! Reading order: [`span`], [`trace`], [`metric`] and [`log`] are what is received, `kept` is what is remembered of it,
//! `server` takes it in.

mod kept;
pub mod log;
pub mod metric;
mod server;
pub mod span;
pub mod trace;
mod value;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use kept::Kept;
use log::LogRecord;
use metric::Metric;
use span::Span;
use trace::Trace;

pub use value::{Attributes, Value};

/// Spans that are remembered: a few kilobytes each, so some hundred megabytes at most; an order has about fifty.
const MAX_SPANS: usize = 50_000;

/// Bytes of bodies that are remembered where they are: a test exports a few megabytes.
const MAX_BYTES: usize = 64 << 20;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Measurements.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];
}

/// How the receiver treats its senders.
#[derive(Clone, Copy, Debug, Default)]
pub enum Manner {
    /// Answers at once.
    #[default]
    Prompt,
    /// Answers after this time.
    Slow(Duration),
    /// Takes everything in, forgets it, and never answers.
    Silent,
}

/// A receiver that listens until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

/// What the connections share.
#[derive(Debug)]
struct State {
    kept: Kept,
    manner: Manner,
}

impl Receiver {
    /// Receives on a free port of the loopback interface and keeps the last spans.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> io::Result<Self> {
        Self::keeping(Kept::new(MAX_SPANS, 0)).await
    }

    /// As [`Receiver::start`], and keeps every body as it came.
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
        let state = Arc::new(Mutex::new(State { kept, manner }));
        let server = tokio::spawn(server::run(listener, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            server,
        })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Treats every request from now on like this; those that wait already, wait on.
    pub fn behave(&self, manner: Manner) {
        lock(&self.state).manner = manner;
    }

    /// What has been received of a trace, by its id in hexadecimal digits.
    pub fn trace(&self, trace_id: &str) -> Trace {
        let state = lock(&self.state);
        let spans = state.kept.spans().filter(|span| span.trace_id == trace_id);
        Trace::of(spans.cloned().collect())
    }

    /// Every trace of which something is remembered, oldest first.
    pub fn traces(&self) -> Vec<Trace> {
        Trace::all_of(self.spans())
    }

    /// Every span that is remembered, in the order of arrival.
    pub fn spans(&self) -> Vec<Span> {
        lock(&self.state).kept.spans().cloned().collect()
    }

    /// Spans received ever since the start, forgotten ones included.
    pub fn spans_received(&self) -> u64 {
        lock(&self.state).kept.spans_received()
    }

    /// What was sent of a signal, as it came. `None` when it was more than is kept.
    pub fn bodies(&self, signal: Signal) -> Option<Vec<Bytes>> {
        lock(&self.state).kept.bodies(signal)
    }

    /// Every measurement, once for each export. `None` as [`Receiver::bodies`].
    pub fn metrics(&self) -> Option<Vec<Metric>> {
        let bodies = self.bodies(Signal::Metrics)?;
        let decoded = bodies
            .iter()
            .map(|body| metric::decode(body.clone()).unwrap_or_default());
        Some(decoded.collect::<Vec<_>>().concat())
    }

    /// Every log record. `None` as [`Receiver::bodies`].
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

/// What is kept is whole after every request, so a panic elsewhere is no reason to give up.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

//! Ctrl-C: the first stops, the second kills. SIGTERM counts as one, for scripts.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Signals within this time count as one: `timeout` and some shells signal a program and its whole process group.
const ONE_INTERRUPT: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Interrupt {
    /// First signal: stop in order.
    pub(crate) stop: CancellationToken,
    /// Second signal: stop at once.
    pub(crate) kill: CancellationToken,
}

impl Interrupt {
    /// Starts listening; the task ends with the process.
    pub(crate) fn listen() -> Result<Self> {
        let mut signals = Signals {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
        };
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let tokens = [stop.clone(), kill.clone()];
        tokio::spawn(async move {
            for token in tokens {
                signals.one().await;
                token.cancel();
                signals.swallow_echoes().await;
            }
        });
        Ok(Self { stop, kill })
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    async fn one(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    async fn swallow_echoes(&mut self) {
        let deadline = Instant::now() + ONE_INTERRUPT;
        while timeout_at(deadline, self.one()).await.is_ok() {}
    }
}

//! Ctrl-C, once and twice. SIGTERM counts as one, for those who run the demo from a script.

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the person at the terminal wants.
#[derive(Debug)]
pub(super) struct Interrupt {
    /// Asked once: end in order, and report.
    pub(super) stop: CancellationToken,
    /// Asked twice: end at once.
    pub(super) kill: CancellationToken,
}

impl Interrupt {
    /// Listens from now on; the task ends with the process.
    pub(super) fn listen() -> Result<Self> {
        let mut interrupted =
            signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let mut terminated =
            signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let tokens = [stop.clone(), kill.clone()];
        tokio::spawn(async move {
            for token in tokens {
                tokio::select! {
                    _ = interrupted.recv() => {}
                    _ = terminated.recv() => {}
                }
                token.cancel();
            }
        });
        Ok(Self { stop, kill })
    }
}

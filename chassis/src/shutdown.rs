//! When to stop: the signals of a terminal and of an orchestrator.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Settings;

/// How long a stop may take.
#[derive(Clone, Copy, Debug)]
pub struct ShutdownConfig {
    /// All steps of the shutdown together; what is not done by then is cut off.
    pub grace: Duration,
}

/// In the worst case the consumer needs 13 s to drain and leave its group, and then the relay 5 s for its last
/// acknowledgements.
const LEAST_GRACE: Duration = Duration::from_secs(20);

impl ShutdownConfig {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let grace = settings.value(
            "SHUTDOWN_GRACE",
            "25s",
            "time for an orderly stop; flushing telemetry may take 9s more, and a pod's termination grace period must exceed both",
        );
        if grace < LEAST_GRACE {
            let least = LEAST_GRACE.as_secs();
            settings.reject(
                "SHUTDOWN_GRACE",
                format!(
                    "must be at least {least}s, the time that draining the consumer and then the relay may take"
                ),
            );
        }
        Self { grace }
    }
}

/// A token that is cancelled by SIGTERM or SIGINT.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
        }
        cancelled.cancel();
    });
    Ok(token)
}

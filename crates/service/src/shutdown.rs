//! When to stop: the signals of a terminal and of an orchestrator.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::command_line::ExitError;
use crate::config::Settings;

/// How long a stop may take.
#[derive(Clone, Copy, Debug)]
pub struct ShutdownConfig {
    /// All steps of the shutdown together; what is not done by then is cut off.
    pub grace: Duration,
}

/// The smallest grace period that is accepted: the bounds of all stages of a stop fit into it ([`crate::supervisor`]).
pub const MIN_GRACE: Duration = Duration::from_secs(20);

impl ShutdownConfig {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let grace = settings.value(
            "SHUTDOWN_GRACE",
            "25s",
            "time for an orderly stop; flushing telemetry may take 9s more, and a pod's termination grace period must exceed both",
        );
        if grace < MIN_GRACE {
            let least = MIN_GRACE.as_secs();
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

/// Runs a service on a runtime of its own. The token that it gets is cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// As `serve`; and when the runtime or the signal handlers cannot be set up.
pub fn run_until_signal<F>(serve: impl FnOnce(CancellationToken) -> F) -> Result<(), ExitError>
where
    F: Future<Output = Result<(), ExitError>>,
{
    let runtime = Runtime::new()?;
    let served = runtime.block_on(async { serve(on_signal()?).await });
    // A task that outlived the grace period is not waited for.
    runtime.shutdown_background();
    served
}

/// A token that is cancelled by SIGTERM or SIGINT.
fn on_signal() -> std::io::Result<CancellationToken> {
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

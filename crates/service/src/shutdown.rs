//! Shutdown on SIGTERM and SIGINT, and the grace period.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::command_line::ExitError;
use crate::config::Settings;

/// Settings of the shutdown.
#[derive(Clone, Copy, Debug)]
pub struct ShutdownConfig {
    /// Limit of all stages of the shutdown together; tasks still running then are aborted.
    pub grace: Duration,
}

/// Minimum of `SHUTDOWN_GRACE`: the sum of the stage limits ([`crate::supervisor`]) fits into it.
pub const MIN_GRACE: Duration = Duration::from_secs(20);

impl ShutdownConfig {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let grace = settings.value(
            "SHUTDOWN_GRACE",
            "25s",
            "time limit of a graceful shutdown; flushing telemetry may take 9s more, and terminationGracePeriodSeconds of the pod must exceed the sum",
        );
        let why = format_args!(
            "must be at least {}s: the consumer and then the relay need this long to drain",
            MIN_GRACE.as_secs()
        );
        settings.require(grace >= MIN_GRACE, "SHUTDOWN_GRACE", why);
        Self { grace }
    }
}

/// Runs a service on its own runtime. SIGTERM and SIGINT cancel the token that is passed to `serve`.
///
/// # Errors
/// The error of `serve`, or the runtime or the signal handlers cannot be set up.
pub fn run_until_signal<F>(serve: impl FnOnce(CancellationToken) -> F) -> Result<(), ExitError>
where
    F: Future<Output = Result<(), ExitError>>,
{
    let runtime = Runtime::new()?;
    let served = runtime.block_on(async { serve(on_signal()?).await });
    // Tasks still running after the grace period are dropped, not awaited.
    runtime.shutdown_background();
    served
}

fn on_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "shutdown started"),
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "shutdown started"),
        }
        cancelled.cancel();
    });
    Ok(token)
}

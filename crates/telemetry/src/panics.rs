//! Panics as log lines.
//!
//! The default hook writes to stderr while it holds a lock: if stderr is a pipe that nobody reads, every thread that
//! panics would hang. What a panic ends is logged by the owner of its task, at the level that it deserves.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

pub(super) fn log() {
    panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let said = panic.payload_as_str();
    // Captured only if RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::warn!(location, said, backtrace, "panicked");
}

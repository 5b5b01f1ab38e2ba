//! Panics as log lines.
//!
//! The default hook writes to stderr while it holds a lock: if stderr is a pipe that nobody reads, every thread that
//! panics would hang. An error, caught or not: a panic is a defect. What it ends is logged where its task is joined.

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
    tracing::error!(location, said, backtrace, "panic");
}

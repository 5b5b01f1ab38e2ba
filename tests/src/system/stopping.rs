//! The clean stop of a stack.

use anyhow::{Result, ensure};

use crate::stack::Stack;

/// Stops a stack in order; fails when a process does not stop cleanly.
pub(super) async fn stop_cleanly(stack: Stack) -> Result<()> {
    for (process, ending) in stack.stop().await {
        ensure!(
            ending.is_clean(),
            "{process} did not stop cleanly: {ending}"
        );
    }
    Ok(())
}

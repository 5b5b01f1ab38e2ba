//! The directory of the programs that a stack starts.

use std::path::{Path, PathBuf};

/// Beside the current executable, or one directory up for a test in `target/PROFILE/deps`.
pub fn programs_directory() -> PathBuf {
    let directory = std::env::current_exe()
        .ok()
        .and_then(|path| path.parent().map(Path::to_owned))
        // An unknown directory fails later, with an error that names the missing program.
        .unwrap_or_default();
    match directory.parent() {
        Some(parent) if directory.ends_with("deps") => parent.to_owned(),
        _ => directory,
    }
}

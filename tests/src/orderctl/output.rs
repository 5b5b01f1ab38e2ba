//! Standard output that may be closed at any time, as in `orderctl topic | head`.

use std::io::Write;

/// Prints a line. When nobody reads any more there is nothing left to do, and that is no failure.
pub(super) fn line(text: impl std::fmt::Display) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

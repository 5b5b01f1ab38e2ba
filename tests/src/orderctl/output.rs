//! Standard output that may be closed at any time, as in `orderctl topic | head`.

use std::io::Write;

/// Prints a line. A closed pipe ends the program successfully.
pub(super) fn line(text: impl std::fmt::Display) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

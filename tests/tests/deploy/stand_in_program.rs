//! A program in place of a real one, for a script that calls it: it notes its calls.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use tempfile::TempDir;

pub(crate) struct StandInProgram(TempDir);

impl StandInProgram {
    /// A shell script that appends a line per call to the file `$CALLS`. `$REAL_PATH` finds the real program.
    pub(crate) fn new(name: &str, script: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let program = folder.path().join(name);
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    /// Runs a command that finds this program first; returns the calls, and how it ended.
    pub(crate) fn run(&self, command: &mut Command) -> (Vec<String>, Output) {
        let calls = self.0.path().join("calls");
        let path = std::env::var("PATH").unwrap();
        let output = command
            .env("PATH", format!("{}:{path}", self.0.path().display()))
            .env("REAL_PATH", path)
            .env("CALLS", &calls)
            .output()
            .unwrap();
        // No file: it was not called.
        let calls = fs::read_to_string(calls).unwrap_or_default();
        (calls.lines().map(str::to_owned).collect(), output)
    }
}

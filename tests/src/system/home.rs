//! A directory for one system: removed when the test succeeds, otherwise kept and printed.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    succeeded: bool,
}

impl Home {
    pub(super) fn new() -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("system-test-")
            // A PostgreSQL server in it may run as another user than this process.
            .permissions(Permissions::from_mode(0o711))
            .tempdir()
            .context("cannot create a directory for the test")?;
        Ok(Self {
            path: directory.keep(),
            succeeded: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn remove(mut self) -> Result<()> {
        self.succeeded = true;
        std::fs::remove_dir_all(&self.path)
            .with_context(|| format!("cannot remove {}", self.path.display()))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.succeeded {
            eprintln!(
                "the test failed; the logs of the system are in {}",
                self.path.join("logs").display()
            );
        }
    }
}

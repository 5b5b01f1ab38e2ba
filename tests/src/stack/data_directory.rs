//! The data directory of a stack: databases, logs, process files. One running stack owns it.
//!
//! Ownership is a lock on the file `lock`, which the operating system releases however the owner exits, so that there
//! is no stale state to clean up.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{Process, Service, StackError};

/// Lines of a log in an error about its process.
const LOG_TAIL_LINES: usize = 15;

/// A data directory locked by this process until it is dropped.
#[derive(Debug)]
pub(super) struct DataDirectory {
    root: PathBuf,
    lock: File,
}

impl DataDirectory {
    /// Creates the missing directories and takes the lock.
    pub(super) fn open(path: &Path) -> Result<Self, StackError> {
        let failed = |source| StackError::DataDirectory {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path.join("logs")).map_err(failed)?;
        fs::create_dir_all(path.join("run")).map_err(failed)?;
        // Children run inside this directory, so a path relative to our own working directory would be wrong for them.
        let root = path.canonicalize().map_err(failed)?;
        let lock = open_for_locking(&root.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, lock }),
            Err(TryLockError::WouldBlock) => Err(StackError::InUse { path: root }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Standard output and error of a process, appended in each run.
    pub(super) fn log_file(&self, process: Process) -> PathBuf {
        self.root.join("logs").join(format!("{process}.log"))
    }

    /// The file with the pid of the process; locked while the process lives.
    pub(super) fn process_file(&self, process: Process) -> PathBuf {
        self.root.join("run").join(format!("{process}.pid"))
    }

    /// Every process that an earlier stack ran here, in stop order.
    pub(super) fn processes(&self) -> Vec<Process> {
        let entries = fs::read_dir(self.root.join("run"));
        let names = entries.into_iter().flatten().flatten();
        let mut processes: Vec<Process> = names
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                Process::from_name(name.strip_suffix(".pid")?)
            })
            .collect();
        processes.sort();
        processes
    }

    /// Output file of a service's subcommand.
    pub(super) fn subcommand_log(&self, service: Service, subcommand: &str) -> PathBuf {
        self.root
            .join("logs")
            .join(format!("{service}-{subcommand}.log"))
    }

    /// Stores the catalogue text of this stack.
    pub(super) fn write_catalogue(&self, text: &str) -> Result<PathBuf, StackError> {
        let path = self.root.join("catalogue.csv");
        match fs::write(&path, text) {
            Ok(()) => Ok(path),
            Err(source) => Err(StackError::DataDirectory { path, source }),
        }
    }
}

impl Drop for DataDirectory {
    /// Closing the file does not unlock it: the lock belongs to the open file description, which a child that another
    /// thread is just starting has inherited until its `exec`.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

/// The last lines of a log; of one that cannot be read, none.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

/// Opens without truncating: the content belongs to the holder of the lock.
pub(super) fn open_for_locking(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused_until_it_is_released() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let first = DataDirectory::open(home.path()).expect("the first lock");

        let second = DataDirectory::open(home.path());

        assert!(matches!(second, Err(StackError::InUse { .. })));
        drop(first);
        assert!(DataDirectory::open(home.path()).is_ok());
    }
}

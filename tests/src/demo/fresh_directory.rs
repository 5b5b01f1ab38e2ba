//! Prepares the demo's data directory: removes the data of an earlier demo, and nothing else.
//!
//! A directory belongs to the demo if it contains the marker file. Any other non-empty directory is refused. The lock
//! and the process files are kept: the stack uses them to find child processes that outlived their parent.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Marker file: everything beside it may be removed.
const MARKER: &str = "made-by-demo";

/// Kept, so that the stack can take over from one that crashed.
const KEPT: [&str; 3] = [MARKER, "lock", "run"];

/// Leaves an empty directory with the marker.
pub(crate) fn prepare(path: &Path) -> Result<()> {
    let context = || format!("cannot prepare the data directory {}", path.display());
    fs::create_dir_all(path).with_context(context)?;
    if path.join(MARKER).exists() {
        let _lock = lock(path)?;
        return clear(path).with_context(context);
    }
    let is_empty = fs::read_dir(path).with_context(context)?.next().is_none();
    ensure!(
        is_empty,
        "{} was not made by the demo, which removes what it finds: choose an empty directory with --data-dir",
        path.display()
    );
    let marker = path.join(MARKER);
    fs::write(
        marker,
        "The next demo removes everything in this directory.\n",
    )
    .with_context(context)
}

fn lock(path: &Path) -> Result<Option<File>> {
    let lock = match File::open(path.join("lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("cannot open the lock"),
    };
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => bail!(
            "{} is in use by a running stack: stop it, or choose another directory with --data-dir",
            path.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).context("cannot take the lock"),
    }
}

fn clear(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if KEPT.iter().any(|kept| entry.file_name() == *kept) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn the_data_of_an_earlier_demo_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("below").join("demo");
        prepare(&path).unwrap();
        for name in ["orders.db", "lock"] {
            fs::write(path.join(name), "x").unwrap();
        }
        for name in ["logs", "run"] {
            fs::create_dir(path.join(name)).unwrap();
            fs::write(path.join(name).join("file"), "x").unwrap();
        }

        prepare(&path).unwrap();

        assert_eq!(names(&path), ["lock", MARKER, "run"]);
    }

    #[test]
    fn a_directory_without_the_marker_is_left_untouched() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("thesis.txt"), "x").unwrap();

        let refusal = prepare(home.path()).unwrap_err();

        assert!(refusal.to_string().contains("--data-dir"));
        assert_eq!(names(home.path()), ["thesis.txt"]);
    }

    #[test]
    fn a_directory_in_use_is_left_untouched() {
        let home = tempfile::tempdir().unwrap();
        prepare(home.path()).unwrap();
        let lock = File::create(home.path().join("lock")).unwrap();
        fs::write(home.path().join("orders.db"), "x").unwrap();
        lock.try_lock().unwrap();

        let refusal = prepare(home.path()).unwrap_err();

        assert!(refusal.to_string().contains("in use"));
        assert_eq!(names(home.path()), ["lock", MARKER, "orders.db"]);
    }
}

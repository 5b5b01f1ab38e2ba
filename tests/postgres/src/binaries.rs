//! Location of the server's programs: Debian keeps them out of PATH, one directory per major version.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::ServerError;

/// Installation directory on Debian and its derivatives, as `VERSION/bin`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The directory with `initdb`, `postgres` and `psql`: `PG_BIN` if set, else the newest installed version, else from
/// PATH.
pub(crate) fn find() -> Result<PathBuf, ServerError> {
    let named = env::var_os("PG_BIN").map(PathBuf::from);
    let candidates = match named {
        Some(directory) => vec![directory],
        None => newest_first(Path::new(DEBIAN))
            .into_iter()
            .chain(path())
            .collect(),
    };
    let found = candidates
        .into_iter()
        .find(|directory| is_complete(directory));
    found.ok_or(ServerError::NotInstalled)
}

fn newest_first(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by(|one, other| other.cmp(one));
    versions
        .into_iter()
        .map(|(_, directory)| directory)
        .collect()
}

fn path() -> Vec<PathBuf> {
    env::var_os("PATH").map_or_else(Vec::new, |path| env::split_paths(&path).collect())
}

fn is_complete(directory: &Path) -> bool {
    ["initdb", "postgres", "psql"]
        .iter()
        .all(|program| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers_newest_first() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "notes"] {
            fs::create_dir_all(root.path().join(version).join("bin")).unwrap();
        }

        let found = newest_first(root.path());

        let expected = ["15/bin", "9/bin"].map(|path| root.path().join(path));
        assert_eq!(found, expected);
    }
}

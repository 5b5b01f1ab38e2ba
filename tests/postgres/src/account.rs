//! The account of the server process: PostgreSQL refuses to run as root, and tests in a container run as root.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{User, geteuid};

use crate::ServerError;

/// Unprivileged accounts to use, the package's own first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// Execute permission for others: they may enter the directory.
const OTHERS_MAY_ENTER: u32 = 0o001;

/// The account that runs the server.
#[derive(Clone, Debug)]
pub(crate) enum Account {
    /// The account of this process.
    Own,
    /// An unprivileged account, because this process runs as root.
    Other(User),
}

impl Account {
    pub(crate) fn choose() -> Result<Self, ServerError> {
        if !geteuid().is_root() {
            return Ok(Self::Own);
        }
        let known = |name| User::from_name(name).ok().flatten();
        let user = UNPRIVILEGED.into_iter().find_map(known);
        user.map(Self::Other).ok_or(ServerError::NoAccount)
    }

    /// User and group to run as; `None` for the current ones.
    pub(crate) fn ids(&self) -> Option<(u32, u32)> {
        match self {
            Self::Own => None,
            Self::Other(user) => Some((user.uid.as_raw(), user.gid.as_raw())),
        }
    }

    /// Makes the command run under this account.
    pub(crate) fn run_as<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match self.ids() {
            Some((user, group)) => command.uid(user).gid(group),
            None => command,
        }
    }

    /// Makes the account the owner of a file or directory.
    pub(crate) fn give(&self, path: &Path) -> io::Result<()> {
        match self.ids() {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// Checks that the account can enter a directory, for a clearer error than the server's.
    pub(crate) fn check_way_to(&self, directory: &Path) -> Result<(), ServerError> {
        let Self::Other(user) = self else {
            return Ok(());
        };
        match first_closed(directory, user.uid.as_raw()) {
            None => Ok(()),
            Some(closed) => Err(ServerError::Unreachable {
                user: user.name.clone(),
                directory: closed,
            }),
        }
    }
}

/// The first directory above this one that a user cannot enter as "others".
fn first_closed(directory: &Path, user: u32) -> Option<PathBuf> {
    let is_closed = |path: &&Path| {
        fs::metadata(path).is_ok_and(|directory| {
            directory.uid() != user && directory.mode() & OTHERS_MAY_ENTER == 0
        })
    };
    directory
        .ancestors()
        .skip(1)
        .find(is_closed)
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_inaccessible_parent_directory_is_found() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("below");
        let stranger = fs::metadata(home.path()).unwrap().uid() + 1;

        fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(
            first_closed(&directory, stranger).as_deref(),
            Some(home.path())
        );

        fs::set_permissions(home.path(), Permissions::from_mode(0o711)).unwrap();
        assert_eq!(first_closed(&directory, stranger), None);
    }
}

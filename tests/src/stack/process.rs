//! How a process is launched, and how a process that outlived an earlier stack is recognised and stopped.
//!
//! A child's standard input is its process file, locked. The lock belongs to the open file description that the child
//! inherits, so it is held exactly as long as the child lives, on every Unix and without reading a process table: a
//! held lock proves that the pid in the file is still that child and was not reused.

use std::fs::{File, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::data_directory::open_for_locking;
use super::{DataDirectory, Process, StackError};

/// Everything needed to start a process, as often as necessary.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) process: Process,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) working_directory: PathBuf,
    pub(super) log_file: PathBuf,
    pub(super) process_file: PathBuf,
    /// User and group, if it must not run as the current user.
    pub(super) run_as: Option<(u32, u32)>,
    /// The stop signal, and the exit code of a clean stop.
    pub(super) stop: (Signal, i32),
}

impl Launch {
    /// Starts the process, with further environment variables, in a process group of its own, so that Ctrl-C in the
    /// terminal reaches only the stack, which then stops its children in order.
    pub(super) fn spawn(&self, environment: &[(String, String)]) -> io::Result<Child> {
        let mut process_file = lock(&self.process_file)?;
        let log = File::options()
            .append(true)
            .create(true)
            .open(&self.log_file)?;
        let mut command = Command::new(&self.program);
        if let Some((user, group)) = self.run_as {
            command.uid(user).gid(group);
        }
        let child = command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .envs(environment.iter().cloned())
            .current_dir(&self.working_directory)
            .stdin(Stdio::from(process_file.try_clone()?))
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .process_group(0)
            // Fallback for a stack that is dropped without `stop`, as in a test that panics.
            .kill_on_drop(true)
            .spawn()?;
        record_pid(&mut process_file, child.id())?;
        Ok(child)
    }
}

fn lock(path: &Path) -> io::Result<File> {
    let file = open_for_locking(path)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::other("an earlier child is still running"),
        TryLockError::Error(error) => error,
    })?;
    Ok(file)
}

fn record_pid(file: &mut File, pid: Option<u32>) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    match pid {
        Some(pid) => writeln!(file, "{pid}"),
        None => Ok(()),
    }
}

/// Grace period of a process of an earlier stack before SIGKILL.
const LEFTOVER_GRACE: Duration = Duration::from_secs(10);

/// Maximum time until a killed process is gone.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// Stops the processes that an earlier stack, itself killed, left running on this data directory.
pub(super) async fn end_in_flight(directory: &DataDirectory) -> Result<(), StackError> {
    for process in directory.processes() {
        end_orphan(process, &directory.process_file(process))
            .await
            .map_err(|source| StackError::InFlight { process, source })?;
    }
    Ok(())
}

async fn end_orphan(process: Process, process_file: &Path) -> io::Result<()> {
    if lock(process_file).is_ok() {
        return Ok(());
    }
    let pid: i32 = std::fs::read_to_string(process_file)?
        .trim()
        .parse()
        .map_err(|_| io::Error::other(format!("{} names no pid", process_file.display())))?;
    eprintln!("stopping {process} (pid {pid}), which an earlier stack left running");
    for (signal, grace) in [
        (Signal::SIGTERM, LEFTOVER_GRACE),
        (Signal::SIGKILL, KILL_GRACE),
    ] {
        match kill(Pid::from_raw(pid), signal) {
            // It has exited meanwhile, and its lock will be released.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(error.into()),
        }
        if is_unlocked_within(process_file, grace).await {
            return Ok(());
        }
    }
    Err(io::Error::other(format!("pid {pid} does not end")))
}

async fn is_unlocked_within(process_file: &Path, grace: Duration) -> bool {
    let deadline = Instant::now() + grace;
    while Instant::now() < deadline {
        if lock(process_file).is_ok() {
            return true;
        }
        sleep(Duration::from_millis(20)).await;
    }
    false
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SERVICE: Process = Process {
        service: super::super::Service::Processing,
        replica: None,
    };

    /// A launch of any program in the place of processing-service.
    pub(in super::super) fn launch(
        directory: &DataDirectory,
        program: &str,
        arguments: &[&str],
    ) -> Launch {
        Launch {
            process: SERVICE,
            program: program.into(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
            working_directory: directory.root().to_owned(),
            log_file: directory.log_file(SERVICE),
            process_file: directory.process_file(SERVICE),
            run_as: None,
            stop: (Signal::SIGTERM, 0),
        }
    }

    #[tokio::test]
    async fn a_child_of_an_earlier_stack_is_stopped() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let directory = DataDirectory::open(home.path()).expect("a data directory");
        let mut child = launch(&directory, "sleep", &["60"])
            .spawn(&[])
            .expect("a child");

        end_in_flight(&directory).await.expect("it ends");

        let status = child.wait().await.expect("its status");
        assert!(!status.success());
    }

    #[tokio::test]
    async fn a_pid_without_a_held_lock_is_not_signalled() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let directory = DataDirectory::open(home.path()).expect("a data directory");
        let bystander = std::process::id().to_string();
        std::fs::write(directory.process_file(SERVICE), bystander).expect("a process file");

        end_in_flight(&directory).await.expect("nothing to end");
    }
}

//! Supervises one child process: restarts it when it dies, stops it on request, reports its state.
//!
//! A task per process owns the child; all others send commands and read the published state. A process that exits early
//! several times in a row, or with an exit code for a wrong configuration, is not restarted any more.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::process::Launch;
use super::{Ending, Notice, ProcessPhase, ProcessState};

/// Pause before a restart; doubled after each early exit, so that a crash loop does not use up the CPU.
const FIRST_RESTART_PAUSE: Duration = Duration::from_millis(100);

/// An exit within this time after the start is early.
const EARLY_DEATH: Duration = Duration::from_secs(5);

/// Early exits in a row before the supervisor gives up; the pauses add up to about 3 s by then.
const EARLY_DEATHS_TOLERATED: u32 = 5;

/// EX_USAGE and EX_CONFIG: the next start would fail the same way.
const HOPELESS_EXIT_CODES: [i32; 2] = [64, 78];

/// Maximum time until a killed process is gone.
const KILL_TAKES: Duration = Duration::from_secs(5);

/// Environment variables of one start; a restart after a crash does not get them.
type StartEnvironment = Vec<(String, String)>;

enum ProcessCommand {
    Start(StartEnvironment, oneshot::Sender<io::Result<()>>),
    Signal(Signal),
    Stop(Duration, oneshot::Sender<Option<Ending>>),
    KillForGood(oneshot::Sender<Option<Ending>>),
}

/// The handle of a supervised process. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Supervised {
    commands: mpsc::Sender<ProcessCommand>,
    state: watch::Receiver<ProcessState>,
}

impl Supervised {
    /// Supervises a process that is not started yet.
    pub(super) fn new(launch: Launch, notices: broadcast::Sender<Notice>) -> Self {
        let (commands, received) = mpsc::channel(1);
        let (publish, state) = watch::channel(ProcessState::default());
        let supervisor = ProcessSupervisor {
            launch,
            child: None,
            started: Instant::now(),
            restart_at: None,
            early_deaths: 0,
            state: publish,
            notices,
        };
        tokio::spawn(supervisor.run(received));
        Self { commands, state }
    }

    /// Starts it, unless it runs already, with these additional environment variables. A restart after a crash does not
    /// get them.
    pub(super) async fn start(&self, environment: StartEnvironment) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.command(ProcessCommand::Start(environment, done)).await;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Sends a signal, if it runs. If the signal kills it, it is restarted.
    pub(super) async fn signal(&self, signal: Signal) {
        self.command(ProcessCommand::Signal(signal)).await;
    }

    /// Sends the stop signal, and SIGKILL after `grace`. `None` when it was not running.
    pub(super) async fn stop(&self, grace: Duration) -> Option<Ending> {
        let (done, answer) = oneshot::channel();
        self.command(ProcessCommand::Stop(grace, done)).await;
        answer.await.ok().flatten()
    }

    /// Kills it with SIGKILL and keeps it down. `None` when it was not running.
    pub(super) async fn kill_for_good(&self) -> Option<Ending> {
        let (done, answer) = oneshot::channel();
        self.command(ProcessCommand::KillForGood(done)).await;
        answer.await.ok().flatten()
    }

    pub(super) fn state(&self) -> ProcessState {
        *self.state.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<ProcessState> {
        self.state.clone()
    }

    /// The task ends only with the runtime; a failed send has no effect after that.
    async fn command(&self, command: ProcessCommand) {
        let _ = self.commands.send(command).await;
    }
}

fn gone() -> io::Error {
    io::Error::other("its supervisor is gone")
}

struct ProcessSupervisor {
    launch: Launch,
    child: Option<Child>,
    started: Instant,
    restart_at: Option<Instant>,
    early_deaths: u32,
    state: watch::Sender<ProcessState>,
    notices: broadcast::Sender<Notice>,
}

impl ProcessSupervisor {
    async fn run(mut self, mut commands: mpsc::Receiver<ProcessCommand>) {
        loop {
            tokio::select! {
                // Commands first: the exit after a requested stop must not cause a restart.
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                status = death(&mut self.child) => self.mourn(status),
                () = due(self.restart_at) => self.restart(),
            }
        }
    }

    async fn obey(&mut self, command: ProcessCommand) {
        match command {
            ProcessCommand::Start(environment, done) => {
                let _ = done.send(self.start(&environment));
            }
            ProcessCommand::Signal(signal) => {
                if let Some(child) = &self.child {
                    send(child, signal);
                }
            }
            ProcessCommand::Stop(grace, done) => {
                let _ = done.send(self.stop(grace, self.launch.stop).await);
            }
            ProcessCommand::KillForGood(done) => {
                let (_, clean_code) = self.launch.stop;
                let kill = (Signal::SIGKILL, clean_code);
                let _ = done.send(self.stop(KILL_TAKES, kill).await);
            }
        }
    }

    fn start(&mut self, environment: &[(String, String)]) -> io::Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        self.restart_at = None;
        self.child = Some(self.launch.spawn(environment)?);
        self.started = Instant::now();
        self.state
            .send_modify(|state| state.phase = ProcessPhase::Running);
        Ok(())
    }

    async fn stop(&mut self, grace: Duration, signal: (Signal, i32)) -> Option<Ending> {
        self.restart_at = None;
        self.early_deaths = 0;
        let ending = match self.child.take() {
            Some(child) => self.end(child, grace, signal).await,
            None => None,
        };
        self.state
            .send_modify(|state| state.phase = ProcessPhase::Down);
        ending
    }

    async fn end(
        &self,
        mut child: Child,
        grace: Duration,
        (signal, clean_code): (Signal, i32),
    ) -> Option<Ending> {
        send(&child, signal);
        let ending =
            |status, forced| Ending::new(status, forced, clean_code, &self.launch.log_file);
        if let Ok(Ok(status)) = timeout(grace, child.wait()).await {
            return Some(ending(status, false));
        }
        child.kill().await.ok()?;
        let status = child.wait().await.ok()?;
        Some(ending(status, true))
    }

    fn mourn(&mut self, status: ExitStatus) {
        let process = self.launch.process;
        self.child = None;
        self.notify(Notice::Died(process, status));
        self.early_deaths = if self.started.elapsed() < EARLY_DEATH {
            self.early_deaths + 1
        } else {
            0
        };
        let hopeless = status
            .code()
            .is_some_and(|code| HOPELESS_EXIT_CODES.contains(&code));
        let why = format!("{status}; see {}", self.launch.log_file.display());
        if hopeless {
            self.give_up(why);
        } else {
            self.try_again(&why);
        }
    }

    fn restart(&mut self) {
        match self.start(&[]) {
            Ok(()) => {
                self.state.send_modify(|state| state.restarts += 1);
                let restarts = self.state.borrow().restarts;
                self.notify(Notice::Restarted(self.launch.process, restarts));
            }
            // Children of a killed process may hold its lock for a moment.
            Err(error) => {
                self.early_deaths += 1;
                self.try_again(&format!("cannot be started: {error}"));
            }
        }
    }

    /// Restarts it after a pause that grows with each early exit, or gives up after too many.
    fn try_again(&mut self, why: &str) {
        if self.early_deaths > EARLY_DEATHS_TOLERATED {
            return self.give_up(why.to_owned());
        }
        let pause = FIRST_RESTART_PAUSE * 2_u32.pow(self.early_deaths.saturating_sub(1));
        self.restart_at = Some(Instant::now() + pause);
        self.state
            .send_modify(|state| state.phase = ProcessPhase::Restarting);
    }

    fn give_up(&mut self, why: String) {
        self.restart_at = None;
        self.state
            .send_modify(|state| state.phase = ProcessPhase::GivenUp);
        self.notify(Notice::GivenUp(self.launch.process, why));
    }

    /// No receiver is fine: the state has the essentials too.
    fn notify(&self, notice: Notice) {
        let _ = self.notices.send(notice);
    }
}

async fn death(child: &mut Option<Child>) -> ExitStatus {
    match child {
        // Fails only if another part of the process reaped the child; its exit status is then unknown.
        Some(child) => child.wait().await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Cannot hit another process: the pid is reserved until the child is reaped.
fn send(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // An error means that it has exited already, which its waiter notices.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

#[cfg(test)]
mod tests;

//! Supervises one child process: restarts it when it dies, stops it on request, reports its state.
//!
//! A task per process owns the child; everyone else sends commands and reads the published state. A process that dies
//! again and again, or that says its configuration is wrong, is given up instead of being restarted for ever.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::process::Launch;
use super::{Ending, Notice, Phase, State};

/// Pause before a restart; it doubles with each early death, so that a crash loop does not eat the machine.
const FIRST_RESTART_PAUSE: Duration = Duration::from_millis(100);

/// A process that lived shorter than this died early.
const EARLY_DEATH: Duration = Duration::from_secs(5);

/// Early deaths in a row after which restarting is no help; the pauses add up to about 3 s by then.
const EARLY_DEATHS_TOLERATED: u32 = 5;

/// Exit codes that say "wrong invocation" and "wrong configuration": the next start would end the same.
const HOPELESS_EXIT_CODES: [i32; 2] = [64, 78];

/// Longest time that the operating system takes to end a killed process.
const KILL_TAKES: Duration = Duration::from_secs(5);

/// Environment variables of one start; a restart after a death does not get them.
type Environment = Vec<(String, String)>;

enum Command {
    Start(Environment, oneshot::Sender<io::Result<()>>),
    Signal(Signal),
    Stop(Duration, oneshot::Sender<Option<Ending>>),
    KillForGood(oneshot::Sender<Option<Ending>>),
}

/// The handle on a supervised process. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Supervised {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<State>,
}

impl Supervised {
    /// Supervises a process that is not started yet.
    pub(super) fn new(launch: Launch, notices: broadcast::Sender<Notice>) -> Self {
        let (commands, received) = mpsc::channel(1);
        let (publish, state) = watch::channel(State::default());
        let supervisor = Supervisor {
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

    /// Starts it, unless it runs already, with these environment variables beside its own. When it dies it is restarted
    /// without them.
    pub(super) async fn start(&self, environment: Environment) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.command(Command::Start(environment, done)).await;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Sends it a signal, if it runs. One that it dies of is a death like any other: it is restarted.
    pub(super) async fn signal(&self, signal: Signal) {
        self.command(Command::Signal(signal)).await;
    }

    /// Asks it to stop and kills it after `grace`. `None` when it was not running.
    pub(super) async fn stop(&self, grace: Duration) -> Option<Ending> {
        let (done, answer) = oneshot::channel();
        self.command(Command::Stop(grace, done)).await;
        answer.await.ok().flatten()
    }

    /// Kills it with SIGKILL, and it stays down. `None` when it was not running.
    pub(super) async fn kill_for_good(&self) -> Option<Ending> {
        let (done, answer) = oneshot::channel();
        self.command(Command::KillForGood(done)).await;
        answer.await.ok().flatten()
    }

    pub(super) fn state(&self) -> State {
        *self.state.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// The task ends only with the runtime, so the send cannot matter after it.
    async fn command(&self, command: Command) {
        let _ = self.commands.send(command).await;
    }
}

fn gone() -> io::Error {
    io::Error::other("its supervisor is gone")
}

struct Supervisor {
    launch: Launch,
    child: Option<Child>,
    started: Instant,
    restart_at: Option<Instant>,
    early_deaths: u32,
    state: watch::Sender<State>,
    notices: broadcast::Sender<Notice>,
}

impl Supervisor {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            tokio::select! {
                // A command goes first: the death that follows a wanted stop is no reason to restart.
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

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Start(environment, done) => {
                let _ = done.send(self.start(&environment));
            }
            Command::Signal(signal) => {
                if let Some(child) = &self.child {
                    send(child, signal);
                }
            }
            Command::Stop(grace, done) => {
                let _ = done.send(self.stop(grace, self.launch.stop).await);
            }
            Command::KillForGood(done) => {
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
        self.state.send_modify(|state| state.phase = Phase::Running);
        Ok(())
    }

    async fn stop(&mut self, grace: Duration, signal: (Signal, i32)) -> Option<Ending> {
        self.restart_at = None;
        self.early_deaths = 0;
        let ending = match self.child.take() {
            Some(child) => end(child, grace, signal).await,
            None => None,
        };
        self.state.send_modify(|state| state.phase = Phase::Down);
        ending
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
            // Children of a killed process may hold on to its lock for a moment.
            Err(error) => {
                self.early_deaths += 1;
                self.try_again(&format!("cannot be started: {error}"));
            }
        }
    }

    /// Restarts it after a pause that grows with each early death, or gives it up after too many.
    fn try_again(&mut self, why: &str) {
        if self.early_deaths > EARLY_DEATHS_TOLERATED {
            return self.give_up(why.to_owned());
        }
        let pause = FIRST_RESTART_PAUSE * 2_u32.pow(self.early_deaths.saturating_sub(1));
        self.restart_at = Some(Instant::now() + pause);
        self.state
            .send_modify(|state| state.phase = Phase::Restarting);
    }

    fn give_up(&mut self, why: String) {
        self.restart_at = None;
        self.state.send_modify(|state| state.phase = Phase::GivenUp);
        self.notify(Notice::GivenUp(self.launch.process, why));
    }

    /// Having no receiver is fine: the state has the essentials too.
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

async fn end(mut child: Child, grace: Duration, stop: (Signal, i32)) -> Option<Ending> {
    let (signal, clean_code) = stop;
    send(&child, signal);
    let ending = |status, forced| Ending {
        status,
        forced,
        clean_code,
    };
    if let Ok(Ok(status)) = timeout(grace, child.wait()).await {
        return Some(ending(status, false));
    }
    child.kill().await.ok()?;
    let status = child.wait().await.ok()?;
    Some(ending(status, true))
}

/// Cannot hit another process: the id is reserved until the child is reaped.
fn send(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // An error means that it is dead already, which its waiter notices.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

#[cfg(test)]
mod tests;

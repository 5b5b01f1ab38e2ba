//! The local stack itself: a second start on the same data, kills, ports in use, and its output.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};
use proto::orders::v1::OrderStatus;
use tempfile::TempDir;
use tests::stack::{
    BrokerEngine, CatalogueSource, DatabaseEngine, Stack, StackConfig, StackError,
    programs_directory,
};
use tests::system::{Draft, Process, Service, System, WAIT_LIMIT, engines};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stack_on_the_same_data_is_refused_and_the_first_keeps_running() -> Result<()> {
    let system = System::start().await?;
    let order = system.place_order(&Draft::of("MUG", 1)).await?;

    let second = Stack::start(config(system.data_dir())?).await;

    assert!(
        matches!(second, Err(StackError::InUse { .. })),
        "{second:?}"
    );
    system.watch_until_final(&order.order_id).await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_and_nothing_is_started() -> Result<()> {
    let system = System::start().await?;
    let home = home()?;
    let mut config = config(home.path())?;
    config.processing_port = system.addresses().orders[0].port();
    let port = config.processing_port.to_string();

    let refused = Stack::start(config).await;

    let message = refused.err().context("the port is taken")?.to_string();
    assert!(message.contains(&port), "{message}");
    assert!(message.contains("--processing-port"), "{message}");
    let processes = std::fs::read_dir(home.path().join("run"))?;
    assert_eq!(processes.count(), 0);
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_continues_from_the_data_of_the_first() -> Result<()> {
    let system = System::start_with_own_broker().await?;
    let finished = system.place_order(&Draft::of("MUG", 1)).await?;
    system.watch_until_final(&finished.order_id).await?;
    system.stop(Service::Processing).await?;
    let waiting = system.place_order(&Draft::of("MUG", 1)).await?;

    let system = system.start_again().await?;

    for order in [finished, waiting] {
        system.watch_until_final(&order.order_id).await?;
        let order = system.order(&order.order_id).await?;
        assert_eq!(order.status(), OrderStatus::Fulfilled);
    }
    assert_eq!(system.stock("MUG").await?.shipped, 2);
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_stops_everything_in_order() -> Result<()> {
    let home = home()?;
    let up = Up::start(home.path()).await?;

    up.interrupt_as_a_terminal_does().await?;

    let (status, said) = up.until_it_ends().await?;
    assert_eq!(status.code(), Some(0), "{said:?}");
    let processes = config(home.path())?.processes();
    let last = said[said.len() - processes.len()..].iter();
    for (process, line) in processes.into_iter().zip(last) {
        let stopped = format!("{process} stopped: in time");
        assert!(line.starts_with(&stopped), "{line:?} is not {stopped:?}");
        assert!(!is_running(home.path(), process)?, "{process} still runs");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_left_by_a_killed_stack_are_stopped_by_the_next_one() -> Result<()> {
    let home = home()?;
    let mut up = Up::start(home.path()).await?;
    up.child.kill().await?;
    assert!(is_running(home.path(), Process::only(Service::Broker))?);

    let next = Stack::start(config(home.path())?).await?;

    assert_eq!(next.restarts(), 0);
    for (process, ending) in next.stop().await {
        assert!(ending.is_clean(), "{process}: {ending}");
    }
    assert!(!is_running(home.path(), Process::only(Service::Broker))?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_cannot_start_is_reported_with_its_log() -> Result<()> {
    let home = home()?;
    let mut config = config(home.path())?;
    let environment = (Service::Orders, "SHUTDOWN_GRACE", "soon");
    config.environment = vec![(environment.0, environment.1.into(), environment.2.into())];
    let processes = config.processes();

    let failed = Stack::start(config).await;

    let message = failed.err().context("a wrong setting")?.to_string();
    assert!(message.contains("order-service"), "{message}");
    assert!(message.contains("SHUTDOWN_GRACE"), "{message}");
    for process in processes {
        assert!(!is_running(home.path(), process)?, "{process} still runs");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_the_pool_is_not_stopped_killed_or_frozen_without_an_error() -> Result<()> {
    let Some(system) = System::start_on_production(&[]).await? else {
        return Ok(());
    };
    let broker = Process::only(Service::Broker);

    for refused in [
        system.stop(Service::Broker).await.map(drop),
        system.kill(Service::Broker).await,
        system.restart(Service::Broker).await,
        system.kill_process(broker).await,
        system.kill_for_good(broker).await,
        system.stack().pause(broker).await.map_err(Into::into),
        system
            .stack()
            .start_process(broker)
            .await
            .map_err(Into::into),
    ] {
        refused.err().context("the broker is not its own")?;
    }

    system.finish().await
}

/// As when the test program ends in any way: then the operating system closes the pipe.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_the_pair_ends_with_its_input_and_leaves_no_files() -> Result<()> {
    if engines()?.broker != BrokerEngine::Apache {
        return Ok(());
    }
    let mut program = Command::new(programs_directory().join("local-stack"))
        .arg("broker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = program.stdout.take().context("a pipe")?;
    let mut lines = BufReader::new(output).lines();
    let address = timeout(WAIT_LIMIT, lines.next_line()).await??;
    let address = address.context("its address")?;
    let log = lines.next_line().await?.context("the file of its log")?;
    assert!(std::fs::exists(&log)?, "{log}");
    TcpStream::connect(&address).await?;

    drop(program.stdin.take());

    let status = timeout(WAIT_LIMIT, program.wait()).await??;
    assert_eq!(status.code(), Some(0));
    assert!(!std::fs::exists(&log)?, "{log}");
    assert!(TcpStream::connect(&address).await.is_err());
    Ok(())
}

/// A PostgreSQL server in it may run as another user than this process.
fn home() -> Result<TempDir> {
    let may_be_entered = Permissions::from_mode(0o711);
    Ok(tempfile::Builder::new()
        .permissions(may_be_entered)
        .tempdir()?)
}

fn config(data_dir: &Path) -> Result<StackConfig> {
    let catalogue = "sku,name,opening_stock\nMUG,a mug,10\n".to_owned();
    let config = StackConfig::on_free_ports(data_dir, CatalogueSource::Text(catalogue));
    Ok(StackConfig {
        engines: engines()?,
        ..config
    })
}

/// The options for the engines of the tests.
fn engine_options() -> Result<[String; 3]> {
    let engines = engines()?;
    let broker = match engines.broker {
        BrokerEngine::Apache => "apache",
        _ => "embedded",
    };
    let database = match engines.database {
        DatabaseEngine::Postgres => "postgres",
        DatabaseEngine::Sqlite => "sqlite",
    };
    Ok([
        format!("--kafka={broker}"),
        format!("--database={database}"),
        format!("--replicas={}", engines.replicas),
    ])
}

/// A running `local-stack up`.
struct Up {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Up {
    /// Starts it and waits for the line "The stack is up".
    async fn start(data_dir: &Path) -> Result<Self> {
        let mut child = Command::new(programs_directory().join("local-stack"))
            .args(["up", "--order-port=0", "--processing-port=0"])
            .args(engine_options()?)
            .args(["--broker-port=0", "--page-port=0", "--data-dir"])
            .arg(data_dir)
            .stdout(Stdio::piped())
            // Like a shell starting a program in the foreground.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().context("a pipe")?;
        let mut output = BufReader::new(output).lines();
        loop {
            let line = timeout(WAIT_LIMIT, output.next_line()).await??;
            if line.context("it exited early")?.contains("The stack is up") {
                return Ok(Self { child, output });
            }
        }
    }

    /// Ctrl-C signals the whole foreground process group.
    async fn interrupt_as_a_terminal_does(&self) -> Result<()> {
        let group = format!("-{}", self.child.id().context("it runs")?);
        let status = Command::new("kill")
            .args(["-INT", "--", &group])
            .status()
            .await?;
        ensure!(status.success(), "cannot signal the group {group}");
        Ok(())
    }

    /// Exit status, and output since it was up.
    async fn until_it_ends(mut self) -> Result<(ExitStatus, Vec<String>)> {
        let mut said = Vec::new();
        while let Some(line) = timeout(WAIT_LIMIT, self.output.next_line()).await?? {
            said.push(line);
        }
        Ok((self.child.wait().await?, said))
    }
}

/// Whether the process holds the lock on its process file.
fn is_running(data_dir: &Path, process: Process) -> Result<bool> {
    let path = data_dir.join("run").join(format!("{process}.pid"));
    Ok(std::fs::File::open(path)?.try_lock().is_err())
}

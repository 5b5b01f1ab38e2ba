//! The program `orders-load`: a run on a stack of its own, and the exit code and report of every run that ends early.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tests::alone::Alone;
use tests::stack::programs_directory;
use tests::system::{WAIT_LIMIT, engines};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_a_stack_of_its_own_ends_with_a_green_audit_and_all_outputs() -> Result<()> {
    // A PostgreSQL server in it may run as another user than this process.
    let may_be_entered = Permissions::from_mode(0o711);
    let home = tempfile::Builder::new()
        .permissions(may_be_entered)
        .tempdir()?;
    let file = |name: &str| home.path().join(name).display().to_string();
    let [json, html, hgrm, data] = ["a.json", "a.html", "hgrm", "data"].map(file);
    let engines = if engines()?.replicas > 1 {
        "production"
    } else {
        "embedded"
    };

    let options = [
        "--engines",
        engines,
        "--data-dir",
        &data,
        "--schedule",
        "constant:20/s",
        "--warm-up",
        "500ms",
        "--duration",
        "3s",
        "--watch-share",
        "100%",
        "--json",
        &json,
        "--html",
        &html,
        "--hgrm",
        &hgrm,
    ];
    let output = run(&options).await?;

    let said = String::from_utf8_lossy(&output.stdout);
    // On a machine that is busy with other tests the tool may be the limit, and says so.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    assert!(said.contains("audit: green"), "{said}");
    let report = read(Path::new(&json))?;
    assert_eq!(report["offered"], 60);
    assert_eq!(report["end"], "completed");
    assert!(
        report["outcome"]["final"]["FULFILLED"].as_u64() > Some(0),
        "{report}"
    );
    assert!(std::fs::read_to_string(html)?.contains("The audit is green"));
    assert!(home.path().join("hgrm/place-naive.hgrm").exists());
    Ok(())
}

#[tokio::test]
async fn an_unreachable_target_is_told_from_a_failed_run() -> Result<()> {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let target = format!("http://{}", listener.local_addr()?);
    drop(listener);

    let output = run(&["--target", &target]).await?;

    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(said.contains(&format!("cannot reach {target}")), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_token_is_in_no_output() -> Result<()> {
    let token = "secret.of.mine";

    let output = Command::new(program())
        .args(["--target", "http://127.0.0.1:1", "--help"])
        .env("ORDERS_LOAD_TOKEN", token)
        .output()
        .await?;

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("ORDERS_LOAD_TOKEN") && !said.contains(token),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_killed_ends_the_run_with_its_report() -> Result<()> {
    let service = Alone::start::<&str, &str>(&[]).await?;
    let home = tempfile::tempdir()?;
    let json = home.path().join("a.json");

    let mut running = Running::start(
        &service,
        &["--patience", "300ms", "--json", &json.display().to_string()],
    )?;
    running.until_orders_are_accepted().await?;
    drop(service);
    let (code, said) = running.until_it_ends().await?;

    assert_eq!(code, Some(4), "{said}");
    assert!(
        said.contains("the target is gone: no answer for 0."),
        "{said}"
    );
    let report = read(&json)?;
    assert!(
        report["operations"]["place"]["accepted"]["count"].as_u64() > Some(0),
        "{report}"
    );
    assert!(report["error_share"].as_f64() > Some(0.0), "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_the_run_with_its_report() -> Result<()> {
    let service = Alone::start::<&str, &str>(&[]).await?;

    let mut running = Running::start(&service, &[])?;
    running.until_orders_are_accepted().await?;
    running.interrupt()?;
    let (code, said) = running.until_it_ends().await?;

    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("FAILED: ended early: interrupted"), "{said}");
    assert!(said.contains("calls offered in"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_journal_ends_the_run_with_its_report() -> Result<()> {
    let service = Alone::start::<&str, &str>(&[]).await?;

    let running = Running::start(&service, &["--journal", "/dev/full"])?;
    let (code, said) = running.until_it_ends().await?;

    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("the journal cannot be written"), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    Ok(())
}

fn program() -> std::path::PathBuf {
    programs_directory().join("orders-load")
}

async fn run(options: &[&str]) -> Result<Output> {
    let output = Command::new(program())
        .args(options)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    Ok(timeout(WAIT_LIMIT, output).await??)
}

fn read(report: &Path) -> Result<Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(report)?)?)
}

/// A run against an order-service, for longer than any test.
struct Running {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(service: &Alone, options: &[&str]) -> Result<Self> {
        let mut child = Command::new(program())
            .args([
                "--target",
                service.address(),
                "--warm-up",
                "0s",
                "--duration",
                "1h",
            ])
            .args(["--schedule", "constant:50/s", "--watch-share", "0%"])
            .args(options)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().context("a pipe")?;
        let output = BufReader::new(output).lines();
        Ok(Self { child, output })
    }

    /// By the plain lines of the live view.
    async fn until_orders_are_accepted(&mut self) -> Result<()> {
        loop {
            let line = timeout(WAIT_LIMIT, self.output.next_line()).await??;
            let line = line.context("it ended early")?;
            if line.contains("; accepted ") && !line.contains("; accepted 0,") {
                return Ok(());
            }
        }
    }

    fn interrupt(&self) -> Result<()> {
        let id = self.child.id().context("it runs")?;
        Ok(kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGINT)?)
    }

    /// The exit code, and the output since then.
    async fn until_it_ends(mut self) -> Result<(Option<i32>, String)> {
        let mut said = String::new();
        while let Some(line) = timeout(WAIT_LIMIT, self.output.next_line()).await?? {
            said = said + &line + "\n";
        }
        Ok((self.child.wait().await?.code(), said))
    }
}

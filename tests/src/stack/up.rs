//! `local-stack up`: starts the stack, prints how to use it, keeps it running until Ctrl-C.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use clap::Args;
use tokio::sync::broadcast::error::RecvError;

use super::interrupt::Interrupt;
use super::{Notice, Service, Stack, StackAddresses, StackOptions};
use crate::live::BoundPage;
use crate::live::options::PageOptions;
use crate::orders::{OrderBook, SAMPLE};
use crate::waterfall::observation::Observation;
use crate::waterfall::{self, text};

/// Default data directory: below the directory that `make` runs in.
const DATA_DIRECTORY: &str = ".local/up";

/// The stock lasts for this many replays of the sample: hours at the highest rate of the live page.
const ROUNDS: usize = 1_000;

/// Start the stack and keep it running until Ctrl-C.
#[derive(Clone, Debug, Args)]
pub struct UpArguments {
    #[command(flatten)]
    stack: StackOptions,

    #[command(flatten)]
    page: PageOptions,
}

/// Runs until Ctrl-C or SIGTERM, then stops everything in order.
///
/// # Errors
/// When the stack does not start, when a process is given up, or when one had to be killed.
pub async fn run(arguments: UpArguments) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    // First, so that a port that is taken changes nothing.
    let page = BoundPage::bind(arguments.page.address()).await?;
    let book = OrderBook::open(Path::new(SAMPLE))?;
    let catalogue = book.catalogue(book.len() * ROUNDS).to_csv()?;
    let mut config = arguments
        .stack
        .into_config(Path::new(DATA_DIRECTORY), catalogue);
    config.sampling.get_or_insert(1.0);
    let observation = Observation::of(&mut config).await?;
    let stack = tokio::select! {
        stack = Stack::start(config) => stack?,
        () = interrupt.stop.cancelled() => bail!("interrupted while the stack was starting"),
    };
    let stack = Arc::new(stack);
    let address = page.address();
    let page = page.serve(Arc::clone(&stack), observation.receiver())?;
    println!("{}", welcome(address, stack.addresses(), stack.data_dir()));

    let given_up = tokio::select! {
        () = interrupt.stop.cancelled() => None,
        notice = first_given_up(&stack) => Some(notice),
        // Never completes.
        () = show_first_order(&observation) => None,
    };

    println!("stopping; a second Ctrl-C kills all remaining processes");
    page.stop().await;
    tokio::select! {
        clean = stop(&stack) => ensure!(clean, "not everything stopped cleanly"),
        () = interrupt.kill.cancelled() => bail!("killed before everything had stopped"),
    }
    match given_up {
        Some(notice) => bail!("{notice}"),
        None => Ok(()),
    }
}

/// Prints the trace of the first fulfilled order, once.
async fn show_first_order(observation: &Observation) {
    let rows = waterfall::rows(&observation.first_order().await);
    println!(
        "\nThe trace of the first order; a tracing backend shows every order: --otlp URL\n\n{}",
        text::render(&rows, text::width_of_terminal())
    );
    std::future::pending().await
}

/// Prints process events; returns when a process is given up.
async fn first_given_up(stack: &Stack) -> Notice {
    let mut notices = stack.notices();
    loop {
        match notices.recv().await {
            Ok(notice @ Notice::GivenUp(..)) => return notice,
            Ok(notice) => eprintln!("{notice}"),
            // A lag loses only lines of output; the channel is not closed while the stack exists.
            Err(RecvError::Lagged(_) | RecvError::Closed) => {}
        }
    }
}

/// Whether every process stopped cleanly.
async fn stop(stack: &Stack) -> bool {
    let mut clean = true;
    for (process, ending) in stack.stop_all().await {
        println!("{process} stopped: {ending}");
        clean &= ending.is_clean();
    }
    clean
}

/// Addresses, and commands to copy.
fn welcome(page: SocketAddr, addresses: &StackAddresses, data_dir: &Path) -> String {
    let orderctl = orderctl();
    let orders = addresses.orders[0];
    let kafka = &addresses.kafka;
    let topic = proto::topics::ORDER_EVENTS;
    format!(
        "The stack is up; Ctrl-C stops it.

  {:<20}http://{page}

{}
Try, in another terminal:

# place an order; it prints the order's id
{orderctl} --address http://{orders} place --line 85123A:2:2.55

# watch it, with that id
{orderctl} --address http://{orders} watch ORDER_ID

# read the events, with the client of this repository or with any other (pip install confluent-kafka)
{orderctl} topic --kafka {kafka} --topic {topic}
python3 -c \"import confluent_kafka as k; c = k.Consumer({{'bootstrap.servers': '{kafka}', 'group.id': 'look', \
'auto.offset.reset': 'earliest'}}); c.subscribe(['{topic}']); \
[print(m.key(), m.headers(), m.value(), sep='\\n', end='\\n\\n') for m in iter(lambda: c.poll(10), None)]\"",
        "live page",
        whereabouts(addresses, data_dir),
    )
}

/// Every listener's address, and the data directory.
fn whereabouts(addresses: &StackAddresses, data_dir: &Path) -> String {
    let pair = [
        (Service::Orders, &addresses.orders),
        (Service::Processing, &addresses.processing),
    ];
    let mut lines = String::new();
    for (service, replicas) in pair {
        for address in replicas {
            lines += &format!("  {service:<20}http://{address}  (gRPC, with reflection)\n");
        }
    }
    lines += &format!("  {:<20}{}\n", "Kafka broker", addresses.kafka);
    if let Some(address) = addresses.database {
        lines += &format!("  {:<20}{address}\n", "PostgreSQL");
    }
    lines + &format!("  {:<20}{}\n", "data and logs", data_dir.display())
}

/// The shortest command that runs the `orderctl` built together with this program.
fn orderctl() -> String {
    let Ok(program) = std::env::current_exe().map(|path| path.with_file_name("orderctl")) else {
        return "orderctl".to_owned();
    };
    let here = std::env::current_dir().unwrap_or_default();
    let program = program.strip_prefix(here).unwrap_or(&program);
    program.display().to_string()
}

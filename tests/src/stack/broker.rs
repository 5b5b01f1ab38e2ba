//! `local-stack broker`: one Apache Kafka without the pair, for as long as standard input is open.
//!
//! The system tests lend such brokers to one test after the other. The pipe closes when the test program ends, however
//! it ends: no broker outlives it, and its files are removed. A broker that dies is not restarted, so that the test
//! fails that used it; its files are kept.

use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use tokio::sync::oneshot;

use super::{BrokerEngine, CatalogueSource, Engines, Process, Service, Stack, StackConfig};

/// Starts a broker on free ports, prints its address and the file of its log, and keeps it running until standard input
/// is closed.
///
/// # Errors
/// When the broker does not start, or dies.
pub async fn run() -> Result<()> {
    let mut input_is_closed = until_input_is_closed();
    let directory = tempfile::Builder::new().prefix("broker-").tempdir()?;
    let broker = Process::only(Service::Broker);
    let stack = tokio::select! {
        stack = Stack::start(only_a_broker(directory.path())) => stack?,
        _ = &mut input_is_closed => bail!("the input was closed while the broker was starting"),
    };
    let mut notices = stack.notices();
    println!("{}", stack.addresses().kafka);
    println!("{}", stack.log_file(broker).display());
    tokio::select! {
        // An error too: the thread has ended.
        _ = input_is_closed => {
            stack.kill_for_good(broker).await;
            directory.close().context("cannot remove the files of the broker")
        }
        notice = notices.recv() => {
            let kept = directory.keep();
            bail!("{}; its files are in {}", notice?, kept.display())
        }
    }
}

fn only_a_broker(directory: &Path) -> StackConfig {
    StackConfig {
        engines: Engines {
            broker: BrokerEngine::Apache,
            ..Engines::embedded()
        },
        services_are_started: false,
        ..StackConfig::on_free_ports(directory, CatalogueSource::Text(String::new()))
    }
}

/// On a thread of its own: the runtime could not end while a task of its own reads.
fn until_input_is_closed() -> oneshot::Receiver<()> {
    let (held, is_dropped) = oneshot::channel();
    std::thread::spawn(move || {
        let _held: oneshot::Sender<()> = held;
        io::copy(&mut io::stdin(), &mut io::sink())
    });
    is_dropped
}

//! The table equals what the pair sold: through crashes, events that come again, and a rebuild while it serves. On the engines in
//! `TEST_ENGINES`; needs the programs of the pair beside the test, and the feature `crash-points`, as `tests/run.sh` builds them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use auditor::Limits;
use proto::orders::v1::{Order, OrderStatus};
use proto::topics;
use serde_json::Value;
use tests::system::{Draft, Service, System, eventually};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// Quantity and amount by day and SKU.
type Sales = BTreeMap<(String, String), (i64, i64)>;

#[tokio::test(flavor = "multi_thread")]
async fn the_table_equals_the_orders_after_crashes_and_a_rebuild_while_it_serves() -> Result<()> {
    let system = System::start().await?;
    let mut first = View::start(&system, "sales-1", &[]).await?;
    let declined = system
        .place_order(&Draft::of("MUG", 3).paid_with("tok_declined"))
        .await?;

    let mut orders = place_orders(&system).await?;
    first.shows_something().await?;

    // It is killed while it applies events: what it had not committed to Kafka comes again.
    let (more, ()) = tokio::try_join!(place_orders(&system), first.kill_and_start_again())?;
    orders.extend(more);
    system.kill(Service::Processing).await?;
    let rebuilt = View::spawn(&system, "sales-2", &[]).await?;
    let rebuild = rebuilds_while_the_first_serves(&rebuilt, &first);
    let (more, ()) = tokio::try_join!(place_orders(&system), rebuild)?;
    orders.extend(more);

    orders.push(declined);
    let expected = sold(&system, &orders).await?;
    let pieces: i64 = expected.values().map(|(quantity, _)| quantity).sum();
    assert_eq!(system.stock("LAMP").await?.shipped, pieces);
    assert_eq!(system.stock("MUG").await?.shipped, 0);
    first.shows(&expected).await?;
    rebuilt.shows(&expected).await?;
    first.stop().await?;
    rebuilt.shows(&expected).await?;
    rebuilt.stop().await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_events_come_again_is_counted_once_and_twice_without_the_inbox() -> Result<()>
{
    let system = System::start().await?;
    let order = system
        .place_order(&Draft::of("MUG", 2).and("TEAPOT", 1))
        .await?;
    system.watch_until_final(&order.order_id).await?;
    let expected = sold(&system, std::slice::from_ref(&order)).await?;
    for name in [topics::ORDER_EVENTS, topics::PROCESSING_EVENTS] {
        let topic = system.topic(name);
        topic
            .publish_together(&topic.records_about(&order.order_id).await?)
            .await?;
    }

    // Each answers when it has read the topics, repeated records included.
    let view = View::start(&system, "with-inbox", &[]).await?;
    let without = View::start(&system, "without-inbox", &[("INBOX", "off")]).await?;

    let twice = |(at, (quantity, amount)): (&(String, String), &(i64, i64))| {
        (at.clone(), (2 * quantity, 2 * amount))
    };
    assert_eq!(view.sales().await?, expected);
    assert_eq!(
        without.sales().await?,
        expected.iter().map(twice).collect::<Sales>()
    );
    view.stop().await?;
    without.stop().await?;
    let limits = Limits {
        wire_duplicates: None,
        set_aside: Some(0),
        ..Limits::default()
    };
    system.finish_within(limits).await.map(drop)
}

/// Places some orders, one after the other.
async fn place_orders(system: &System) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    for _ in 0..40 {
        orders.push(system.place_order_retrying(&Draft::of("LAMP", 1)).await?);
    }
    Ok(orders)
}

/// Until the new table is served, the first one answers every query, and takes nothing back.
async fn rebuilds_while_the_first_serves(rebuilt: &View, first: &View) -> Result<()> {
    let before = Mutex::new(Sales::new());
    eventually("the new table is served", async || {
        let now = first.sales().await?;
        let mut before = before.lock().await;
        let grows = before.iter().all(|(at, sold)| now.get(at) >= Some(sold));
        ensure!(grows, "{before:?} {now:?}");
        *before = now;
        Ok(rebuilt.sales().await.ok().map(drop))
    })
    .await
}

/// What order-service says of these orders, once they are final.
async fn sold(system: &System, orders: &[Order]) -> Result<Sales> {
    system.all_become_final(orders).await?;
    let mut sales = Sales::new();
    for order in orders {
        let order = system.order(&order.order_id).await?;
        if order.status() != OrderStatus::Fulfilled {
            continue;
        }
        let seconds = order.update_time.context("a time")?.seconds;
        let day = OffsetDateTime::from_unix_timestamp(seconds)?
            .date()
            .to_string();
        for line in order.lines {
            let price = line.unit_price.context("a price")?.minor_units;
            let sold = sales.entry((day.clone(), line.sku)).or_default();
            sold.0 += i64::from(line.quantity);
            sold.1 += i64::from(line.quantity) * price;
        }
    }
    Ok(sales)
}

/// A process of the read model.
struct View {
    address: SocketAddr,
    directory: PathBuf,
    environment: Vec<(String, String)>,
    process: Child,
}

impl View {
    /// Starts it and waits until it answers.
    async fn start(system: &System, generation: &str, more: &[(&str, &str)]) -> Result<Self> {
        let view = Self::spawn(system, generation, more).await?;
        view.answers().await?;
        Ok(view)
    }

    async fn spawn(system: &System, generation: &str, more: &[(&str, &str)]) -> Result<Self> {
        // The address of a listener that is closed again: free for the process.
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
        let mut environment = system.stack().settings(Service::Processing);
        environment.retain(|(name, _)| name.starts_with("KAFKA_"));
        let listen = address.to_string();
        let own = [("SALES_LISTEN", &*listen), ("SALES_GENERATION", generation)];
        for (name, value) in own.iter().chain(more) {
            environment.push(((*name).to_owned(), (*value).to_owned()));
        }
        let directory = system.data_dir().to_owned();
        let process = launch(&directory, &environment)?;
        Ok(Self {
            address,
            directory,
            environment,
            process,
        })
    }

    async fn kill_and_start_again(&mut self) -> Result<()> {
        self.process.kill().await?;
        self.process = launch(&self.directory, &self.environment)?;
        self.answers().await
    }

    /// Ends it like an operator, and it must end cleanly.
    async fn stop(mut self) -> Result<()> {
        let pid = self.process.id().context("it has ended")?;
        let asked = Command::new("kill").arg(pid.to_string()).status().await?;
        ensure!(asked.success(), "no signal was sent");
        let status = self.process.wait().await?;
        ensure!(status.success(), "{status}");
        Ok(())
    }

    async fn answers(&self) -> Result<()> {
        eventually("the table is served", async || {
            Ok(self.sales().await.ok().map(drop))
        })
        .await
    }

    async fn shows(&self, expected: &Sales) -> Result<()> {
        let shown = eventually("the table is up to date", async || {
            Ok((self.sales().await? == *expected).then_some(()))
        });
        let shown = shown.await;
        shown.with_context(|| format!("expected {expected:?}"))
    }

    async fn shows_something(&self) -> Result<()> {
        let shown = async || Ok((!self.sales().await?.is_empty()).then_some(()));
        eventually("the table has a sale", shown).await
    }

    async fn sales(&self) -> Result<Sales> {
        let mut connection = TcpStream::connect(self.address).await?;
        let request = b"GET / HTTP/1.1\r\nhost: sales\r\nconnection: close\r\n\r\n";
        connection.write_all(request).await?;
        let mut response = String::new();
        connection.read_to_string(&mut response).await?;
        let (head, lines) = response.split_once("\r\n\r\n").context("no response")?;
        ensure!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        lines.lines().map(sale).collect()
    }
}

fn sale(line: &str) -> Result<((String, String), (i64, i64))> {
    let sale: Value = serde_json::from_str(line)?;
    ensure!(sale["currency"] == "GBP", "{line}");
    let text = |name: &str| sale[name].as_str().map(str::to_owned).context("no text");
    let number = |name: &str| sale[name].as_i64().context("no number");
    let at = (text("day")?, text("sku")?);
    Ok((at, (number("quantity")?, number("minor_units")?)))
}

fn launch(directory: &Path, environment: &[(String, String)]) -> Result<Child> {
    let log = std::fs::File::options()
        .append(true)
        .create(true)
        .open(directory.join("sales-view.log"))?;
    let started = Command::new(env!("CARGO_BIN_EXE_sales-view"))
        .current_dir(directory)
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn();
    started.context("cannot start sales-view")
}

//! A stack with its page, in this process: the page can be taken away and opened again on the same port.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use auditor::Limits;
use proto::orders::v1::OrderHistoryEntry;
use serde_json::Value;
use tempfile::TempDir;
use tests::audit;
use tests::client::OrderClient;
use tests::client::connections::connect;
use tests::client::watch::Watch;
use tests::live::{BoundPage, LivePage};
use tests::orders::OrderBook;
use tests::stack::{CatalogueSource, Stack, StackConfig};
use tests::system::{Service, WAIT_LIMIT, engines};
use tests::waterfall::observation::Observation;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::browser::Browser;

/// The pictures of the README.
const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/images");

/// A page of a repository must not be slow because of its pictures.
const MAX_PICTURE: u64 = 300 << 10;

/// The stock lasts for this many orders.
const ORDERS: usize = 20_000;

#[derive(Debug)]
pub(super) struct Site {
    config: StackConfig,
    /// There is none while it is started again.
    stack: Mutex<Option<Arc<Stack>>>,
    observation: Observation,
    address: SocketAddr,
    page: Mutex<Option<LivePage>>,
    /// Removed at the end.
    _home: TempDir,
}

impl Site {
    pub(super) async fn start() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let catalogue = OrderBook::sample()?.catalogue(ORDERS).to_csv()?;
        let mut config = StackConfig {
            engines: engines()?,
            sampling: Some(1.0),
            ..StackConfig::on_free_ports(home.path(), CatalogueSource::Text(catalogue))
        };
        let observation = Observation::of(&mut config).await?;
        let stack = Arc::new(Stack::start(config.clone()).await?);
        let bound = BoundPage::bind(([127, 0, 0, 1], 0).into()).await?;
        let address = bound.address();
        let page = bound.serve(Arc::clone(&stack), observation.receiver())?;
        Ok(Self {
            config,
            stack: Mutex::new(Some(stack)),
            observation,
            address,
            page: Mutex::new(Some(page)),
            _home: home,
        })
    }

    async fn stack(&self) -> Result<Arc<Stack>> {
        let stack = self.stack.lock().await;
        stack.clone().context("it is being started again")
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The position of a service in the list of processes, from 1.
    pub(super) fn place_of(&self, service: Service) -> usize {
        match service {
            Service::Orders => 1,
            Service::Broker => 2,
            Service::Processing => 3,
            Service::Database => 4,
        }
    }

    /// What the page's own API says.
    pub(super) async fn state(&self) -> Result<Value> {
        let answer = reqwest::get(format!("{}api/state", self.url())).await?;
        Ok(serde_json::from_str(&answer.text().await?)?)
    }

    /// What order-service says.
    pub(super) async fn history(&self, order_id: &str) -> Result<Vec<OrderHistoryEntry>> {
        let addresses = self.stack().await?.addresses().clone();
        let client = OrderClient::new(connect(&addresses.order_urls()[0])?);
        let mut entries = Vec::new();
        let watch = Watch::new(client, order_id, 0);
        let deadline = Instant::now() + WAIT_LIMIT;
        watch
            .until_final(deadline, |entry| entries.push(entry.clone()))
            .await?;
        Ok(entries)
    }

    pub(super) async fn close_page(&self) -> Result<()> {
        let page = self.page.lock().await.take();
        page.context("it is open")?.stop().await;
        Ok(())
    }

    pub(super) async fn open_page(&self) -> Result<()> {
        let bound = BoundPage::bind(self.address).await?;
        let page = bound.serve(self.stack().await?, self.observation.receiver())?;
        *self.page.lock().await = Some(page);
        Ok(())
    }

    /// Stops everything, and starts it on the same data. The page must be closed.
    pub(super) async fn restart_stack(&self) -> Result<()> {
        let stack = self.stack.lock().await.take();
        let stack = stack.and_then(Arc::into_inner);
        let stack = stack.context("the page still uses it")?;
        for (process, ending) in stack.stop().await {
            ensure!(ending.is_clean(), "{process}: {ending}");
        }
        let stack = Stack::start(self.config.clone()).await?;
        *self.stack.lock().await = Some(Arc::new(stack));
        Ok(())
    }

    /// Every window is rendered; the light ones are kept with UPDATE_IMAGES=1, all of them in LIVE_PAGE_PICTURES.
    pub(super) async fn picture(&self, browser: &Browser, name: &str, is_dark: bool) -> Result<()> {
        let scheme = if is_dark { "dark" } else { "light" };
        if let Some(folder) = std::env::var_os("LIVE_PAGE_PICTURES") {
            let file = format!("live-{name}-{scheme}.png");
            browser.picture(&Path::new(&folder).join(file)).await?;
        }
        if std::env::var_os("UPDATE_IMAGES").is_some() && !is_dark {
            let path = Path::new(IMAGES).join(format!("live-{name}.png"));
            browser.picture(&path).await?;
            let size = path.metadata()?.len();
            ensure!(size <= MAX_PICTURE, "{} has {size} bytes", path.display());
        }
        Ok(())
    }

    /// The databases have what the page has told, and the auditor finds no violation.
    pub(super) async fn audit(self, told: &Value) -> Result<()> {
        self.close_page().await?;
        let stack = self.stack().await?;
        let limits = Limits {
            // The page published an event again and a record that is no event, on purpose; processes were killed.
            wire_duplicates: None,
            set_aside: None,
            ..Limits::default()
        };
        let verdict = audit::of_the_stopped(&stack, None, limits, Duration::from_secs(60)).await?;
        let mut orders = stack.databases().orders.reader().await?;
        let in_database = orders.number("SELECT count(*) FROM orders").await?;
        stack.stop_all().await;
        ensure!(verdict.is_ok(), "{verdict}");
        // An order whose confirmation was cut off by a fault exists all the same, so the page may know fewer.
        let accepted = told["accepted"].as_i64().context("a count")?;
        ensure!(
            accepted <= in_database && in_database > 200,
            "the page has told of {accepted} accepted orders, and there are {in_database}"
        );
        Ok(())
    }
}

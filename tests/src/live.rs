//! The live page of `local-stack up`: real orders, real faults, and what becomes of both halves meanwhile.
//!
//! ```text
//! browser ──HTTP──▶ front ──▶ routes ──▶ placing, load ──gRPC──▶ order-service
//!    ▲                          │ ├────▶ controls ──────────▶ the processes of the stack
//!    │                          │ └────▶ records ──────────▶ the topics
//!    └─ server-sent events ◀─ snapshot ◀─ board, gauges (metrics, consumer lag), moment, story
//! ```
//!
//! Guarantees: it serves the loopback interface unless another address is given; what is not from this page is refused; every
//! buffer is a ring. The page has no state of its own: each snapshot is complete.
//!
//! Reading order: [`options`], `front` (the HTTP server and its limits), `routes`, `placing`, `load` and `board` (orders),
//! `controls`, `records`, `ways` (sync only and async only beside hybrid), `gauges`, `timeline`, `moment`, `story` and `chapters` (words), `snapshot`.

mod board;
mod chapters;
mod controls;
mod front;
mod gauges;
mod load;
mod moment;
pub mod options;
mod payments;
mod placing;
mod records;
mod routes;
mod snapshot;
mod story;
mod tasks;
mod timeline;
mod ways;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use tokio::sync::watch;
use uuid::Uuid;

use board::Board;
use controls::Controls;
use front::{EventStreams, Front, FrontLimits};
use gauges::Gauges;
use load::Load;
use placing::Placing;
use story::Story;
use tasks::Tasks;
use timeline::Timelines;
use ways::{Companion, Ways};

use crate::client::connections::Connections;
use crate::orders::OrderBook;
use crate::otlp::Receiver;
use crate::stack::Stack;

/// Concurrent reads of single orders.
const READS: usize = 16;

/// The stock of the companion lasts for this many orders.
const COMPARED: usize = 100_000;

/// A bound page that waits for its stack.
#[derive(Debug)]
pub struct BoundPage(Front);

/// A page that is served; [`LivePage::stop`] ends it.
#[derive(Debug)]
pub struct LivePage {
    controls: Controls,
    companion: Companion,
    tasks: Tasks,
}

/// What the routes and the snapshots are made of.
#[derive(Clone, Debug)]
struct Parts {
    run: String,
    stack: Arc<Stack>,
    board: Board,
    placing: Placing,
    load: Load,
    controls: Controls,
    gauges: Gauges,
    timelines: Timelines,
    story: Story,
    ways: Ways,
    tasks: Tasks,
    poisons: Arc<AtomicU64>,
}

impl BoundPage {
    /// Binds the address, before anything else is started.
    ///
    /// # Errors
    /// When it is taken or not of this machine.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        Front::bind(address, FrontLimits::default()).await.map(Self)
    }

    /// With the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Serves a stack. The receiver has the telemetry of its services, unless that goes elsewhere.
    ///
    /// # Errors
    /// When a client cannot be made.
    pub fn serve(self, stack: Arc<Stack>, receiver: Option<Arc<Receiver>>) -> Result<LivePage> {
        let tasks = Tasks::default();
        let catalogue = OrderBook::sample()?.catalogue(COMPARED).to_csv()?;
        let companion = Companion::new(catalogue.into());
        let parts = Parts::start((stack, companion.clone()), receiver, &tasks)?;
        let (snapshots, latest) = watch::channel(Arc::from("{}"));
        let streams = EventStreams::of(latest);
        let routes = routes::routes(parts.clone(), streams);
        let stop = tasks.stop_token();
        tasks.spawn(self.0.serve(routes, stop));
        let controls = parts.controls.clone();
        tasks.spawn(async move { parts.publish(&snapshots).await });
        Ok(LivePage {
            controls,
            companion,
            tasks,
        })
    }
}

impl LivePage {
    /// Ends the page and resumes what it has frozen, so that the stack can stop in order.
    pub async fn stop(self) {
        self.tasks.end().await;
        self.controls.resume_all().await;
        self.companion.stop().await;
    }
}

impl Parts {
    fn start(
        (stack, companion): (Arc<Stack>, Companion),
        receiver: Option<Arc<Receiver>>,
        tasks: &Tasks,
    ) -> Result<Self> {
        let (board, story) = (Board::new(), Story::default());
        let addresses = stack.addresses().order_urls();
        let placing = Placing::new(&addresses, board.clone(), tasks.clone())?;
        let controls = Controls::start(Arc::clone(&stack), companion.clone(), story.clone(), tasks);
        let gauges = Gauges::start(&stack, receiver.clone(), board.clone(), tasks)?;
        // The keys of poison records must differ from those of earlier runs on the same data.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Self {
            run: Uuid::new_v4().to_string(),
            ways: Ways::new(
                Arc::clone(&stack),
                companion,
                (placing.clone(), board.clone(), story.clone()),
            ),
            tasks: tasks.clone(),
            load: Load::start(placing.clone(), tasks),
            timelines: Timelines {
                connections: Connections::to(&addresses, READS)?,
                receiver,
            },
            poisons: Arc::new(AtomicU64::new(now.unwrap_or_default().as_secs() * 100)),
            stack,
            board,
            placing,
            controls,
            gauges,
            story,
        })
    }

    fn next_poison(&self) -> u64 {
        self.poisons.fetch_add(1, Ordering::Relaxed)
    }
}

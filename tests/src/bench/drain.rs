//! How fast a backlog is drained: by the relay, by the consumer of each service, and by the whole system.
//!
//! ```text
//! order-service without a broker: orders ─▶ outbox
//! order-service with a broker:              outbox ─▶ topic                       relay
//! processing-service alone:                           topic ─▶ sagas, outcomes    consumer
//! order-service alone:                                         outcomes ─▶ orders outcomes
//!
//! order-service: orders ─▶ topic; then processing-service too: until all are final    backlog
//! ```
//!
//! Each rate is in orders per second, from the first progress on. An order has one event in the first topic and three
//! outcomes in the second.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use super::arguments::Sizes;
use super::customers::{Customers, place};
use super::end_to_end::unchecked;
use super::figures::Figures;
use super::pair::{OPEN_ORDERS, Pair, Setting, WITHOUT_OUTCOME};
use super::progress::{rate, rate_of_way, until_none};
use crate::stack::Service;

const CALLERS: usize = 256;

/// Nothing listens there.
const NO_BROKER: &str = "127.0.0.1:1";

/// Without a broker order-service is not ready, and accepts orders.
const ACCEPTS_WITHIN: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);

const OUTBOX: &str = "SELECT count(*) FROM outbox";

/// Negative: what is left is this plus the number of all orders.
const MINUS_FULFILLED: &str = "SELECT -count(*) FROM sagas WHERE state = 'FULFILLED'";
const ORDERS: &str = "SELECT count(*) FROM orders";

pub(super) async fn measure(pair: &Pair, sizes: &Sizes, figures: &mut Figures) -> Result<()> {
    fill_outbox(pair, sizes.backlog).await?;
    let mut orders = pair.database(Service::Orders).await?;
    let mut processing = pair.database(Service::Processing).await?;

    pair.launch(Service::Orders, &unchecked()).await?;
    add(
        figures,
        "relay_drain_per_s",
        rate(&mut orders, OUTBOX, 0).await?,
    );
    pair.stop_service(Service::Orders).await?;

    let all = sqlx::query_scalar(ORDERS).fetch_one(&mut orders).await?;
    pair.launch(Service::Processing, &[]).await?;
    let consumed = rate(&mut processing, MINUS_FULFILLED, all).await?;
    add(figures, "consumer_per_s", consumed);
    until_none(&mut processing, OUTBOX).await?;
    pair.stop_service(Service::Processing).await?;

    pair.launch(Service::Orders, &unchecked()).await?;
    add(
        figures,
        "outcomes_per_s",
        rate(&mut orders, OPEN_ORDERS, 0).await?,
    );

    place(&accepting(pair).await?, CALLERS, sizes.backlog).await?;
    until_none(&mut orders, OUTBOX).await?;
    pair.launch(Service::Processing, &[]).await?;
    let whole = rate_of_way(&mut orders, WITHOUT_OUTCOME, OPEN_ORDERS).await?;
    add(figures, "backlog_per_s", Some(whole));
    pair.stop_both().await
}

/// Places orders while there is no broker.
async fn fill_outbox(pair: &Pair, backlog: u64) -> Result<()> {
    let settings = [unchecked(), without_broker()].concat();
    pair.launch(Service::Orders, &settings).await?;
    place(&accepting(pair).await?, CALLERS, backlog).await?;
    pair.stop_service(Service::Orders).await
}

fn without_broker() -> Vec<Setting> {
    vec![
        ("KAFKA_BROKERS", NO_BROKER.to_owned()),
        // Admission would refuse orders at a backlog of this age or size.
        ("BACKLOG_AGE", "1000m".to_owned()),
        ("BACKLOG_ROWS", "4000000000".to_owned()),
    ]
}

/// Clients of an order-service that may not be ready yet.
async fn accepting(pair: &Pair) -> Result<Vec<Customers>> {
    let deadline = Instant::now() + ACCEPTS_WITHIN;
    loop {
        if let Some(customers) = try_to_place(pair).await {
            return Ok(customers);
        }
        ensure!(Instant::now() < deadline, "order-service takes no orders");
        sleep(PAUSE).await;
    }
}

async fn try_to_place(pair: &Pair) -> Option<Vec<Customers>> {
    let customers = pair.customers().await.ok()?;
    customers.first()?.place().await.ok()?;
    Some(customers)
}

fn add(figures: &mut Figures, key: &str, per_second: Option<f64>) {
    let Some(per_second) = per_second else {
        return println!("  {key:<20} done between two counts");
    };
    println!("  {key:<20} {per_second:>8.0}/s");
    figures.add(key, per_second);
}

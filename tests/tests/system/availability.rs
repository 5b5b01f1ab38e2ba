//! The availability of an accepted order, and that calls do not wait for processing-service while it is down.

use std::time::Duration;

use anyhow::{Context as _, Result};
use proto::orders::v1::{Availability, Order};
use tests::system::{Draft, Service, System, eventually};
use tokio::time::timeout;
use tonic::Code;
use tonic_types::StatusExt as _;

/// Above the default, because a busy machine may need longer for an answer. These tests are not about latency.
const UNHURRIED_QUESTION: (Service, &str, &str) = (Service::Orders, "AVAILABILITY_TIMEOUT", "2s");

/// Orders while processing-service is down: more than the failures that open the circuit breaker.
const ORDERS: usize = 40;

/// Far above the timeout of the query (50 ms), far below the time until processing-service is back.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn an_order_in_stock_is_confirmed_and_an_unavailable_one_is_refused_at_once() -> Result<()> {
    let system = System::start_with(&[UNHURRIED_QUESTION]).await?;
    let confirmed = confirmed(&system).await?;

    for (draft, kind, subject) in [
        (
            Draft::of("MUG", 1).and("UNICORN", 1),
            "UNKNOWN_SKU",
            "lines[1].sku",
        ),
        (Draft::of("TEAPOT", 6), "OUT_OF_STOCK", "lines[0].sku"),
    ] {
        let refused = system.place_order(&draft).await;

        let status = refused.err().context("it is refused")?;
        assert_eq!(status.code(), Code::FailedPrecondition);
        let details = status.get_error_details();
        let info = details.error_info().context("an ErrorInfo")?;
        assert_eq!(info.reason, "ITEMS_UNAVAILABLE");
        let failure = details.precondition_failure().context("the lines")?;
        let lines: Vec<_> = failure
            .violations
            .iter()
            .map(|line| (&*line.r#type, &*line.subject))
            .collect();
        assert_eq!(lines, [(kind, subject)]);
    }

    system.watch_until_final(&confirmed.order_id).await?;
    let listed = system.list(100, "").await?.orders;
    let is_mug = |order: &Order| order.lines.len() == 1 && order.lines[0].sku == "MUG";
    assert!(listed.iter().all(is_mug), "the refused call made no order");
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_accepted_unverified_while_processing_is_stopped_and_become_final() -> Result<()>
{
    let system = System::start().await?;
    system.stop(Service::Processing).await?;

    let orders = accepted_unverified(&system).await?;

    system.restart(Service::Processing).await?;
    system.all_become_final(&orders).await?;
    confirmed(&system).await?;
    system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_accepted_unverified_while_processing_is_frozen_and_become_final() -> Result<()>
{
    let system = System::start().await?;
    let frozen = system.stack().processes(Service::Processing);
    for process in &frozen {
        system.stack().pause(*process).await?;
    }

    let orders = accepted_unverified(&system).await?;

    for process in frozen {
        system.stack().resume(process).await?;
    }
    system.all_become_final(&orders).await?;
    confirmed(&system).await?;
    system.finish().await
}

/// An order with confirmed stock; waits until processing-service answers.
async fn confirmed(system: &System) -> Result<Order> {
    eventually("an order is confirmed to be in stock", async || {
        let order = system.place_order(&Draft::of("MUG", 1)).await?;
        let confirmed = order.availability() == Availability::Confirmed;
        Ok(confirmed.then_some(order))
    })
    .await
}

async fn accepted_unverified(system: &System) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        let draft = Draft::of("LAMP", 1);
        let placed = timeout(SOON, system.place_order(&draft)).await;
        let order = placed.context("the call waits for processing-service")??;
        assert_eq!(order.availability(), Availability::Unverified);
        orders.push(order);
    }
    Ok(orders)
}

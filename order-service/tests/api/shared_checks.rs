//! Orders share availability checks, and each is decided as if it had been alone.

use std::pin::pin;
use std::time::Duration;

use futures::future::{join_all, poll_immediate};
use grpc::client::Addresses;
use order_service::config::{AvailabilityConfig, AvailabilityPolicy, InventoryConfig};
use order_service::domain::{
    Availability, Currency, Money, OrderLine, OrderLines, Quantity, Sku, UnitPrice,
};
use order_service::inventory::{Inventory, InventoryClient, NotAvailable};
use service::config::FromSetting;
use service::deadline::Deadline;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::service::{WAIT_LIMIT, eventually};
use super::stock::{Says, Stock};

/// Longer than any of these tests: its end decides nothing. A call still ends after the half second of the service config.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Below the half second of the service config.
const SHORT_TIMEOUT: Duration = Duration::from_millis(400);

const NEVER_OLD: Duration = Duration::from_secs(60);

/// A check of this stand-in.
fn check_of(stock: &Stock, limit: Duration, max_age: Duration) -> Inventory {
    let config = InventoryConfig {
        availability: AvailabilityConfig {
            policy: AvailabilityPolicy::BestEffort,
            timeout: limit,
            max_age,
        },
        addresses: Addresses::from_setting(&stock.url()).unwrap(),
        tls: None,
    };
    let (client, upkeep) = InventoryClient::new(&config).unwrap();
    tokio::spawn(upkeep.unwrap().run(CancellationToken::new()));
    client.start(&TaskTracker::new())
}

fn lines(lines: &[(&str, i32)]) -> OrderLines {
    let price = Money {
        currency: Currency::Gbp,
        minor_units: 255,
    };
    let line = |&(sku, pieces): &(&str, i32)| OrderLine {
        sku: Sku::parse(sku).unwrap(),
        quantity: Quantity::parse(pieces).unwrap(),
        unit_price: UnitPrice::parse(price).unwrap(),
    };
    OrderLines::new(lines.iter().map(line).collect()).unwrap()
}

type Checked = Result<Availability, NotAvailable>;

async fn check(inventory: &Inventory, sku: &str) -> Checked {
    let deadline = Deadline::NEVER;
    inventory.check(&lines(&[(sku, 2)]), deadline).await
}

const CONFIRMED: Checked = Ok(Availability::Confirmed);
const UNVERIFIED: Checked = Ok(Availability::Unverified);

/// The first order does not wait for others; those that come during its call share the next one.
#[tokio::test]
async fn orders_that_come_during_a_call_share_the_next_one() {
    let stock = Stock::that_says(Says::Later).await;
    let inventory = check_of(&stock, TIMEOUT, Duration::ZERO);

    let mut first = pin!(check(&inventory, "A"));
    assert!(poll_immediate(&mut first).await.is_none());
    eventually(async || stock.asked() == 1).await;
    let mut others = pin!(join_all((0..20).map(|_| check(&inventory, "B"))));
    assert!(poll_immediate(&mut others).await.is_none());
    stock.say(Says::Available);

    assert_eq!(others.await, vec![CONFIRMED; 20]);
    assert_eq!(stock.asked(), 2);
}

#[tokio::test]
async fn a_response_is_used_for_the_next_orders_of_its_skus() {
    let stock = Stock::that_says(Says::Available).await;
    let inventory = check_of(&stock, TIMEOUT, NEVER_OLD);

    assert_eq!(check(&inventory, "A").await, CONFIRMED);
    stock.say(Says::OnePieceLeft);
    assert_eq!(check(&inventory, "A").await, CONFIRMED);
    assert_eq!(stock.asked(), 1);

    // More pieces than the response was about, or another SKU: the next call.
    let more = inventory.check(&lines(&[("A", 3)]), Deadline::NEVER).await;
    assert!(matches!(more, Err(NotAvailable::Lines(_))), "{more:?}");
    assert!(check(&inventory, "B").await.is_err());
    assert_eq!(stock.asked(), 3);
}

#[tokio::test]
async fn with_a_maximum_age_of_zero_each_order_waits_for_a_call_of_its_own() {
    let stock = Stock::that_says(Says::Available).await;
    let inventory = check_of(&stock, TIMEOUT, Duration::ZERO);

    assert_eq!(check(&inventory, "A").await, CONFIRMED);
    stock.say(Says::OnePieceLeft);
    assert!(check(&inventory, "A").await.is_err());
    assert_eq!(stock.asked(), 2);
}

/// Both wait for one call, which is not answered. Repeated, because a busy machine can let both end at once.
#[tokio::test]
async fn an_order_waits_for_a_shared_call_no_longer_than_its_own_deadline() {
    let stock = Stock::that_says(Says::Nothing).await;

    eventually(async || {
        let inventory = check_of(&stock, SHORT_TIMEOUT, Duration::ZERO);
        let order = lines(&[("A", 2)]);
        let mut patient = pin!(inventory.check(&order, Deadline::NEVER));
        assert!(poll_immediate(&mut patient).await.is_none());

        // Little more than the half of the timeout that a check needs.
        let soon = Deadline::within(Duration::from_millis(250));
        assert_eq!(inventory.check(&order, soon).await, UNVERIFIED);

        poll_immediate(&mut patient).await.is_none()
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_order_leaves_the_shared_call_to_the_others() {
    let stock = Stock::that_says(Says::Later).await;
    let inventory = check_of(&stock, TIMEOUT, Duration::ZERO);

    let mut cancelled = Box::pin(check(&inventory, "A"));
    let mut other = pin!(check(&inventory, "A"));
    assert!(poll_immediate(&mut cancelled).await.is_none());
    assert!(poll_immediate(&mut other).await.is_none());
    eventually(async || stock.asked() == 1).await;
    drop(cancelled);
    stock.say(Says::Available);

    assert_eq!(other.await, CONFIRMED);
    assert_eq!(stock.asked(), 1);
}

/// The breaker opens after twenty failures: thirty orders that share a failed call are one.
#[tokio::test]
async fn a_failed_shared_call_is_one_failure_of_the_breaker() {
    let stock = Stock::that_says(Says::Error).await;
    let inventory = check_of(&stock, TIMEOUT, Duration::ZERO);

    let checked = join_all((0..30).map(|_| check(&inventory, "A"))).await;
    stock.say(Says::Available);

    assert_eq!(checked, vec![UNVERIFIED; 30]);
    assert_eq!(check(&inventory, "A").await, CONFIRMED);
    assert_eq!(stock.asked(), 2);
}

/// Repeated, because on a busy machine the first call can end before the second is seen.
#[tokio::test]
async fn a_call_that_gets_no_answer_holds_up_the_next_one_for_half_of_its_timeout() {
    let stock = Stock::that_says(Says::Nothing).await;

    eventually(async || {
        let inventory = check_of(&stock, SHORT_TIMEOUT, Duration::ZERO);
        let before = stock.asked();
        let mut first = pin!(check(&inventory, "A"));
        assert!(poll_immediate(&mut first).await.is_none());
        eventually(async || stock.asked() == before + 1).await;
        let mut second = pin!(check(&inventory, "A"));
        assert!(poll_immediate(&mut second).await.is_none());
        eventually(async || stock.asked() == before + 2).await;

        poll_immediate(&mut first).await.is_none()
    })
    .await;
}

/// Otherwise breaker and outlier ejection would not see how it ended. Its answer is cached before that of the second call
/// comes. Repeated, because on a busy machine the call can reach its deadline first.
#[tokio::test]
async fn a_call_is_made_to_its_end_although_its_order_has_left() {
    let stock = Stock::that_says(Says::Later).await;

    eventually(async || {
        stock.say(Says::Later);
        let inventory = check_of(&stock, SHORT_TIMEOUT, NEVER_OLD);
        let before = stock.asked();
        // Longer than the call holds up the next one.
        let left = timeout(SHORT_TIMEOUT * 5 / 8, check(&inventory, "A")).await;
        assert!(left.is_err());

        stock.say(Says::Available);
        check(&inventory, "B").await.ok();

        check(&inventory, "A").await == CONFIRMED && stock.asked() == before + 2
    })
    .await;
}

/// A release of processing-service that refuses what one order asks for.
#[tokio::test]
async fn a_refused_shared_request_is_repeated_by_each_order_alone() {
    let stock = Stock::that_says(Says::OnlyOneItem).await;
    let inventory = check_of(&stock, TIMEOUT, Duration::ZERO);
    let refused = lines(&[("B", 1), ("C", 1)]);

    let (one, other, refused) = tokio::join!(
        check(&inventory, "A"),
        check(&inventory, "B"),
        inventory.check(&refused, Deadline::NEVER),
    );

    assert_eq!([one, other, refused], [CONFIRMED, CONFIRMED, UNVERIFIED]);
    assert_eq!(stock.asked(), 4);
}

/// More SKUs than a request may have are asked for at the same time.
#[tokio::test]
async fn orders_with_more_skus_than_a_request_may_have_are_answered_together() {
    let stock = Stock::that_says(Says::Available).await;
    let inventory = check_of(&stock, TIMEOUT, NEVER_OLD);
    let names: Vec<_> = (0..800).map(|sku| format!("SKU-{sku}")).collect();
    let order = |skus: &[String]| {
        let skus: Vec<_> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
        lines(&skus)
    };
    let orders = [order(&names[..400]), order(&names[400..])];

    let checks = orders
        .iter()
        .map(|lines| inventory.check(lines, Deadline::NEVER));
    let checked = timeout(WAIT_LIMIT, join_all(checks)).await;

    assert_eq!(checked.unwrap(), [CONFIRMED, CONFIRMED]);
    assert_eq!(stock.asked(), 2);
}

//! The life of an order, from the client's call to its outcome. Start reading here: every line below is a guarantee of
//! the repository, and this page is run as a test.

use anyhow::Result;
use proto::orders::v1::OrderStatus;
use tests::system::{Draft, Stock, System};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_confirmed_at_once_and_fulfilled_later() -> Result<()> {
    // A broker, order-service and processing-service, each a process of its own.
    let system = System::start().await?;

    // The synchronous half: the answer comes at once and is durable. Nothing has been processed yet.
    let confirmed = system.place_order(&Draft::of("MUG", 2)).await?;
    assert_eq!(confirmed.status(), OrderStatus::Accepted);
    assert_eq!(confirmed.version, 1);

    // The asynchronous half: over Kafka to processing and back, visible to watchers.
    let history = system.watch_until_final(&confirmed.order_id).await?;
    let events: Vec<&str> = history.iter().map(|entry| &*entry.event_type).collect();
    assert_eq!(
        events,
        [
            "OrderPlaced",
            "StockReserved",
            "PaymentCaptured",
            "OrderFulfilled"
        ]
    );

    // A read returns the state after the last event.
    let order = system.order(&confirmed.order_id).await?;
    assert_eq!(order.status(), OrderStatus::Fulfilled);
    assert_eq!(order.version, 4);

    // Two mugs are shipped, and no stock is reserved any more.
    let mugs = Stock {
        available: 998,
        reserved: 0,
        shipped: 2,
    };
    assert_eq!(system.stock("MUG").await?, mugs);

    // The audit finds every order final and every piece accounted for; then everything stops cleanly.
    system.finish().await
}

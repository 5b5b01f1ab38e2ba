//! Pitfall: waiting right after an asynchronous send.
//!
//! A service publishes an order and waits inside of the call for the outcome. It has the costs of both ways and the benefit of
//! none: while the consumer is down, every call fails at its timeout, although the order was accepted by the broker and will be
//! processed. The customer sees an error, orders again, and gets everything twice.
//!
//! The right way is to answer with what is known, ACCEPTED and an id, and to deliver the outcome later, under that id. In this
//! system: `PlaceOrder` returns after the commit, `WatchOrder` streams what follows; a retry has the same request id.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use mock_kafka::{Broker, TOPIC};
use tokio::sync::broadcast;
use tokio::time::timeout;

/// What the customer sees.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Fulfilled,
    Failed,
    Accepted,
}

struct Shop {
    broker: Broker,
    /// Ids of fulfilled orders, from the consumer.
    outcomes: broadcast::Sender<String>,
}

impl Shop {
    fn start() -> Self {
        Self {
            broker: Broker::start(),
            outcomes: broadcast::channel(16).0,
        }
    }

    /// WRONG: a send, and then a wait as if it were a call. Each attempt is an order of its own.
    async fn place_and_wait(&self, order_id: &str) -> Reply {
        let mut outcomes = self.outcomes.subscribe();
        self.broker.publish(order_id, "OrderPlaced").await;
        let outcome = async { while outcomes.recv().await.is_ok_and(|id| id != order_id) {} };
        match timeout(Duration::from_millis(100), outcome).await {
            Ok(()) => Reply::Fulfilled,
            Err(_) => Reply::Failed,
        }
    }

    /// RIGHT: the broker has the order, and that is what the reply says.
    async fn place(&self, order_id: &str) -> Reply {
        self.broker.publish(order_id, "OrderPlaced").await;
        Reply::Accepted
    }

    /// The consumer is back: it fulfils whatever is in the topic.
    fn process(&self) -> Vec<String> {
        let orders = self.broker.read(TOPIC).into_iter();
        let mut fulfilled: Vec<_> = orders.map(|record| record.key).collect();
        fulfilled.sort();
        for order_id in &fulfilled {
            // An error means that there is no watcher.
            let _ = self.outcomes.send(order_id.clone());
        }
        fulfilled
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_waits_for_the_outcome_is_told_a_failure_and_gets_both_attempts() {
    let shop = Shop::start();

    // The consumer is down. The customer is told that the order failed, and tries again.
    let first = shop.place_and_wait("attempt-1").await;
    let second = shop.place_and_wait("attempt-2").await;

    assert_eq!((first, second), (Reply::Failed, Reply::Failed));
    assert_eq!(shop.process(), ["attempt-1", "attempt-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_is_told_accepted_gets_the_order_once_and_its_outcome_later() {
    let shop = Shop::start();

    // The consumer is down, and the reply does not depend on it.
    let reply = shop.place("order-1").await;
    let mut watched = shop.outcomes.subscribe();
    let fulfilled = shop.process();

    assert_eq!(reply, Reply::Accepted);
    assert_eq!(fulfilled, ["order-1"]);
    assert_eq!(watched.recv().await.unwrap(), "order-1");
}

//! Events that are set aside, and events that are parked behind them and let go again.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use auditor::database::Database as Whereabouts;
use chassis::config::Settings;
use chassis::database::{Database, DatabaseConfig};
use chassis::parking::operations::{Filter, Operations, State};
use proto::orders::v1::Order;
use proto::topics;
use tests::system::{Draft, Service, System, TopicRecord, eventually};
use uuid::Uuid;

/// Takes a second or two, and is then rejected: time enough to put something between its events.
const LATE: &str = "tok_slow";

/// As the stack creates its topics. A replica has some of them.
const PARTITIONS: i32 = 6;

/// Rows of one listing; there are few.
const ALL: u32 = 1_000;

/// Publishes records that a service cannot understand, so many to each partition, each under a key of its own.
pub(super) async fn poison(system: &System, service: Service, count: u64) -> Result<()> {
    let topic = system.topic(consumed_by(service));
    let mut records = Vec::new();
    for _ in 0..count {
        records.extend((0..PARTITIONS).map(|partition| TopicRecord {
            partition,
            ..nonsense(&Uuid::new_v4().to_string())
        }));
    }
    topic.publish_together(&records).await
}

/// Puts a record that a service cannot understand between the events of some orders, so that what follows is parked
/// behind it; then does what an operator does: skips that record.
pub(super) async fn park_and_release(
    system: &System,
    service: Service,
    count: u64,
) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    for _ in 0..count {
        let draft = Draft::of("LAMP", 1).paid_with(LATE);
        orders.push(system.place_order_patiently(&draft).await?);
    }
    let topic = system.topic(consumed_by(service));
    let records: Vec<_> = orders
        .iter()
        .map(|order| nonsense(&order.order_id))
        .collect();
    topic.publish_together(&records).await?;
    if service == Service::Processing {
        for order in &orders {
            super::load::cancel(system, &order.order_id).await?;
        }
    }

    let parked = operations(system, service).await?;
    let mut dead = Vec::new();
    for order in &orders {
        dead.push(fence(parked.as_ref(), &order.order_id).await?);
    }
    for id in dead {
        parked.skip(id, "system test", "not an event").await?;
    }
    Ok(orders)
}

/// Waits until an event of this order waits behind a dead one, and returns the dead one.
async fn fence(parked: &dyn Operations, order_id: &str) -> Result<i64> {
    let dead_heads = Filter {
        state: Some(State::Dead),
        key: Some(order_id.as_bytes().to_vec()),
        ..Filter::default()
    };
    eventually("an event is parked behind another", async || {
        let listing = parked.list(&dead_heads, ALL).await?;
        let mut fencing = listing.events.iter().filter(|event| event.behind > 0);
        Ok(fencing.next().map(|event| event.id))
    })
    .await
}

fn nonsense(key: &str) -> TopicRecord {
    TopicRecord {
        partition: -1,
        offset: 0,
        key: Some(key.as_bytes().to_vec()),
        headers: vec![("ce_type".to_owned(), b"com.example.nonsense".to_vec())],
        payload: Some(vec![0xff; 32]),
    }
}

fn consumed_by(service: Service) -> &'static str {
    match service {
        Service::Processing => topics::ORDER_EVENTS,
        _ => topics::PROCESSING_EVENTS,
    }
}

/// What an operator of the service works with.
async fn operations(system: &System, service: Service) -> Result<Arc<dyn Operations>> {
    let url = match system.stack().database(service) {
        Whereabouts::Sqlite(path) => format!("sqlite://{}", path.display()),
        Whereabouts::Postgres(url) => url,
    };
    let source = BTreeMap::from([("DATABASE_URL".to_owned(), url)]);
    let config = DatabaseConfig::read(&mut Settings::new(&source), "");
    let database = Database::open(&config, migrations(service)).await?;
    Ok(database.parked_events())
}

fn migrations(service: Service) -> chassis::database::Migrations {
    match service {
        Service::Processing => processing_service::store::MIGRATIONS,
        _ => order_service::store::MIGRATIONS,
    }
}

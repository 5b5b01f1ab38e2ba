//! Whether a database with millions of old orders is as fast as an empty one: rates of placing, applying and pruning, on
//! SQLite and on PostgreSQL.
//!
//! For each engine there are two databases with the schema of order-service: one with old orders, their history and their
//! inbox rows, filled by SQL, and one without. Both get the same work through the order store, round by round in turn, so
//! that a change of the machine's speed affects both. The last line of each rate is the ratio of the medians.
//!
//! `cargo bench -p tests --bench old_orders -- --orders 10000000` (60 GB of disk and hours for ten million)

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark stops at the first surprise"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use consumer::ConsumerRetention;
use order_service::domain::{
    Availability, Currency, CustomerId, Money, NewOrder, Order, OrderEvent, OrderId, OrderLine,
    OrderLines, PaymentToken, Quantity, RequestId, Sku, Timestamp, UnitPrice,
};
use order_service::retention::RetentionConfig;
use order_service::store::{self, ApplyOutcome, MIGRATIONS, OrderStore, PlaceOrder};
use outbox::{HandOver, OutboxRecord};
use postgres_server::Server;
use service::config::FromSetting;
use sql::database::{Database, DatabaseConfig, migrate};
use sql::owner::Owner;
use sql::retention::{PruneConfig, Pruner};
use sql::url::DatabaseUrl;
use sqlx::AssertSqlSafe;
use tests::closed_loop::median;
use uuid::Uuid;

const DAY: Duration = Duration::from_secs(86_400);

/// Old orders are between these ages: younger than the retention, which is in the middle of the year.
const OLDEST: Duration = DAY.saturating_mul(100);
const YOUNGEST: Duration = DAY.saturating_mul(10);
const RETENTION: Duration = DAY.saturating_mul(180);

/// Orders to prune, per round.
const EXPIRED: i64 = 2_000;

/// Orders per commit, as the group commit makes them.
const BATCH: usize = 200;

/// Rows per statement of the filling.
const CHUNK: i64 = 100_000;

#[derive(Debug, Parser)]
struct OldOrdersArguments {
    /// Old orders in the full database.
    #[arg(long, default_value = "10000000")]
    orders: i64,
    /// Measurements of each database.
    #[arg(long, default_value = "7")]
    rounds: usize,
    /// Batches of 200 orders per measurement.
    #[arg(long, default_value = "20")]
    batches: usize,
    /// Random request ids (UUIDv4), for the old orders and the new ones, instead of UUIDv7.
    #[arg(long)]
    random_request_ids: bool,
    /// SQL for both databases before the filling, to see what an index or a setting costs.
    #[arg(long)]
    sql: Option<String>,
    /// Only `sqlite` or only `postgres`.
    #[arg(long)]
    engine: Option<String>,
    /// Passed by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One database under measurement.
struct Contender {
    name: String,
    database: Database,
    store: Arc<dyn OrderStore>,
    pruner: Pruner,
    random_request_ids: bool,
    place: Vec<f64>,
    apply: Vec<f64>,
    prune: Vec<f64>,
}

impl Contender {
    async fn open(name: String, url: &str, random_request_ids: bool) -> Self {
        let config = DatabaseConfig {
            url: DatabaseUrl::from_setting(url).unwrap(),
            connections: 4,
            migrate_at_start: true,
            owner: Owner::new("order-service", ""),
        };
        migrate(&config, MIGRATIONS).await.unwrap();
        let database = Database::open(&config, MIGRATIONS).await.unwrap();
        let retention = RetentionConfig {
            prune: PruneConfig {
                interval: DAY,
                batch: 500,
            },
            consumer: ConsumerRetention {
                inbox: RETENTION,
                audit: RETENTION,
            },
            orders: RETENTION,
        };
        Self {
            name,
            store: store::open(&database, HandOver::default()),
            pruner: Pruner::new(&database, retention.rules(), retention.prune),
            database,
            random_request_ids,
            place: Vec::new(),
            apply: Vec::new(),
            prune: Vec::new(),
        }
    }

    async fn execute(&self, statement: String) {
        let statement = AssertSqlSafe(statement);
        match &self.database {
            Database::Sqlite(file) => {
                let mut transaction = file.begin().await.unwrap();
                let done = sqlx::raw_sql(statement).execute(&mut *transaction).await;
                done.unwrap();
                transaction.commit().await.unwrap();
            }
            Database::Postgres(server) => {
                let mut connection = server.pool().acquire().await.unwrap();
                let limit = sqlx::raw_sql("SET statement_timeout = 0").execute(&mut *connection);
                limit.await.unwrap();
                let done = sqlx::raw_sql(statement).execute(&mut *connection).await;
                done.unwrap();
            }
        }
    }

    /// Adds fulfilled orders, spread evenly between two ages.
    async fn fill(&self, orders: i64, oldest: Duration, youngest: Duration) {
        let (first, last) = (millis(oldest), millis(youngest));
        let mut done = 0;
        while done < orders {
            let count = CHUNK.min(orders - done);
            let from = first + (last - first) * done / orders;
            let step = (last - first) / orders;
            let statements = match &self.database {
                Database::Sqlite(_) => sqlite_rows(from, step, count, self.random_request_ids),
                Database::Postgres(_) => postgres_rows(from, step, count, self.random_request_ids),
            };
            for statement in statements {
                self.execute(statement).await;
            }
            done += count;
        }
    }

    async fn round(&mut self, batches: usize) {
        let mut placing = Duration::ZERO;
        let mut applying = Duration::ZERO;
        for _ in 0..batches {
            let commands: Vec<_> = (0..BATCH)
                .map(|_| command(self.random_request_ids))
                .collect();
            let begun = Instant::now();
            self.store.place(&commands).await.unwrap();
            placing += begun.elapsed();
            for (sequence, event) in (1..).zip(OUTCOMES) {
                let outcomes = commands
                    .iter()
                    .map(|c| outcome(c.order.id, sequence, event));
                let outcomes: Vec<_> = outcomes.collect();
                let begun = Instant::now();
                self.store.apply(&outcomes).await.unwrap();
                applying += begun.elapsed();
            }
        }
        // Published, as by the relay.
        self.execute("DELETE FROM outbox".to_owned()).await;
        self.fill(EXPIRED, RETENTION + DAY * 2, RETENTION + DAY)
            .await;
        let begun = Instant::now();
        let pruned = self.pruner.prune(SystemTime::now()).await.unwrap();
        let pruning = begun.elapsed();
        let rows: u64 = pruned.iter().map(|(_, rows)| rows).sum();
        let orders = batches * BATCH;
        self.place.push(rate(orders, placing));
        self.apply.push(rate(orders * OUTCOMES.len(), applying));
        self.prune
            .push(rate(usize::try_from(rows).unwrap(), pruning));
    }
}

const OUTCOMES: [OrderEvent; 3] = [
    OrderEvent::StockReserved,
    OrderEvent::PaymentCaptured,
    OrderEvent::OrderFulfilled,
];

#[expect(clippy::cast_precision_loss, reason = "displayed only")]
fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// Unix milliseconds of this age.
fn millis(age: Duration) -> i64 {
    let at = Timestamp::from(SystemTime::now() - age);
    at.unix_millis()
}

/// A row per order, four per history, three per inbox; ids are UUIDv7 of their time.
fn sqlite_rows(from: i64, step: i64, count: i64, random_request_ids: bool) -> [String; 3] {
    let id =
        |at: &str| format!("unhex(printf('%012x', {at}) || '7' || substr(hex(randomblob(10)), 2))");
    let numbers = format!(
        "WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < {count} - 1)"
    );
    let at = format!("({from} + n * {step})");
    let request_id = if random_request_ids {
        "randomblob(16)".to_owned()
    } else {
        id(&at)
    };
    let to = from + count * step.max(1);
    let (low, high) = (
        format!("unhex('{from:012x}')"),
        format!("unhex('{to:012x}FF')"),
    );
    [
        format!(
            "INSERT INTO orders (order_id, customer_id, request_id, fingerprint, status, version, processing_sequence, \
             body, availability, created_at, updated_at) {numbers} SELECT {}, 'customer-' || abs(random() % 100000), \
             {request_id}, randomblob(32), 'FULFILLED', 4, 3, randomblob(60), 'CONFIRMED', {at}, {at} FROM number",
            id(&at)
        ),
        format!(
            "INSERT INTO order_events (order_id, version, event_id, event_type, status, occurred_at) \
             SELECT order_id, v.column1, randomblob(16), 'OrderFulfilled', 'FULFILLED', created_at \
             FROM orders CROSS JOIN (VALUES (1), (2), (3), (4)) AS v \
             WHERE order_id >= {low} AND order_id < {high} AND TRUE ON CONFLICT DO NOTHING"
        ),
        format!(
            "INSERT INTO inbox (event_id, entity_id, sequence, received_at) {numbers} \
             SELECT {}, randomblob(16), v.column1, {at} FROM number CROSS JOIN (VALUES (1), (2), (3)) AS v",
            id(&at)
        ),
    ]
}

fn postgres_rows(from: i64, step: i64, count: i64, random_request_ids: bool) -> [String; 3] {
    let random = "replace(gen_random_uuid()::text, '-', '')";
    let id =
        |at: &str| format!("(lpad(to_hex({at}), 12, '0') || '7' || substr({random}, 14))::uuid");
    let numbers = format!("generate_series(0, {count} - 1) AS number (n)");
    let at = format!("({from} + n * {step}::bigint)");
    let request_id = if random_request_ids {
        "gen_random_uuid()".to_owned()
    } else {
        id(&at)
    };
    let to = from + count * step.max(1);
    let low = format!("('{from:012x}' || repeat('0', 20))::uuid");
    let high = format!("('{to:012x}' || repeat('f', 20))::uuid");
    [
        format!(
            "INSERT INTO orders (order_id, customer_id, request_id, fingerprint, status, version, processing_sequence, \
             body, availability, created_at, updated_at) SELECT {}, 'customer-' || (random() * 100000)::int, \
             {request_id}, decode({random} || {random}, 'hex'), 'FULFILLED', 4, 3, \
             decode({random} || {random}, 'hex'), 'CONFIRMED', {at}, {at} FROM {numbers}",
            id(&at)
        ),
        format!(
            "INSERT INTO order_events (order_id, version, event_id, event_type, status, occurred_at) \
             SELECT order_id, v, gen_random_uuid(), 'OrderFulfilled', 'FULFILLED', created_at \
             FROM orders CROSS JOIN generate_series(1, 4) AS v \
             WHERE order_id >= {low} AND order_id < {high} ON CONFLICT DO NOTHING"
        ),
        format!(
            "INSERT INTO inbox (event_id, entity_id, sequence, received_at) \
             SELECT {}, gen_random_uuid(), v, {at} FROM {numbers} CROSS JOIN generate_series(1, 3) AS v",
            id(&at)
        ),
    ]
}

fn command(random_request_ids: bool) -> PlaceOrder {
    let unit_price = Money {
        currency: Currency::Gbp,
        minor_units: 255,
    };
    let line = OrderLine {
        sku: Sku::parse("85123A").unwrap(),
        quantity: Quantity::parse(1).unwrap(),
        unit_price: UnitPrice::parse(unit_price).unwrap(),
    };
    let id = Uuid::now_v7();
    let request_id = if random_request_ids {
        Uuid::new_v4()
    } else {
        Uuid::now_v7()
    };
    let request = NewOrder {
        request_id: RequestId::new(request_id),
        customer_id: CustomerId::parse(format!("customer-{}", id.as_u128() % 100_000)).unwrap(),
        lines: OrderLines::new(vec![line]).unwrap(),
        payment_token: PaymentToken::parse("tok_approved").unwrap(),
    };
    let order_id = OrderId::new(id);
    let now = Timestamp::from(SystemTime::now());
    PlaceOrder {
        order: Order::placed(order_id, &request, Availability::Confirmed, now),
        request_id: request.request_id,
        fingerprint: request.fingerprint(),
        payment_token: request.payment_token.clone(),
        event_id: Uuid::now_v7(),
        event: Arc::new(OutboxRecord {
            topic: "orders.order.events.v1".into(),
            key: order_id.to_string(),
            headers: vec![(b"ce_type".to_vec(), Some(b"OrderPlaced".to_vec()))],
            payload: vec![0; 120],
        }),
    }
}

fn outcome(order_id: OrderId, sequence: u64, event: OrderEvent) -> ApplyOutcome {
    ApplyOutcome {
        order_id,
        event_id: Uuid::now_v7(),
        sequence,
        event: Some(event),
        occurred_at: SystemTime::now().into(),
    }
}

async fn compare(engine: &str, urls: [String; 2], arguments: &OldOrdersArguments) {
    let [empty, full] = &urls;
    let random = arguments.random_request_ids;
    let mut empty = Contender::open(format!("{engine}, empty"), empty, random).await;
    let name = format!("{engine}, {} old orders", arguments.orders);
    let mut full = Contender::open(name, full, random).await;
    if let Some(sql) = &arguments.sql {
        empty.execute(sql.clone()).await;
        full.execute(sql.clone()).await;
    }
    let begun = Instant::now();
    full.fill(arguments.orders, OLDEST, YOUNGEST).await;
    println!("{}: filled in {:.0?}", full.name, begun.elapsed());
    if let Database::Postgres(_) = &full.database {
        full.execute("VACUUM ANALYZE".to_owned()).await;
    }
    for _ in 0..arguments.rounds {
        empty.round(arguments.batches).await;
        full.round(arguments.batches).await;
    }
    println!(
        "{:<40} {:>12} {:>12} {:>12}",
        "", "placed/s", "applied/s", "pruned/s"
    );
    let medians = [&empty, &full].map(|contender| {
        let rates = [&contender.place, &contender.apply, &contender.prune];
        let rates = rates.map(|rates| median(rates.clone()));
        println!(
            "{:<40} {:>12.0} {:>12.0} {:>12.0}",
            contender.name, rates[0], rates[1], rates[2]
        );
        rates
    });
    let [of_empty, of_full] = medians;
    let ratio = |at: usize| of_full[at] / of_empty[at];
    println!(
        "{:<40} {:>12.2} {:>12.2} {:>12.2}\n",
        "ratio",
        ratio(0),
        ratio(1),
        ratio(2)
    );
    empty.database.close().await;
    full.database.close().await;
}

fn sqlite_url(directory: &Path, name: &str) -> String {
    format!("sqlite://{}", directory.join(name).display())
}

#[tokio::main]
async fn main() {
    let arguments = OldOrdersArguments::parse();
    let is_chosen = |engine: &str| {
        arguments
            .engine
            .as_deref()
            .is_none_or(|only| only == engine)
    };
    if is_chosen("sqlite") {
        let directory = tempfile::tempdir().unwrap();
        let urls = ["empty.db", "full.db"].map(|name| sqlite_url(directory.path(), name));
        compare("SQLite", urls, &arguments).await;
    }
    if is_chosen("postgres") {
        let server = Server::start_durable().unwrap();
        let urls = ["empty", "full"].map(|name| {
            server.create_database(name).unwrap();
            server.url(name)
        });
        compare("PostgreSQL", urls, &arguments).await;
    }
}

//! A PostgreSQL database with an outbox, and relays that share it.

use std::sync::Arc;

use outbox::lease::Leases;
use outbox::lease::postgres::PostgresLeases;
use outbox::postgres::insert;
use outbox::relay::Relay;
use outbox::{HandOver, InsertedRows, Outbox, OutboxRecord};
use service::config::FromSetting;
use sql::database::Database;
use sql::postgres::Postgres;
use sql::url::DatabaseUrl;
use sqlx::{PgConnection, PgPool};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::{Broker, Running, eventually};

static TEMPLATE: OnceCell<()> = OnceCell::const_new();
const TEMPLATE_NAME: &str = "outbox_template";

async fn make_template() {
    let server = postgres_server::shared();
    server.create_database(TEMPLATE_NAME).unwrap();
    let database = open(&server.url(TEMPLATE_NAME));
    database.migrate(crate::MIGRATIONS).await.unwrap();
    database.close().await;
}

fn open(url: &str) -> Postgres {
    open_with(url, 5)
}

fn open_with(url: &str, connections: u32) -> Postgres {
    Postgres::new(&DatabaseUrl::from_setting(url).unwrap(), connections).unwrap()
}

/// A test database shared by several simulated processes.
pub struct SharedDatabase {
    url: String,
    postgres: Arc<Postgres>,
}

impl SharedDatabase {
    pub async fn create() -> Self {
        TEMPLATE.get_or_init(make_template).await;
        let url = postgres_server::shared().copy_of(TEMPLATE_NAME).unwrap();
        let postgres = Arc::new(open(&url));
        Self { url, postgres }
    }

    /// The same database, used by one session of its own.
    pub fn in_one_session(&self) -> Self {
        Self {
            url: self.url.clone(),
            postgres: Arc::new(open_with(&self.url, 1)),
        }
    }

    pub fn pool(&self) -> &PgPool {
        self.postgres.pool()
    }

    pub fn outbox(&self) -> Arc<dyn Outbox> {
        outbox::database::outbox(&Database::Postgres(Arc::clone(&self.postgres)))
    }

    pub fn leases(&self) -> PostgresLeases {
        PostgresLeases::new(Arc::clone(&self.postgres))
    }

    /// Writes and hands nothing over, as a process does that dies after its commit.
    pub async fn write(&self, records: &[OutboxRecord]) -> InsertedRows {
        let mut connection = self.pool().acquire().await.unwrap();
        write(&mut connection, records).await
    }

    /// A relay with its own connections, as in another process: no rows are handed over to it.
    pub fn start_relay(&self, broker: &Broker) -> Running {
        self.start_relay_with(broker, HandOver::default())
    }

    /// A relay in the process of the writers that use this hand-over.
    pub fn start_relay_with(&self, broker: &Broker, hand_over: HandOver) -> Running {
        let database = Database::Postgres(Arc::new(open(&self.url)));
        self.start_relay_on(broker, outbox::database::outbox(&database), hand_over)
    }

    pub fn start_relay_on(
        &self,
        broker: &Broker,
        outbox: Arc<dyn Outbox>,
        hand_over: HandOver,
    ) -> Running {
        self.run(broker, outbox, Arc::new(self.leases()), hand_over)
    }

    /// A relay with these leases.
    pub fn start_relay_holding(&self, broker: &Broker, leases: Arc<dyn Leases>) -> Running {
        let database = Database::Postgres(Arc::new(open(&self.url)));
        let outbox = outbox::database::outbox(&database);
        self.run(broker, outbox, leases, HandOver::default())
    }

    fn run(
        &self,
        broker: &Broker,
        outbox: Arc<dyn Outbox>,
        leases: Arc<dyn Leases>,
        hand_over: HandOver,
    ) -> Running {
        let relay = Relay::new(&broker.config(), outbox, leases, hand_over);
        let stop = CancellationToken::new();
        Running::new(stop.clone(), tokio::spawn(relay.run(stop)))
    }

    pub async fn until_published(&self) {
        let outbox = self.outbox();
        eventually("the outbox is empty", async || {
            outbox.backlog(u64::MAX).await.unwrap().rows == 0
        })
        .await;
    }

    /// Number of shards held by each relay, in ascending order; free shards are not counted.
    pub async fn shards_per_relay(&self) -> Vec<i64> {
        sqlx::query_scalar(
            "SELECT count(*) FROM outbox_lease WHERE expires_at > now() GROUP BY owner ORDER BY 1",
        )
        .fetch_all(self.pool())
        .await
        .unwrap()
    }

    pub async fn until_shards_are_divided(&self, shares: &[i64]) {
        eventually("the shards are divided", async || {
            self.shards_per_relay().await == shares
        })
        .await;
    }
}

pub async fn write(connection: &mut PgConnection, records: &[OutboxRecord]) -> InsertedRows {
    let records: Vec<_> = records.iter().cloned().map(Arc::new).collect();
    insert(connection, &records).await.unwrap()
}

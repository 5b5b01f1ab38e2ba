//! The databases that the contract is checked on, each fresh and empty.

use std::sync::Arc;

use order_service::domain::{HistoryEntry, OrderId};
use order_service::store::{self, MIGRATIONS, OpenOrders, OrderStore};
use outbox::{HandOver, OutboxRow, Shard};
use postgres_server::Server;
use service::config::FromSetting;
use sql::database::{Database as Engine, DatabaseConfig};
use sql::owner::Owner;
use sql::url::DatabaseUrl;
use sqlx::{Connection, PgConnection, PgPool};
use tempfile::TempDir;
use tokio::sync::OnceCell;

const TEMPLATE_NAME: &str = "order_store";

/// A database that holds nothing yet.
pub(crate) struct Database {
    pub(crate) store: Arc<dyn OrderStore>,
    pub(crate) url: DatabaseUrl,
    pub(crate) engine: Engine,
    directory: Option<Arc<TempDir>>,
}

/// Runs the rule on a fresh database of each kind.
pub(crate) async fn on_every_database(rule: impl AsyncFn(Database)) {
    rule(Database::sqlite().await).await;
    rule(Database::postgres().await).await;
}

impl Database {
    pub(crate) async fn sqlite() -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let url = sqlite_url(&directory);
        Self::open(url, Some(directory)).await
    }

    pub(crate) async fn postgres() -> Self {
        static TEMPLATE: OnceCell<()> = OnceCell::const_new();
        let server = postgres_server::shared();
        TEMPLATE.get_or_init(|| create_on(server)).await;
        let url = server.copy_of(TEMPLATE_NAME).unwrap();
        Self::open(DatabaseUrl::from_setting(&url).unwrap(), None).await
    }

    /// On a server that other tests do not use: what a long transaction of another database would change, too.
    pub(crate) async fn on(server: &Server) -> Self {
        create_on(server).await;
        let url = server.url(TEMPLATE_NAME);
        Self::open(DatabaseUrl::from_setting(&url).unwrap(), None).await
    }

    async fn open(url: DatabaseUrl, directory: Option<Arc<TempDir>>) -> Self {
        let engine = Engine::open(&config(&url), MIGRATIONS).await.unwrap();
        Self {
            store: store::open(&engine, HandOver::default()),
            url,
            engine,
            directory,
        }
    }

    /// Another process on the same database: a store with connections of its own.
    pub(crate) async fn replica(&self) -> Self {
        Self::open(self.url.clone(), self.directory.clone()).await
    }

    /// Closes the database and opens it again, as a restart does.
    pub(crate) async fn reopen(self) -> Self {
        self.close().await;
        self.replica().await
    }

    pub(crate) async fn close(&self) {
        self.engine.close().await;
    }

    pub(crate) fn open_orders(&self) -> Arc<dyn OpenOrders> {
        store::open_orders(&self.engine)
    }

    /// Up to `limit` entries of an order above a version; none if there is no such order.
    pub(crate) async fn history(
        &self,
        order_id: OrderId,
        after: u64,
        limit: usize,
    ) -> Vec<HistoryEntry> {
        let histories = self.store.histories(&[(order_id, after)], limit).await;
        let history = histories.unwrap().remove(0);
        let mut entries = history.map_or(Vec::new(), |history| history.entries);
        entries.retain(|entry| entry.version > after);
        entries
    }

    /// The events that wait for the broker, in the order of their positions.
    pub(crate) async fn outbox(&self) -> Vec<OutboxRow> {
        let shards: Vec<Shard> = Shard::all().collect();
        let outbox = outbox::database::outbox(&self.engine);
        let positions = outbox.positions(&shards, 0, 10_000).await.unwrap();
        outbox.read(&positions).await.unwrap()
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }

    /// Bytes of the file, free pages included.
    ///
    /// # Panics
    /// On PostgreSQL.
    pub(crate) async fn size(&self) -> i64 {
        let size = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
        self.number(size).await
    }

    async fn number(&self, query: &str) -> i64 {
        let query = sqlx::AssertSqlSafe(query.to_owned());
        match &self.engine {
            Engine::Sqlite(file) => sqlx::query_scalar(query).fetch_one(file.reader()).await,
            Engine::Postgres(server) => sqlx::query_scalar(query).fetch_one(server.pool()).await,
        }
        .unwrap()
    }

    /// Deletes the rows of the outbox, as the relay does after the broker's acknowledgement.
    pub(crate) async fn publish_all(&self) {
        let rows = self.outbox().await;
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        let outbox = outbox::database::outbox(&self.engine);
        outbox.delete(&seqs).await.unwrap();
    }

    /// Tries to change the history; returns the result of the database.
    pub(crate) async fn tamper_with_history(&self, order_id: OrderId) -> bool {
        let mut let_happen = false;
        for statement in [
            "UPDATE order_events SET status = 'LOST' WHERE order_id = $1",
            "DELETE FROM order_events WHERE order_id = $1",
        ] {
            let_happen |= self.execute(statement, order_id).await.is_ok();
        }
        let_happen
    }

    /// Runs a statement about an order past the store.
    async fn execute(&self, statement: &'static str, order_id: OrderId) -> sqlx::Result<()> {
        match &self.engine {
            Engine::Sqlite(file) => {
                let mut transaction = file.begin().await?;
                let statement = sqlx::query(statement).bind(order_id.as_uuid());
                statement.execute(&mut *transaction).await?;
                transaction.commit().await
            }
            Engine::Postgres(server) => {
                let statement = sqlx::query(statement).bind(order_id.as_uuid());
                statement.execute(server.pool()).await.map(drop)
            }
        }
    }

    /// Requests a cancellation with the statements of the release without `cause_id`.
    pub(crate) async fn cancel_by_the_older_release(&self, order_id: OrderId) {
        for statement in OLDER_CANCELLATION {
            self.execute(statement, order_id).await.unwrap();
        }
    }

    /// The one order that is there once more, under an id of its own, in the statements of the release that did not know
    /// `availability`.
    pub(crate) async fn place_by_the_older_release(&self, order_id: OrderId) {
        for statement in OLDER_PLACEMENT {
            self.execute(statement, order_id).await.unwrap();
        }
    }
}

/// The event's id does not matter to it: the order's does as well.
const OLDER_CANCELLATION: [&str; 2] = [
    "UPDATE orders SET status = 'CANCEL_REQUESTED', version = 2, updated_at = 3000 WHERE order_id = $1",
    "INSERT INTO order_events \
        (order_id, version, event_id, event_type, status, rejection_reason, occurred_at) \
     VALUES ($1, 2, $1, 'CancellationRequested', 'CANCEL_REQUESTED', NULL, 3000)",
];

/// The order's id serves as the request's and the event's as well.
const OLDER_PLACEMENT: [&str; 2] = [
    "INSERT INTO orders \
        (order_id, customer_id, request_id, fingerprint, status, version, processing_sequence, body, \
         created_at, updated_at) \
     SELECT $1, customer_id, $1, fingerprint, status, version, processing_sequence, body, \
            created_at, updated_at FROM orders",
    "INSERT INTO order_events (order_id, version, event_id, event_type, status, occurred_at) \
     VALUES ($1, 1, $1, 'OrderPlaced', 'ACCEPTED', 1000)",
];

/// Another session on a PostgreSQL database, next to the store's pool.
pub(crate) struct OtherSession(pub(crate) PgPool);

impl OtherSession {
    pub(crate) async fn of(database: &Database) -> Self {
        Self(PgPool::connect(database.url.expose()).await.unwrap())
    }

    /// Cuts the connections that wait for a lock, once there is one; the number of those that were cut.
    pub(crate) async fn cut_lock_waiters(&self) -> i64 {
        loop {
            let cut: i64 = sqlx::query_scalar(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .fetch_one(&self.0)
            .await
            .unwrap();
            if cut > 0 {
                return cut;
            }
        }
    }
}

/// The deadlocks that the server had to resolve in a database.
pub(crate) async fn deadlocks(url: &DatabaseUrl) -> i64 {
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    statistic(url, deadlocks).await
}

/// The updates of orders that were not HOT, so that they wrote every index of the table.
pub(crate) async fn updates_with_indexes(url: &DatabaseUrl) -> i64 {
    let updates =
        "SELECT n_tup_upd - n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'orders'";
    statistic(url, updates).await
}

/// A number from the statistics of a database. Sessions report theirs when they end: all are awaited.
async fn statistic(url: &DatabaseUrl, query: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url.expose()).await.unwrap();
    let sessions = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid() \
              AND backend_type = 'client backend'";
    let others = async |connection: &mut PgConnection| -> i64 {
        let others = sqlx::query_scalar(sessions).fetch_one(connection);
        others.await.unwrap()
    };
    while others(&mut connection).await > 0 {}
    let number = sqlx::query_scalar(query).fetch_one(&mut connection);
    number.await.unwrap()
}

fn config(url: &DatabaseUrl) -> DatabaseConfig {
    DatabaseConfig {
        url: url.clone(),
        connections: 4,
        migrate_at_start: false,
        owner: Owner::new("order-service", ""),
    }
}

fn sqlite_url(directory: &TempDir) -> DatabaseUrl {
    let path = directory.path().join("orders.db");
    DatabaseUrl::from_setting(&format!("sqlite://{}", path.display())).unwrap()
}

/// A database with the schema and no rows, to be copied.
async fn create_on(server: &Server) {
    server.create_database(TEMPLATE_NAME).unwrap();
    let url = DatabaseUrl::from_setting(&server.url(TEMPLATE_NAME)).unwrap();
    sql::database::migrate(&config(&url), MIGRATIONS)
        .await
        .unwrap();
}

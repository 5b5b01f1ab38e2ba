//! The databases that the contract is checked on, each fresh and empty.

use std::sync::Arc;

use chassis::config::{DatabaseUrl, FromSetting};
use chassis::outbox::sqlite::SqliteOutbox;
use chassis::outbox::{Outbox, OutboxRow};
use chassis::sqlite::Sqlite;
use order_service::domain::OrderId;
use order_service::store::OrderStore;
use order_service::store::sqlite::{MIGRATOR, SqliteStore};
use tempfile::TempDir;

/// A database that holds nothing yet.
pub(crate) struct Database {
    pub(crate) store: Arc<dyn OrderStore>,
    outbox: Box<dyn Outbox>,
    file: Arc<Sqlite>,
    directory: TempDir,
}

/// Runs the rule on a fresh database of each kind.
pub(crate) async fn on_every_database(rule: impl AsyncFn(Database)) {
    rule(Database::sqlite().await).await;
}

impl Database {
    async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::open_sqlite(directory).await
    }

    async fn open_sqlite(directory: TempDir) -> Self {
        let path = directory.path().join("orders.db");
        let url = DatabaseUrl::from_setting(&format!("sqlite://{}", path.display())).unwrap();
        let file = Arc::new(Sqlite::open(&url, &MIGRATOR).await.unwrap());
        Self {
            store: Arc::new(SqliteStore::new(Arc::clone(&file))),
            outbox: Box::new(SqliteOutbox::new(Arc::clone(&file))),
            file,
            directory,
        }
    }

    /// Closes the database and opens it again, as a restart does.
    pub(crate) async fn reopen(self) -> Self {
        self.file.close().await;
        Self::open_sqlite(self.directory).await
    }

    /// The events that wait for the broker, in commit order.
    pub(crate) async fn outbox(&self) -> Vec<OutboxRow> {
        self.outbox.read(0, 10_000).await.unwrap()
    }

    /// Tries to change what happened; the answer is whether the database let it happen.
    pub(crate) async fn tamper_with_history(&self, order_id: OrderId) -> bool {
        let mut transaction = self.file.begin().await.unwrap();
        let update = sqlx::query("UPDATE order_events SET status = 'LOST' WHERE order_id = ?")
            .bind(order_id.as_uuid())
            .execute(&mut *transaction)
            .await;
        let delete = sqlx::query("DELETE FROM order_events WHERE order_id = ?")
            .bind(order_id.as_uuid())
            .execute(&mut *transaction)
            .await;
        update.is_ok() || delete.is_ok()
    }
}

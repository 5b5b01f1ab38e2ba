//! Books to audit: one fulfilled, one rejected and one cancelled order, and a journal that knows all three.

use std::path::PathBuf;
use std::time::Duration;

use prost::Message;
use proto::orders::v1::{Money, Order, OrderLine, OrderPlaced};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};

use super::super::{Database, Databases, Verdict, run, settled};
use crate::replay::journal::{Accepted, Final, Journal, Line};

const ORDERS_DDL: &str =
    include_str!("../../../../order-service/migrations/sqlite/0001_initial.sql");
const PROCESSING_DDL: &str =
    include_str!("../../../../processing-service/migrations/sqlite/0001_initial.sql");

pub(super) struct Books {
    folder: tempfile::TempDir,
    orders: PathBuf,
    pub(super) processing: PathBuf,
    databases: Databases,
}

/// An order in the books. Its id, and that of its request, is one digit repeated.
#[derive(Clone, Copy)]
struct Entry {
    digit: &'static str,
    invoice: &'static str,
    status: &'static str,
    reason: Option<&'static str>,
    final_event: &'static str,
    payment: Option<&'static str>,
}

const ORDERS: [Entry; 3] = [
    Entry {
        digit: "1",
        invoice: "536365",
        status: "FULFILLED",
        reason: None,
        final_event: "OrderFulfilled",
        payment: Some("CAPTURED"),
    },
    Entry {
        digit: "2",
        invoice: "536366",
        status: "REJECTED",
        reason: Some("PAYMENT_DECLINED"),
        final_event: "OrderRejected",
        payment: None,
    },
    Entry {
        digit: "3",
        invoice: "536367",
        status: "CANCELLED",
        reason: None,
        final_event: "OrderCancelled",
        payment: Some("REFUNDED"),
    },
];

impl Books {
    pub(super) async fn sound() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let orders = folder.path().join("order-service.db");
        let processing = folder.path().join("processing-service.db");
        for (path, ddl) in [(&orders, ORDERS_DDL), (&processing, PROCESSING_DDL)] {
            let options = SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true);
            let mut connection = options.connect().await.unwrap();
            sqlx::raw_sql(ddl).execute(&mut connection).await.unwrap();
        }
        let databases = Databases {
            orders: Database::Sqlite(orders.clone()),
            processing: Database::Sqlite(processing.clone()),
        };
        let books = Self {
            folder,
            orders,
            processing,
            databases,
        };
        let mut connection = books.connect().await;
        for order in ORDERS {
            insert(&mut connection, order).await;
        }
        sqlx::raw_sql(
            "INSERT INTO processing.stock VALUES ('85123A', 'HOLDER', 100, 97, 0, 3);
             DROP TRIGGER order_events_are_not_changed;
             DROP TRIGGER order_events_are_not_deleted;",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        books.write_journal(&ORDERS.map(|order| (order.digit, order.digit)));
        books
    }

    /// A connection that lets anything be written: what the constraints prevent, an audit must find all the same.
    async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new()
            .filename(&self.orders)
            .foreign_keys(false);
        let mut connection = options.connect().await.unwrap();
        sqlx::query("ATTACH DATABASE ? AS processing")
            .bind(self.processing.to_str().unwrap().to_owned())
            .execute(&mut connection)
            .await
            .unwrap();
        sqlx::raw_sql("PRAGMA ignore_check_constraints = ON")
            .execute(&mut connection)
            .await
            .unwrap();
        connection
    }

    pub(super) async fn change(&self, sql: &'static str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    }

    /// The journal says that the first order was also confirmed to the second request.
    pub(super) async fn confirm_again(&self) {
        self.write_journal(&[("1", "1"), ("2", "2"), ("3", "3"), ("1", "2")]);
    }

    fn write_journal(&self, confirmed: &[(&str, &str)]) {
        let journal = Journal::create(&self.folder.path().join("journal.jsonl")).unwrap();
        for (order, request) in confirmed {
            let order = ORDERS
                .into_iter()
                .find(|known| known.digit == *order)
                .unwrap();
            let accepted = Accepted {
                order_id: order.digit.repeat(32),
                request_id: request.repeat(32),
                customer_id: "17850".into(),
                invoice: order.invoice.into(),
            };
            let shown = Final {
                order_id: order.digit.repeat(32),
                status: order.status.into(),
                rejection_reason: order.reason.map(Into::into),
            };
            journal.write(&Line::Accepted(accepted)).unwrap();
            journal.write(&Line::Final(shown)).unwrap();
        }
        journal.close().unwrap();
    }

    pub(super) async fn try_audit(&self) -> anyhow::Result<Verdict> {
        let journal = self.folder.path().join("journal.jsonl");
        run(&self.databases, Some(&journal)).await
    }

    pub(super) async fn audit(&self) -> Verdict {
        self.try_audit().await.unwrap()
    }

    pub(super) async fn audit_without_journal(&self) -> Verdict {
        run(&self.databases, None).await.unwrap()
    }

    pub(super) async fn settled(&self) -> bool {
        settled::wait(&self.databases, Duration::ZERO)
            .await
            .unwrap()
    }
}

async fn insert(connection: &mut SqliteConnection, order: Entry) {
    let (status, event) = (order.status, order.final_event);
    let id = format!("x'{}'", order.digit.repeat(32));
    let reason = order
        .reason
        .map_or("NULL".to_owned(), |reason| format!("'{reason}'"));
    let mut sql = format!(
        "INSERT INTO orders VALUES ({id}, '17850', {id}, zeroblob(32), '{status}', 2, 3, x'{}', {reason}, 0, 0);
         INSERT INTO order_events VALUES
           ({id}, 1, randomblob(16), 'OrderPlaced', 'ACCEPTED', NULL, 0),
           ({id}, 2, randomblob(16), '{event}', '{status}', {reason}, 0);
         INSERT INTO processing.sagas VALUES ({id}, '{status}', {reason}, 2, x'{}', 0);",
        hex(&body().encode_to_vec()),
        hex(&saga().encode_to_vec()),
    );
    if let Some(state) = order.payment {
        sql.push_str(&format!(
            "INSERT INTO processing.payments VALUES ({id}, 'capture', '{state}', 'GBP', 765, 0);"
        ));
    }
    if status == "FULFILLED" {
        sql.push_str(&format!(
            "INSERT INTO processing.shipments VALUES ({id}, 'shipment', 0);"
        ));
    }
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .unwrap();
}

/// Two lines of one SKU, as real invoices have them.
fn body() -> Order {
    Order {
        lines: vec![line(2), line(1)],
        total: Some(pounds(765)),
        ..Order::default()
    }
}

/// Processing adds up the pieces of a SKU.
fn saga() -> OrderPlaced {
    OrderPlaced {
        lines: vec![line(3)],
        ..OrderPlaced::default()
    }
}

fn line(quantity: i32) -> OrderLine {
    OrderLine {
        sku: "85123A".into(),
        quantity,
        unit_price: Some(pounds(255)),
    }
}

fn pounds(minor_units: i64) -> Money {
    Money {
        currency_code: "GBP".into(),
        minor_units,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! Statement telemetry: the span and the duration of each database operation.
//!
//! An operation is a statement or a transaction with its retries, as its caller waits for it; waiting for a connection
//! counts. Attributes contain no value and no id, only a constant [`Query`].
//!
//! Background operations (outbox polls, lease renewals, backlog queries) run outside of a trace: they have a duration and
//! no span.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::error::code;
use telemetry::instruments::Histogram;
use telemetry::names::{attributes, metrics, spans};
use telemetry::span::Span;
use telemetry::vocabulary::{Label, Labels};

/// The default port, which the conventions omit.
const DEFAULT_PORT: u16 = 5432;

/// The schema of a URL without `search_path`.
const DEFAULT_SCHEMA: &str = "public";

/// The constant description of a database operation.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    summary: &'static str,
    /// Operation and table, if there is one of each.
    target: Option<(&'static str, &'static str)>,
}

impl Query {
    /// One operation on one table; `summary` starts with both.
    pub const fn on(
        summary: &'static str,
        operation: &'static str,
        collection: &'static str,
    ) -> Self {
        Self {
            summary,
            target: Some((operation, collection)),
        }
    }

    /// A transaction of several operations, named after its purpose.
    pub const fn transaction(summary: &'static str) -> Self {
        Self {
            summary,
            target: None,
        }
    }
}

/// Prepares the statements of one database.
#[derive(Clone, Debug)]
pub struct Statements {
    database: Labels,
    durations: Histogram,
}

impl Statements {
    pub fn of_postgres(options: &PgConnectOptions) -> Self {
        let database = options.get_database().unwrap_or(options.get_username());
        let namespace = format!("{database}|{}", schema(options));
        let socket = options.get_socket().map(|path| path.to_string_lossy());
        let address = socket.as_deref().unwrap_or(options.get_host());
        let port = options.get_port();
        let server = [attributes::SERVER_ADDRESS.known(&Arc::from(address))];
        let port = (port != DEFAULT_PORT).then(|| attributes::SERVER_PORT.numbered(port.into()));
        Self::of("postgresql", &namespace, server.into_iter().chain(port))
    }

    pub fn of_sqlite(options: &SqliteConnectOptions) -> Self {
        // Only the file name: the directory depends on the machine.
        let file = options.get_filename().file_name().unwrap_or_default();
        Self::of("sqlite", &file.to_string_lossy(), [])
    }

    fn of(system: &'static str, namespace: &str, server: impl IntoIterator<Item = Label>) -> Self {
        let database = [
            attributes::DB_SYSTEM_NAME.label(system),
            attributes::DB_NAMESPACE.known(&Arc::from(namespace)),
        ];
        Self {
            database: Labels::of(database.into_iter().chain(server)),
            durations: metrics::DB_CLIENT_OPERATION_DURATION.histogram(),
        }
    }

    pub fn prepare(&self, query: Query) -> Statement {
        let mut labels = self
            .database
            .and(attributes::DB_QUERY_SUMMARY.label(query.summary));
        if let Some((operation, collection)) = query.target {
            labels = labels
                .and(attributes::DB_OPERATION_NAME.label(operation))
                .and(attributes::DB_COLLECTION_NAME.label(collection));
        }
        Statement {
            summary: query.summary,
            labels,
            durations: self.durations.clone(),
        }
    }
}

/// The first schema of the search path that the URL sets.
fn schema(options: &PgConnectOptions) -> &str {
    let options = options.get_options().unwrap_or_default();
    let path = options.split_once("search_path=").map(|(_, path)| path);
    let first = path.and_then(|path| path.split([',', ' ']).next());
    first.unwrap_or(DEFAULT_SCHEMA)
}

/// A query on one database, with its labels; prepared once, run often.
#[derive(Clone, Debug)]
pub struct Statement {
    summary: &'static str,
    labels: Labels,
    durations: Histogram,
}

impl Statement {
    /// Runs the operation in a child span of the current span.
    pub async fn run<T, E: Error + 'static>(
        &self,
        query: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.observe(self.begin(), query).await
    }

    /// As [`Statement::run`], for a batch of commands.
    pub async fn run_batch<T, E: Error + 'static>(
        &self,
        commands: usize,
        query: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let running = self.begin();
        if commands >= 2 {
            let commands = i64::try_from(commands).unwrap_or(i64::MAX);
            running
                .span
                .set(&attributes::DB_OPERATION_BATCH_SIZE, commands);
        }
        self.observe(running, query).await
    }

    fn begin(&self) -> Running<'_> {
        Running {
            statement: self,
            span: spans::DATABASE.within(self.summary),
            began: Instant::now(),
            failure: Some(StatementFailure::Local("cancelled")),
        }
    }

    async fn observe<T, E: Error + 'static>(
        &self,
        mut running: Running<'_>,
        query: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let done = running.span.carry(query).await;
        running.failure = done.as_ref().err().map(|error| StatementFailure::of(error));
        done
    }
}

/// A running query. Dropping it records the duration and ends the span.
struct Running<'a> {
    statement: &'a Statement,
    span: Span,
    began: Instant,
    /// Until the query ends: `cancelled`, for a caller that drops it.
    failure: Option<StatementFailure>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let Statement {
            labels, durations, ..
        } = self.statement;
        self.span.describe_as(labels);
        match &self.failure {
            None => durations.record_time(took, labels),
            Some(failure) => {
                let failure = failure.labels();
                self.span.describe_as(&Labels::of(failure.clone()));
                self.span.mark_failed();
                let labels = failure
                    .into_iter()
                    .fold(labels.clone(), |labels, label| labels.and(label));
                durations.record_time(took, &labels);
            }
        }
    }
}

enum StatementFailure {
    /// Reported by the database, with its code.
    Reported(Arc<str>),
    /// Detected by the driver or by this program.
    Local(&'static str),
}

impl StatementFailure {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut causes = std::iter::successors(Some(error), |&error| error.source());
        let Some(error) = causes.find_map(|cause| cause.downcast_ref::<sqlx::Error>()) else {
            // A store error without a driver error: the rows were not as expected, and the transaction was rolled back.
            return Self::Local("unexpected_rows");
        };
        match code(error) {
            Some(code) => Self::Reported(Arc::from(code.as_ref())),
            None => Self::Local(kind(error)),
        }
    }

    fn labels(&self) -> Vec<Label> {
        match self {
            Self::Reported(code) => vec![
                attributes::ERROR_TYPE.known(code),
                attributes::DB_RESPONSE_STATUS_CODE.known(code),
            ],
            Self::Local(kind) => vec![attributes::ERROR_TYPE.label(kind)],
        }
    }
}

fn kind(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => "timeout",
        sqlx::Error::Io(_) => "io",
        sqlx::Error::Tls(_) => "tls",
        sqlx::Error::Protocol(_) => "protocol",
        sqlx::Error::PoolTimedOut => "pool_timeout",
        sqlx::Error::PoolClosed => "pool_closed",
        sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::RowNotFound => "unexpected_rows",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests;

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
use crate::sessions::Sessions;
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
pub enum Query {
    /// One operation on one table; the summary starts with both.
    Statement(&'static str),
    /// Several operations; the summary names their purpose.
    Transaction(&'static str),
}

impl Query {
    pub const fn on(summary: &'static str) -> Self {
        Self::Statement(summary)
    }

    pub const fn transaction(summary: &'static str) -> Self {
        Self::Transaction(summary)
    }
}

/// Prepares the statements of one database.
#[derive(Clone, Debug)]
pub struct Statements {
    database: Labels,
    durations: Histogram,
    sessions: Sessions,
}

impl Statements {
    /// The statements of a server, whose errors are noted for the sessions of its pool.
    pub(crate) fn of_postgres(options: &PgConnectOptions, sessions: Sessions) -> Self {
        let database = options.get_database().unwrap_or(options.get_username());
        let namespace = format!("{database}|{}", schema(options));
        let socket = options.get_socket().map(|path| path.to_string_lossy());
        let address = socket.as_deref().unwrap_or(options.get_host());
        let port = options.get_port();
        let server = [attributes::SERVER_ADDRESS.known(&Arc::from(address))];
        let port = (port != DEFAULT_PORT).then(|| attributes::SERVER_PORT.numbered(port.into()));
        let server = server.into_iter().chain(port);
        Self {
            sessions,
            ..Self::of("postgresql", &namespace, server)
        }
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
            sessions: Sessions::default(),
        }
    }

    pub fn prepare(&self, query: Query) -> Statement {
        let (Query::Statement(summary) | Query::Transaction(summary)) = query;
        let summary_label = attributes::DB_QUERY_SUMMARY.label(summary);
        let mut labels = self.database.and(summary_label);
        let mut words = summary.split(' ');
        if let (Query::Statement(_), Some(operation), Some(table)) =
            (query, words.next(), words.next())
        {
            labels = labels
                .and(attributes::DB_OPERATION_NAME.label(operation))
                .and(attributes::DB_COLLECTION_NAME.label(table));
        }
        Statement {
            summary,
            labels,
            durations: self.durations.clone(),
            sessions: self.sessions.clone(),
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
    sessions: Sessions,
}

impl Statement {
    /// Runs the operation in a child span of the current span.
    pub fn run<T, E: Error + 'static>(
        &self,
        query: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        self.run_batch(1, query)
    }

    /// As [`Statement::run`], for a batch of commands.
    pub async fn run_batch<T, E: Error + 'static>(
        &self,
        commands: usize,
        query: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut running = Running {
            statement: self,
            span: spans::DATABASE.within(self.summary),
            began: Instant::now(),
            failure: None,
        };
        if commands >= 2 {
            let commands = i64::try_from(commands).unwrap_or(i64::MAX);
            let batch_size = &attributes::DB_OPERATION_BATCH_SIZE;
            running.span.set(batch_size, commands);
        }
        let done = running.span.carry(query).await;
        if let Err(error) = &done
            && let Some(error) = driver_error(error)
        {
            self.sessions.failed(error);
        }
        running.failure = Some(
            done.as_ref()
                .err()
                .map_or_else(Vec::new, |error| failure(error)),
        );
        done
    }
}

/// A running query. Dropping it records the duration and ends the span.
struct Running<'a> {
    statement: &'a Statement,
    span: Span,
    began: Instant,
    /// The labels of the failure, empty after a success; `None` for a caller that drops the query.
    failure: Option<Vec<Label>>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let Statement {
            labels, durations, ..
        } = self.statement;
        self.span.describe_as(labels);
        let failure = self.failure.take();
        let failure = failure.unwrap_or_else(|| vec![attributes::ERROR_TYPE.label("cancelled")]);
        if failure.is_empty() {
            return durations.record_time(took, labels);
        }
        self.span.describe_as(&Labels::of(failure.clone()));
        self.span.mark_failed();
        let labels = failure
            .into_iter()
            .fold(labels.clone(), |labels, label| labels.and(label));
        durations.record_time(took, &labels);
    }
}

/// The error of the driver in the chain of an error of a store.
fn driver_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a sqlx::Error> {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.find_map(|cause| cause.downcast_ref::<sqlx::Error>())
}

/// `error.type`, and the code if the database has reported one.
fn failure(error: &(dyn Error + 'static)) -> Vec<Label> {
    let error = driver_error(error);
    let Some(code) = error.and_then(code) else {
        // A store error without a driver error: the rows were not as expected, and the transaction was rolled back.
        return vec![attributes::ERROR_TYPE.label(error.map_or("unexpected_rows", kind))];
    };
    let code = Arc::from(code.as_ref());
    vec![
        attributes::ERROR_TYPE.known(&code),
        attributes::DB_RESPONSE_STATUS_CODE.known(&code),
    ]
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

//! The span and the measurement of what is asked of a database.
//!
//! Observed is what a store does as a whole, a statement or a transaction with its repetitions, because that is what a
//! caller waits for; the waiting for a connection is a part of it. Neither a value nor an id is ever said, only a
//! [`Query`], which stands in the code.
//!
//! What nobody waits for (polls of the outbox, renewals of leases, looks at a backlog) is done outside of any trace: it is
//! measured and has no span.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use telemetry::instruments::Histogram;
use telemetry::names::{attributes, metrics, spans};
use telemetry::span::Span;
use telemetry::vocabulary::{Label, Labels};

/// The port that needs no mention.
const USUAL_PORT: u16 = 5432;

/// The schema of a connection that names none.
const USUAL_SCHEMA: &str = "public";

/// What is asked of a database.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    summary: &'static str,
    /// Operation and table, if it is one of each.
    target: Option<(&'static str, &'static str)>,
}

impl Query {
    /// One operation on one table; `summary` begins with both.
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

    /// Several operations in one transaction, named by what they achieve.
    pub const fn transaction(summary: &'static str) -> Self {
        Self {
            summary,
            target: None,
        }
    }
}

/// What every measurement of one database has.
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
        let port = (port != USUAL_PORT).then(|| attributes::SERVER_PORT.numbered(port.into()));
        Self::of("postgresql", &namespace, server.into_iter().chain(port))
    }

    pub fn of_sqlite(options: &SqliteConnectOptions) -> Self {
        // Its directory is a matter of this machine.
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

    /// One of them, to be run often.
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
    first.unwrap_or(USUAL_SCHEMA)
}

/// A query of one database.
#[derive(Clone, Debug)]
pub struct Statement {
    summary: &'static str,
    labels: Labels,
    durations: Histogram,
}

impl Statement {
    /// Runs it, as a part of what is being done.
    pub async fn run<T, E: Error + 'static>(
        &self,
        query: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.observe(self.begin(), query).await
    }

    /// Runs it for so many commands at once.
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
            failure: Some(Failure::Noticed("given_up")),
        }
    }

    async fn observe<T, E: Error + 'static>(
        &self,
        mut running: Running<'_>,
        query: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let done = running.span.carry(query).await;
        running.failure = done.as_ref().err().map(|error| Failure::of(error));
        done
    }
}

/// A query that is not over. When it is dropped, it is.
struct Running<'a> {
    statement: &'a Statement,
    span: Span,
    began: Instant,
    /// How it failed; until it is over, that nobody waited for its end.
    failure: Option<Failure>,
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

/// How a query failed.
enum Failure {
    /// With a code of the database: an SQLSTATE, or an extended result code of SQLite.
    Reported(Arc<str>),
    /// With something that the driver or the program noticed.
    Noticed(&'static str),
}

impl Failure {
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut causes = std::iter::successors(Some(error), |&error| error.source());
        let Some(error) = causes.find_map(|cause| cause.downcast_ref::<sqlx::Error>()) else {
            // The rows were not what the program needs, and the transaction was given up.
            return Self::Noticed("unexpected_rows");
        };
        let code = error
            .as_database_error()
            .and_then(|reported| reported.code());
        match code {
            Some(code) => Self::Reported(Arc::from(code.as_ref())),
            None => Self::Noticed(kind(error)),
        }
    }

    fn labels(&self) -> Vec<Label> {
        match self {
            Self::Reported(code) => vec![
                attributes::ERROR_TYPE.known(code),
                attributes::DB_RESPONSE_STATUS_CODE.known(code),
            ],
            Self::Noticed(kind) => vec![attributes::ERROR_TYPE.label(kind)],
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

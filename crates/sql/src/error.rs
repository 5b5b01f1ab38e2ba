//! One classification of database errors, for both engines and all stores.
//!
//! It decides by error type and code (SQLSTATE, SQLite result code), never by message text. A code that is not listed is
//! [`ErrorClass::Unknown`]: the caller chooses between retry and reject.

use std::borrow::Cow;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// The class of a failed statement, by its remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The database is down, overloaded, stopping, read-only or not migrated yet: every statement fails now. Retry later.
    Unavailable,
    /// Another transaction was in the way: the same transaction may succeed at once.
    Conflict,
    /// The data, the command or the schema is not as expected: the same command fails again.
    Damaged,
    /// None of the above is known. A retry may help, and the error may concern a single command of a batch.
    Unknown,
}

/// An error with a class, such as the error of a store.
pub trait Classified {
    fn class(&self) -> ErrorClass;
}

impl Classified for sqlx::Error {
    fn class(&self) -> ErrorClass {
        classify(self)
    }
}

/// The class of an error of the driver or of the database.
pub fn classify(error: &sqlx::Error) -> ErrorClass {
    use sqlx::Error;
    match error {
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed => ErrorClass::Unavailable,
        Error::Encode(_)
        | Error::Decode(_)
        | Error::ColumnDecode { .. }
        | Error::ColumnNotFound(_)
        | Error::RowNotFound => ErrorClass::Damaged,
        Error::Database(reported) => of_reported(reported.as_ref()),
        _ => ErrorClass::Unknown,
    }
}

/// The code that the database reported: an SQLSTATE, or an extended result code of SQLite.
pub(crate) fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}

/// Whether the server of the session refuses all writes, stops, or is lost: other sessions on it are then useless, too.
pub(crate) fn doubts_session(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| is_code_of_lost_server(&code))
}

fn is_code_of_lost_server(code: &str) -> bool {
    match code {
        // read_only_sql_transaction: a standby, or a former primary
        "25006" => true,
        // admin_shutdown, crash_shutdown, cannot_connect_now
        "57P01" | "57P02" | "57P03" => true,
        // connection exception
        _ => code.starts_with("08"),
    }
}

fn of_reported(error: &dyn DatabaseError) -> ErrorClass {
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        return of_sqlstate(error.code());
    }
    let code = error.try_downcast_ref::<SqliteError>();
    let code = code.and_then(|error| error.code()?.parse().ok());
    code.map_or(ErrorClass::Unknown, of_sqlite_code)
}

fn of_sqlstate(code: &str) -> ErrorClass {
    match code {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => ErrorClass::Conflict,
        // lock_not_available, read_only_sql_transaction (after a failover)
        "55P03" | "25006" => ErrorClass::Unavailable,
        // undefined_table, undefined_column: the schema is still being migrated
        "42P01" | "42703" => ErrorClass::Unavailable,
        _ => of_sqlstate_class(code.get(..2).unwrap_or_default()),
    }
}

fn of_sqlstate_class(class: &str) -> ErrorClass {
    match class {
        // Connection exception, insufficient resources, operator intervention (shutdown, statement timeout).
        "08" | "53" | "57" => ErrorClass::Unavailable,
        // Data exception, constraint violation, exception raised by a trigger.
        "22" | "23" | "P0" => ErrorClass::Damaged,
        _ => ErrorClass::Unknown,
    }
}

fn of_sqlite_code(code: u32) -> ErrorClass {
    // The low byte of an extended result code is the primary one.
    match code & 0xff {
        // BUSY, LOCKED (after the busy timeout), NOMEM, READONLY, IOERR, FULL, CANTOPEN
        5 | 6 | 7 | 8 | 10 | 13 | 14 => ErrorClass::Unavailable,
        // TOOBIG, CONSTRAINT, MISMATCH
        18..=20 => ErrorClass::Damaged,
        _ => ErrorClass::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use sqlx::{Connection as _, SqliteConnection};

    use super::*;

    #[test]
    fn a_lost_connection_is_unavailable_and_an_unexpected_row_is_damaged() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        for unavailable in [
            sqlx::Error::Io(reset),
            sqlx::Error::PoolTimedOut,
            sqlx::Error::PoolClosed,
        ] {
            assert_eq!(classify(&unavailable), ErrorClass::Unavailable);
        }
        for damaged in [
            sqlx::Error::RowNotFound,
            sqlx::Error::Decode("no such state".into()),
            sqlx::Error::Encode("too large".into()),
        ] {
            assert_eq!(classify(&damaged), ErrorClass::Damaged);
        }
    }

    #[test]
    fn an_sqlstate_has_the_class_that_the_callers_depend_on() {
        for (class, codes) in [
            (ErrorClass::Conflict, &["40001", "40P01"][..]),
            // Lock timeout, statement timeout, shutdown, disk full, connection failure, read-only, not migrated yet.
            (
                ErrorClass::Unavailable,
                &[
                    "55P03", "57014", "57P01", "53100", "08006", "25006", "42P01",
                ],
            ),
            // Numeric value out of range, invalid byte sequence, unique and exclusion violation, raised by a trigger.
            (
                ErrorClass::Damaged,
                &["22003", "22021", "23505", "23P01", "P0001"],
            ),
            // Syntax error, internal error, a transaction that failed before.
            (ErrorClass::Unknown, &["42601", "XX000", "25P02"]),
        ] {
            for code in codes {
                assert_eq!(of_sqlstate(code), class, "{code}");
            }
        }
    }

    #[test]
    fn a_server_that_is_lost_or_read_only_puts_its_other_sessions_in_doubt() {
        for lost in ["25006", "57P01", "57P02", "57P03", "08006", "08P01"] {
            assert!(is_code_of_lost_server(lost), "{lost}");
        }
        // Statement timeout, lock timeout, unique violation.
        for healthy in ["57014", "55P03", "23505"] {
            assert!(!is_code_of_lost_server(healthy), "{healthy}");
        }
    }

    #[test]
    fn an_extended_result_code_of_sqlite_has_the_class_of_its_primary_code() {
        // BUSY, BUSY_SNAPSHOT, IOERR_SHMMAP, FULL.
        for code in [5, 517, 5386, 13] {
            assert_eq!(of_sqlite_code(code), ErrorClass::Unavailable, "{code}");
        }
        // CONSTRAINT_UNIQUE, CONSTRAINT_TRIGGER.
        for code in [2067, 1811] {
            assert_eq!(of_sqlite_code(code), ErrorClass::Damaged, "{code}");
        }
        assert_eq!(of_sqlite_code(1), ErrorClass::Unknown);
    }

    #[tokio::test]
    async fn a_violated_constraint_of_a_real_file_is_damaged() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let setup = "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)";
        sqlx::raw_sql(setup).execute(&mut connection).await.unwrap();

        let twice = sqlx::query("INSERT INTO t VALUES (1)").execute(&mut connection);

        assert_eq!(classify(&twice.await.unwrap_err()), ErrorClass::Damaged);
    }
}

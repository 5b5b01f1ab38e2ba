//! Whether a failure of a database may pass.

use sqlx::error::ErrorKind;
use sqlx::postgres::PgDatabaseError;

use super::StoreError;

/// Tells what may pass (a database that is away, a full disk, a lock held too long, a schema that is still being
/// migrated) from what will not.
pub(super) fn failed(operation: &'static str) -> impl Fn(sqlx::Error) -> StoreError + Copy {
    move |error| {
        let is_damage = is_damage(&error);
        let source = error.into();
        if is_damage {
            StoreError::Damaged { operation, source }
        } else {
            StoreError::Unavailable { operation, source }
        }
    }
}

fn is_damage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Encode(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::RowNotFound => true,
        // A broken constraint is a defect of this program or of the data.
        sqlx::Error::Database(reported) => {
            !matches!(reported.kind(), ErrorKind::Other)
                || reported
                    .try_downcast_ref::<PgDatabaseError>()
                    .is_some_and(|reported| is_refusal(reported.code()))
        }
        _ => false,
    }
}

/// Classes of SQLSTATE that say the command itself cannot be carried out: a value that does not fit its column, and an
/// exception raised by a trigger of the schema.
fn is_refusal(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("P0")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_database_that_is_away_may_come_back_and_a_value_that_does_not_fit_stays() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        for passing in [
            sqlx::Error::Io(reset),
            sqlx::Error::PoolTimedOut,
            sqlx::Error::PoolClosed,
        ] {
            assert!(failed("test")(passing).is_passing());
        }
        for lasting in [
            sqlx::Error::RowNotFound,
            sqlx::Error::Decode("no such state".into()),
            sqlx::Error::Encode("too large".into()),
        ] {
            assert!(!failed("test")(lasting).is_passing());
        }
    }

    #[test]
    fn the_class_of_a_code_tells_a_refused_command_from_a_server_in_trouble() {
        // Numeric value out of range, invalid byte sequence, raised by a trigger.
        for code in ["22003", "22021", "P0001"] {
            assert!(is_refusal(code), "{code}");
        }
        // Deadlock, lock timeout, statement timeout, shutdown, disk full, read-only after a failover, no such table yet.
        for code in [
            "40P01", "55P03", "57014", "57P01", "53100", "25006", "42P01",
        ] {
            assert!(!is_refusal(code), "{code}");
        }
    }
}

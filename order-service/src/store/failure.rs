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

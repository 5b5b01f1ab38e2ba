//! What both databases know about migrations.

use sqlx::migrate::Migrator;

/// The same migrations, without complaint about those that a newer release has applied: going back to an older release
/// leaves the schema as it is.
pub(crate) fn tolerant(migrator: &Migrator) -> Migrator {
    let mut tolerant = Migrator::with_migrations(migrator.migrations.to_vec());
    tolerant.set_ignore_missing(true);
    tolerant
}

/// The last migration that a migrator knows, 0 if it knows none.
pub(crate) fn last_version(migrator: &Migrator) -> i64 {
    let versions = migrator.iter().map(|migration| migration.version);
    versions.max().unwrap_or(0)
}

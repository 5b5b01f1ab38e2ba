//! Migration sets: each crate that owns tables owns their migrations, once per engine. A service lists the sets it needs.
//!
//! Each set has its own version table (`_outbox_migrations`), so the versions of different crates do not collide.

use std::borrow::Cow;

use sqlx::migrate::Migrator;

/// The migrations of one crate, for both engines.
#[derive(Clone, Copy, Debug)]
pub struct MigrationSet {
    /// The crate that owns the tables. Part of the name of the version table, so it must not change.
    pub owner: &'static str,
    pub sqlite: &'static Migrator,
    pub postgres: &'static Migrator,
}

/// All migration sets of a service, in the order of application.
pub type Migrations = &'static [MigrationSet];

impl MigrationSet {
    /// The last version of this release, 0 for an empty set. The same for both engines.
    pub fn last_version(&self) -> i64 {
        let versions = self.postgres.iter().map(|migration| migration.version);
        versions.max().unwrap_or(0)
    }

    /// The table of applied versions.
    pub fn version_table(&self) -> String {
        format!("_{}_migrations", self.owner)
    }

    /// Tolerates applied versions that this release does not contain: after a rollback to an older release the schema
    /// stays as it is.
    pub(crate) fn tolerant(&self, migrator: &Migrator) -> Migrator {
        let mut tolerant = Migrator::with_migrations(migrator.migrations.to_vec());
        tolerant.set_ignore_missing(true);
        tolerant.table_name = Cow::Owned(self.version_table());
        tolerant
    }
}

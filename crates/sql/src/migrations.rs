//! Migrations: each crate that owns tables owns their migrations, once per engine. A service lists the sets it needs.
//!
//! Each set has a version table of its own (`_outbox_migrations`), so the versions of one crate do not collide with
//! those of another.

use std::borrow::Cow;

use sqlx::migrate::Migrator;

/// The migrations of one owner, for both engines.
#[derive(Clone, Copy, Debug)]
pub struct MigrationSet {
    /// The crate that owns the tables; part of the name of the version table, so it never changes.
    pub owner: &'static str,
    /// For SQLite.
    pub sqlite: &'static Migrator,
    /// For PostgreSQL.
    pub postgres: &'static Migrator,
}

/// All migrations of a service, in the order in which they are applied.
pub type Migrations = &'static [MigrationSet];

impl MigrationSet {
    pub(crate) fn for_sqlite(&self) -> Migrator {
        self.tolerant(self.sqlite)
    }

    pub(crate) fn for_postgres(&self) -> Migrator {
        self.tolerant(self.postgres)
    }

    /// The last migration that this release knows, 0 if there is none. The same on both engines.
    pub fn last_version(&self) -> i64 {
        let versions = self.postgres.iter().map(|migration| migration.version);
        versions.max().unwrap_or(0)
    }

    /// Where the applied versions are recorded.
    pub fn version_table(&self) -> String {
        format!("_{}_migrations", self.owner)
    }

    /// The same migrations, without complaint about those that a newer release has applied: going back to an older
    /// release leaves the schema as it is.
    fn tolerant(&self, migrator: &Migrator) -> Migrator {
        let mut tolerant = Migrator::with_migrations(migrator.migrations.to_vec());
        tolerant.set_ignore_missing(true);
        tolerant.table_name = Cow::Owned(self.version_table());
        tolerant
    }
}

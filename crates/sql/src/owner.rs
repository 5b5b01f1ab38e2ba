//! The owner of a database: one service of one installation, recorded in the table `installation` at the first migration.
//!
//! Two services in one database would publish from one outbox table, and a service with the database of another installation
//! would publish that one's events to its own topics. Both work at first and mix orders later, so a database with another
//! owner is refused before anything is written to it.

use std::fmt;

use sqlx::migrate::Migrator;

use crate::migrations::MigrationSet;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The table of the owner. Applied before the migrations of a service, and only to a database without an owner.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    owner: "sql",
    sqlite: &SQLITE,
    postgres: &POSTGRES,
};

/// One service of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub service: String,
    /// The name of the installation, empty by default.
    pub kafka_topic_prefix: String,
}

impl Owner {
    pub fn new(service: impl Into<String>, kafka_topic_prefix: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            kafka_topic_prefix: kafka_topic_prefix.into(),
        }
    }

    /// # Errors
    /// [`WrongOwner`] if the database belongs to another service or installation.
    pub(crate) fn require(&self, recorded: Self) -> Result<(), WrongOwner> {
        if recorded == *self {
            return Ok(());
        }
        Err(WrongOwner {
            recorded,
            expected: self.clone(),
        })
    }
}

impl From<(String, String)> for Owner {
    fn from((service, kafka_topic_prefix): (String, String)) -> Self {
        Self {
            service,
            kafka_topic_prefix,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            service,
            kafka_topic_prefix,
        } = self;
        write!(
            formatter,
            "{service} with KAFKA_TOPIC_PREFIX {kafka_topic_prefix:?}"
        )
    }
}

/// The database belongs to another service, or to another installation. It was left unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database belongs to {recorded}, not to {expected}: {}", self.advice())]
pub struct WrongOwner {
    recorded: Owner,
    expected: Owner,
}

impl WrongOwner {
    fn advice(&self) -> &'static str {
        if self.recorded.service == self.expected.service {
            "correct DATABASE_URL, or set KAFKA_TOPIC_PREFIX back; another installation needs a database of its own"
        } else {
            "correct DATABASE_URL; every service needs a database of its own"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_service_of_the_same_installation_is_the_owner() {
        let recorded = || Owner::new("order-service", "a.");

        assert_eq!(recorded().require(recorded()), Ok(()));
        for (other, message) in [
            (
                Owner::new("order-service", ""),
                "the database belongs to order-service with KAFKA_TOPIC_PREFIX \"a.\", not to order-service with \
                 KAFKA_TOPIC_PREFIX \"\": correct DATABASE_URL, or set KAFKA_TOPIC_PREFIX back; another installation \
                 needs a database of its own",
            ),
            (
                Owner::new("processing-service", "a."),
                "the database belongs to order-service with KAFKA_TOPIC_PREFIX \"a.\", not to processing-service with \
                 KAFKA_TOPIC_PREFIX \"a.\": correct DATABASE_URL; every service needs a database of its own",
            ),
        ] {
            let refused = other.require(recorded()).unwrap_err();
            assert_eq!(refused.to_string(), message);
        }
    }
}

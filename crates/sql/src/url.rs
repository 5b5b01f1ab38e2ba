//! `DATABASE_URL`: the address of a database; its scheme names the engine.

use std::fmt;

use service::config::FromSetting;
use sqlx::postgres::PgConnectOptions;

/// The address of a database. It can contain a password, so `Debug` redacts it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseEngine {
    /// A file, used by one process.
    Sqlite,
    /// A server, shared by several processes.
    Postgres,
}

impl DatabaseUrl {
    /// The URL with its password, for the driver only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn engine(&self) -> DatabaseEngine {
        if self.0.starts_with(SQLITE_SCHEME) {
            DatabaseEngine::Sqlite
        } else {
            DatabaseEngine::Postgres
        }
    }
}

const SQLITE_SCHEME: &str = "sqlite://";
const POSTGRES_SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

impl FromSetting for DatabaseUrl {
    const SECRET: bool = true;

    fn from_setting(text: &str) -> Result<Self, String> {
        let is_valid = match text.strip_prefix(SQLITE_SCHEME) {
            Some(path) => !path.is_empty(),
            None => {
                let mut schemes = POSTGRES_SCHEMES.iter();
                // The driver checks the parameters; it accepts an empty address.
                schemes.any(|scheme| {
                    text.strip_prefix(scheme)
                        .is_some_and(|rest| !rest.is_empty())
                }) && text.parse::<PgConnectOptions>().is_ok()
            }
        };
        if is_valid {
            return Ok(Self(text.to_owned()));
        }
        Err(
            "a URL such as sqlite://orders.db or postgres://user@host/orders?sslmode=verify-full"
                .to_owned(),
        )
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DatabaseUrl(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_a_database_url_names_the_engine() {
        for (text, engine) in [
            ("sqlite://orders.db", DatabaseEngine::Sqlite),
            ("postgres://me@localhost/orders", DatabaseEngine::Postgres),
            (
                "postgresql://localhost:5432/orders?sslmode=disable",
                DatabaseEngine::Postgres,
            ),
        ] {
            let url = DatabaseUrl::from_setting(text).unwrap();
            assert_eq!(url.engine(), engine, "{text}");
        }
    }

    #[test]
    fn a_database_url_that_no_driver_accepts_is_rejected() {
        for text in [
            "",
            "orders.db",
            "sqlite://",
            "postgres://",
            "mysql://localhost/orders",
            "postgres://localhost:port/orders",
            "postgres://localhost/orders?sslmode=sometimes",
        ] {
            assert!(DatabaseUrl::from_setting(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_database_url_is_redacted_in_debug_output() {
        let url = DatabaseUrl::from_setting("sqlite://secret.db").unwrap();

        assert_eq!(format!("{url:?}"), "DatabaseUrl(redacted)");
    }
}

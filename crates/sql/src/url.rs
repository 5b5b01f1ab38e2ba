//! `DATABASE_URL`: the address of a database; its scheme names the engine.

use std::fmt;

use service::config::FromSetting;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

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
            Some(_) => names_a_file(text),
            None => {
                let mut schemes = POSTGRES_SCHEMES.iter();
                // The driver checks the parameters; it accepts an empty address.
                schemes.any(|scheme| {
                    text.strip_prefix(scheme)
                        .is_some_and(|rest| !rest.is_empty())
                }) && text.parse::<PgConnectOptions>().is_ok()
                    && has_known_parameters(text)
            }
        };
        if is_valid {
            return Ok(Self(text.to_owned()));
        }
        Err(
            "a URL such as sqlite://orders.db, a file and not memory, or postgres://user@host/orders?sslmode=verify-full, without unknown parameters"
                .to_owned(),
        )
    }
}

/// Whether a SQLite URL names a file that is written and kept. Orders in memory would be confirmed and lost.
fn names_a_file(url: &str) -> bool {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    // Others make the database private to memory, read-only or of another file system.
    if !matches!(parameters, "" | "mode=rw" | "mode=rwc") {
        return false;
    }
    let Ok(options) = url.parse::<SqliteConnectOptions>() else {
        return false;
    };
    // The driver decodes the path, and replaces `:memory:` by a name that begins with `file:`.
    let path = options.get_filename().to_string_lossy();
    !path.trim().is_empty() && path != ":memory:" && !path.starts_with("file:")
}

/// Parameters that the driver knows. It ignores others: a misspelled `sslmode` would be no protection.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

fn has_known_parameters(url: &str) -> bool {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    let mut pairs = parameters.split('&').filter(|pair| !pair.is_empty());
    pairs.all(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        let is_option = name.starts_with("options[") || name.starts_with("options%5B");
        is_option || PARAMETERS.contains(&name)
    })
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
    fn a_sqlite_database_that_is_not_a_durable_file_is_rejected() {
        for text in [
            "sqlite://:memory:",
            "sqlite://%3Amemory%3A",
            "sqlite://orders.db?mode=memory",
            "sqlite://orders.db?mode=ro",
            "sqlite://orders.db?vfs=memdb",
            "sqlite://orders.db?immutable=1",
            "sqlite://file::memory:",
            "sqlite://?mode=rwc",
            "sqlite:// ",
        ] {
            assert!(DatabaseUrl::from_setting(text).is_err(), "{text}");
        }
        for text in ["sqlite://orders.db?mode=rwc", "sqlite:///var/lib/orders.db"] {
            assert!(DatabaseUrl::from_setting(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_parameter_that_the_driver_would_ignore_is_rejected() {
        let url = |parameter| format!("postgres://localhost/orders?{parameter}");
        for parameter in ["sslmod=verify-full", "sslmode=verify-full&pool=1", "="] {
            assert!(
                DatabaseUrl::from_setting(&url(parameter)).is_err(),
                "{parameter}"
            );
        }
        for parameter in ["", "options[search_path]=shop", "sslmode=require&"] {
            assert!(
                DatabaseUrl::from_setting(&url(parameter)).is_ok(),
                "{parameter}"
            );
        }
    }

    #[test]
    fn a_database_url_is_redacted_in_debug_output() {
        let url = DatabaseUrl::from_setting("sqlite://secret.db").unwrap();

        assert_eq!(format!("{url:?}"), "DatabaseUrl(redacted)");
    }
}

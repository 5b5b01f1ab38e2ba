//! Variables that the PostgreSQL driver reads itself, as the defaults of what DATABASE_URL leaves out.
//!
//! They are read here to be documented and checked: the driver ignores a port or a TLS mode that it does not know, and
//! sends a password as it is, with a newline at its end.

use service::config::{FromSetting, Settings, parse};
use sqlx::postgres::PgSslMode;

/// Checks all of them.
pub(crate) fn read(settings: &mut Settings<'_>) {
    let _: Option<Secret> = settings.optional(
        "PGPASSWORD",
        "PostgreSQL: password, unless DATABASE_URL contains it",
    );
    let _: Option<TlsMode> = settings.optional(
        "PGSSLMODE",
        "PostgreSQL: disable, allow, prefer, require, verify-ca or verify-full, unless DATABASE_URL has `sslmode`; prefer if both are unset",
    );
    let _: Option<Port> =
        settings.optional("PGPORT", "PostgreSQL: port, unless DATABASE_URL has it");
    for (name, help) in TEXTS {
        let _: Option<String> = settings.optional(name, help);
    }
}

const TEXTS: [(&str, &str); 9] = [
    ("PGHOST", "PostgreSQL: host, unless DATABASE_URL has it"),
    ("PGHOSTADDR", "PostgreSQL: IP address, instead of PGHOST"),
    ("PGUSER", "PostgreSQL: user, unless DATABASE_URL has it"),
    (
        "PGDATABASE",
        "PostgreSQL: database, unless DATABASE_URL has it",
    ),
    (
        "PGSSLROOTCERT",
        "PostgreSQL: file of the trusted authorities, unless DATABASE_URL has `sslrootcert`",
    ),
    (
        "PGSSLCERT",
        "PostgreSQL: file with the client's certificate, unless DATABASE_URL has `sslcert`",
    ),
    (
        "PGSSLKEY",
        "PostgreSQL: file with its private key, unless DATABASE_URL has `sslkey`",
    ),
    (
        "PGAPPNAME",
        "PostgreSQL: `application_name`, unless DATABASE_URL has it",
    ),
    ("PGOPTIONS", "PostgreSQL: options of the session"),
];

struct Secret;

impl FromSetting for Secret {
    const SECRET: bool = true;

    fn from_setting(_: &str) -> Result<Self, String> {
        Ok(Self)
    }
}

struct TlsMode;

impl FromSetting for TlsMode {
    fn from_setting(text: &str) -> Result<Self, String> {
        let expected = "disable, allow, prefer, require, verify-ca or verify-full";
        parse::<PgSslMode>(text, expected).map(|_| Self)
    }
}

struct Port;

impl FromSetting for Port {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text.parse::<u16>() {
            Ok(1..) => Ok(Self),
            _ => Err("a port from 1 to 65535".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn mistakes(name: &str, value: &str) -> Vec<String> {
        let source = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let mut settings = Settings::new(&source);
        read(&mut settings);
        let finished = settings.finish(());
        finished.map_or_else(|error| error.mistakes().to_vec(), |()| Vec::new())
    }

    #[test]
    fn what_the_driver_would_ignore_or_send_wrongly_is_refused_by_name() {
        for (name, value) in [
            ("PGPASSWORD", "hunter2\n"),
            ("PGSSLMODE", "verify_full"),
            ("PGPORT", "54320000"),
            ("PGPORT", "0"),
            ("PGHOST", "database\n"),
        ] {
            let mistakes = mistakes(name, value);
            assert_eq!(mistakes.len(), 1, "{name}={value:?}");
            assert!(mistakes[0].starts_with(name), "{mistakes:?}");
            assert!(!mistakes[0].contains("hunter2"), "{mistakes:?}");
        }
        assert!(mistakes("PGSSLMODE", "verify-full").is_empty());
    }
}

//! Broker and database engine of a stack, and the number of replicas.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

use super::StackError;

/// The embedded broker holds every fetch for its full wait, even when records are available: a long wait would delay
/// every event.
const EMBEDDED_FETCH_WAIT: &str = "20ms";

#[derive(Clone, Debug)]
pub struct Engines {
    pub broker: BrokerEngine,
    pub database: DatabaseEngine,
    /// Replicas of each service.
    pub replicas: u16,
}

/// The Kafka broker of a stack.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BrokerEngine {
    /// The embedded broker on a SQLite file.
    Embedded,
    /// Apache Kafka, one node.
    Apache,
    /// An existing broker at `HOST:PORT`.
    External(String),
}

/// The database engine of a stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum DatabaseEngine {
    /// A SQLite file per service.
    Sqlite,
    /// A PostgreSQL server with a database per service, from the installed binaries.
    Postgres,
}

impl Engines {
    /// The embedded broker and SQLite files: needs only the build.
    pub fn embedded() -> Self {
        Self {
            broker: BrokerEngine::Embedded,
            database: DatabaseEngine::Sqlite,
            replicas: 1,
        }
    }

    /// Apache Kafka and PostgreSQL with two replicas of each service.
    pub fn production() -> Self {
        Self {
            broker: BrokerEngine::Apache,
            database: DatabaseEngine::Postgres,
            replicas: 2,
        }
    }

    /// Refuses several replicas on engines that do not support them.
    pub(super) fn check(&self) -> Result<(), StackError> {
        let shareable =
            self.broker != BrokerEngine::Embedded && self.database == DatabaseEngine::Postgres;
        match self.replicas {
            0 => Err(StackError::NoReplicas),
            1 => Ok(()),
            _ if shareable => Ok(()),
            replicas => Err(StackError::NotShareable { replicas }),
        }
    }
}

impl BrokerEngine {
    /// The settings that the services need on this broker.
    pub fn settings(&self) -> Vec<(String, String)> {
        // A stack's broker is a single node. For another broker, the caller sets the numbers.
        let single_node = [
            ("KAFKA_TOPIC_REPLICATION", "1"),
            ("KAFKA_TOPIC_MIN_INSYNC", "1"),
        ];
        let mut settings = match self {
            Self::Embedded => vec![("KAFKA_FETCH_WAIT", EMBEDDED_FETCH_WAIT)],
            Self::Apache => Vec::new(),
            Self::External(_) => return Vec::new(),
        };
        settings.extend(single_node);
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        settings.into_iter().map(owned).collect()
    }
}

impl FromStr for BrokerEngine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "apache" => Ok(Self::Apache),
            address if address.contains(':') => Ok(Self::External(address.to_owned())),
            _ => Err("expected embedded, apache or HOST:PORT".to_owned()),
        }
    }
}

impl fmt::Display for BrokerEngine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Embedded => "embedded",
            Self::Apache => "apache",
            Self::External(address) => address,
        })
    }
}

impl fmt::Display for DatabaseEngine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_replicas_are_refused_on_the_embedded_engines() {
        let two = |broker, database| Engines {
            broker,
            database,
            replicas: 2,
        };

        for refused in [
            two(BrokerEngine::Embedded, DatabaseEngine::Postgres),
            two(BrokerEngine::Apache, DatabaseEngine::Sqlite),
        ] {
            let message = refused.check().expect_err("two replicas").to_string();
            assert!(message.contains("--kafka apache"), "{message}");
            assert!(message.contains("--database postgres"), "{message}");
        }
        assert!(Engines::production().check().is_ok());
        assert!(Engines::embedded().check().is_ok());
    }

    #[test]
    fn a_broker_is_parsed_from_a_name_or_an_address() {
        assert_eq!("apache".parse(), Ok(BrokerEngine::Apache));
        assert_eq!(
            "kafka:9092".parse(),
            Ok(BrokerEngine::External("kafka:9092".to_owned()))
        );
        assert!("apachee".parse::<BrokerEngine>().is_err());
    }
}

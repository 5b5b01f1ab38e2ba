//! The services of a stack and their processes: a service is one program, a process is one replica of it.

use std::fmt;

/// A service of the stack.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Service {
    /// order-service.
    Orders,
    /// processing-service.
    Processing,
    /// The Kafka broker: the embedded one or Apache Kafka.
    Broker,
    /// The PostgreSQL server, if there is one.
    Database,
}

impl Service {
    /// Stop order: first the service that accepts new work, last the database.
    pub const IN_STOP_ORDER: [Self; 4] =
        [Self::Orders, Self::Processing, Self::Broker, Self::Database];

    /// The two services of this repository.
    pub const PAIR: [Self; 2] = [Self::Orders, Self::Processing];

    /// The name of the service, also of its files; for the pair also of its program and consumer group.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orders => "order-service",
            Self::Processing => "processing-service",
            Self::Broker => "broker",
            Self::Database => "database",
        }
    }

    /// The command line option of its port.
    pub fn port_option(self) -> &'static str {
        match self {
            Self::Orders => "--order-port",
            Self::Processing => "--processing-port",
            Self::Broker => "--broker-port",
            Self::Database => "--database-port",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// One replica of a service. Sorts in stop order.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Process {
    pub service: Service,
    /// The replica number, from 1; `None` when there is only one.
    pub replica: Option<u16>,
}

impl Process {
    /// The only process of a service.
    pub fn only(service: Service) -> Self {
        Self {
            service,
            replica: None,
        }
    }

    /// All processes of a service with this many replicas.
    pub(super) fn replicas(service: Service, count: u16) -> Vec<Self> {
        if count == 1 {
            return vec![Self::only(service)];
        }
        (1..=count)
            .map(|number| Self {
                service,
                replica: Some(number),
            })
            .collect()
    }

    /// The PostgreSQL server with this index, from 0: the second one is first the standby of the first one.
    pub(super) fn database(index: usize) -> Self {
        Self {
            service: Service::Database,
            replica: (index > 0).then(|| u16::try_from(index + 1).unwrap_or(u16::MAX)),
        }
    }

    /// The index among the replicas, from 0.
    pub(super) fn index(self) -> usize {
        self.replica.map_or(0, |number| usize::from(number) - 1)
    }

    /// The process with this name, as in the file names of an earlier stack.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Service::IN_STOP_ORDER.into_iter().find_map(|service| {
            let replica = match name.strip_prefix(service.name())? {
                "" => None,
                suffix => Some(suffix.strip_prefix('-')?.parse().ok()?),
            };
            Some(Self { service, replica })
        })
    }
}

impl fmt::Display for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.replica {
            None => self.service.fmt(formatter),
            Some(number) => formatter.pad(&format!("{}-{number}", self.service)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_is_parsed_back() {
        for service in Service::IN_STOP_ORDER {
            for process in [Process::replicas(service, 1), Process::replicas(service, 2)].concat() {
                assert_eq!(Process::from_name(&process.to_string()), Some(process));
            }
        }
        for stranger in ["", "order-service-x", "order-services", "lock"] {
            assert_eq!(Process::from_name(stranger), None, "{stranger}");
        }
    }
}

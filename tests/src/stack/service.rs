//! The services of a stack and their processes: a service is one program with one task, a process is one replica of it.

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
    /// In stop order: first the service that takes new work, last the one that the other depends on.
    pub const IN_STOP_ORDER: [Self; 4] =
        [Self::Orders, Self::Processing, Self::Broker, Self::Database];

    /// The two that this repository is about.
    pub const PAIR: [Self; 2] = [Self::Orders, Self::Processing];

    /// Its name, which also names its files, and of the pair the program and the consumer group.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orders => "order-service",
            Self::Processing => "processing-service",
            Self::Broker => "broker",
            Self::Database => "database",
        }
    }

    /// The command line option that sets its port.
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

/// A process of the stack: one replica of a service. Sorts in the order in which processes are stopped.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Process {
    /// The service.
    pub service: Service,
    /// Which one of several, from 1; `None` when there is only one.
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

    /// All processes of a service that runs with so many replicas.
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

    /// Its place among the replicas, from 0.
    pub(super) fn index(self) -> usize {
        self.replica.map_or(0, |number| usize::from(number) - 1)
    }

    /// The process with this name, as files of an earlier stack have it.
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
    fn a_process_is_found_by_its_name_again() {
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

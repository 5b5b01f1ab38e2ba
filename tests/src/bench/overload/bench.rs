//! Offers loads to one order-service in sequence.

use std::time::Duration;

use anyhow::Result;
use tonic::Status;

use super::arguments::OverloadArguments;
use crate::alone::Alone;
use crate::open_loop::answer::{OrderAvailability, availability, within};
use crate::open_loop::lean::LeanConnections;
use crate::open_loop::measured::Measured;
use crate::open_loop::{self, Load};
use crate::orders::basket;

/// Longer than a service needs to clear the work left by an overload and to fill its batches again.
const WARM_UP: Duration = Duration::from_secs(1);

/// A service under measurement.
#[derive(Debug)]
pub(super) struct Bench {
    service: Alone,
    connections: LeanConnections,
    arguments: OverloadArguments,
}

impl Bench {
    pub(super) async fn new(service: Alone, arguments: OverloadArguments) -> Result<Self> {
        let address = service.address().trim_start_matches("http://").parse()?;
        let deadline = Duration::from_millis(arguments.deadline);
        let connections =
            LeanConnections::for_orders(address, arguments.connections, deadline).await?;
        Ok(Self {
            connections,
            service,
            arguments,
        })
    }

    pub(super) fn arguments(&self) -> &OverloadArguments {
        &self.arguments
    }

    pub(super) fn service(&self) -> &Alone {
        &self.service
    }

    /// Offers this many orders per second and prints the result.
    pub(super) async fn offer(&mut self, per_second: f64, length: Duration) -> Result<Measured> {
        let load = Load {
            arrivals: self.arguments.arrivals,
            per_second,
            warm_up: WARM_UP,
            length,
            outstanding: self.arguments.outstanding,
        };
        let deadline = Duration::from_millis(self.arguments.deadline);
        let connections = self.connections.clone();
        let measured = open_loop::run(load, move |_| {
            let connections = connections.clone();
            async move { within(deadline, place(connections)).await }
        });
        let measured = measured.await?;
        self.service.check()?;
        println!("{measured}");
        Ok(measured)
    }
}

async fn place(connections: LeanConnections) -> Result<OrderAvailability, Status> {
    let order = connections.place(&basket::request()).await?;
    Ok(availability(&order))
}

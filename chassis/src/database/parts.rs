//! What a service keeps in its database, on whichever engine it is. The calls of its outbox, leases and parking are
//! observed. What operators ask for is not: it is rare, and they see for themselves what it takes.

use std::sync::Arc;

use super::Database;
use crate::outbox::Outbox;
use crate::outbox::lease::postgres::PostgresLeases;
use crate::outbox::lease::{Leases, SoleOwner};
use crate::outbox::observed::{ObservedLeases, ObservedOutbox};
use crate::outbox::postgres::PostgresOutbox;
use crate::outbox::sqlite::SqliteOutbox;
use crate::parking::Parking;
use crate::parking::observed::ObservedParking;
use crate::parking::operations::Operations;
use crate::parking::postgres::PostgresParking;
use crate::parking::sqlite::SqliteParking;

impl Database {
    /// Its outbox.
    pub fn outbox(&self) -> Arc<dyn Outbox> {
        match self {
            Self::Sqlite(file) => {
                let outbox = SqliteOutbox::new(Arc::clone(file));
                Arc::new(ObservedOutbox::new(outbox, file.statements()))
            }
            Self::Postgres(server) => {
                let outbox = PostgresOutbox::new(Arc::clone(server));
                Arc::new(ObservedOutbox::new(outbox, server.statements()))
            }
        }
    }

    /// The leases on its outbox.
    pub fn leases(&self) -> Arc<dyn Leases> {
        match self {
            Self::Sqlite(_) => Arc::new(SoleOwner),
            Self::Postgres(server) => {
                let leases = PostgresLeases::new(Arc::clone(server));
                Arc::new(ObservedLeases::new(leases, server.statements()))
            }
        }
    }

    /// Its parked events.
    pub fn parking(&self) -> Arc<dyn Parking> {
        match self {
            Self::Sqlite(file) => {
                let parking = SqliteParking::new(Arc::clone(file));
                Arc::new(ObservedParking::new(parking, file.statements()))
            }
            Self::Postgres(server) => {
                let parking = PostgresParking::new(Arc::clone(server));
                Arc::new(ObservedParking::new(parking, server.statements()))
            }
        }
    }

    /// Its parked events, for an operator.
    pub fn parked_events(&self) -> Arc<dyn Operations> {
        match self {
            Self::Sqlite(file) => Arc::new(SqliteParking::new(Arc::clone(file))),
            Self::Postgres(server) => Arc::new(PostgresParking::new(Arc::clone(server))),
        }
    }
}

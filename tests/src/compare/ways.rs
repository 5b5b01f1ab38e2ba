//! The ways, one file each, all of one shape: a client, and [`Checkout::submit`].

mod async_only;
mod async_waiting;
mod hybrid;
mod sync_only;

/// The producer of both asynchronous ways.
mod received;

use anyhow::Result;
use tokio::time::Instant;
use tonic::{Code, Status};

use self::async_only::AsyncOnly;
use self::async_waiting::AsyncWaiting;
use self::hybrid::Hybrid;
use self::received::Received;
use self::sync_only::SyncOnly;
use super::ledger::Ledger;
use super::order::StudyOrder;
use super::site::Site;
use super::way::{Checkout, Reply, Way};
use crate::client::failure::code_name;

/// A way with its open connections.
#[derive(Clone, Debug)]
pub(super) enum Front {
    SyncOnly(SyncOnly),
    AsyncOnly(AsyncOnly),
    AsyncWaiting(AsyncWaiting),
    Hybrid(Hybrid),
}

impl Front {
    pub(super) fn open(site: &Site, ledger: &Ledger) -> Result<Self> {
        Ok(match site.way {
            Way::SyncOnly => Self::SyncOnly(SyncOnly::open(site)?),
            Way::AsyncOnly => Self::AsyncOnly(AsyncOnly(Received::open(site)?)),
            Way::AsyncWaiting => Self::AsyncWaiting(AsyncWaiting {
                received: Received::open(site)?,
                ledger: ledger.clone(),
            }),
            Way::Hybrid => Self::Hybrid(Hybrid::open(site, ledger.clone())?),
        })
    }
}

impl Checkout for Front {
    async fn submit(&self, order: &StudyOrder, deadline: Instant) -> Reply {
        match self {
            Self::SyncOnly(way) => way.submit(order, deadline).await,
            Self::AsyncOnly(way) => way.submit(order, deadline).await,
            Self::AsyncWaiting(way) => way.submit(order, deadline).await,
            Self::Hybrid(way) => way.submit(order, deadline).await,
        }
    }
}

/// The reply for an error of a gRPC call.
fn failed(status: &Status) -> Reply {
    let cause = code_name(status.code()).to_owned();
    match status.code() {
        Code::DeadlineExceeded => Reply::TooLate(cause),
        _ => Reply::Failed(cause),
    }
}

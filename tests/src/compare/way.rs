//! The four ways that an order can take, and the API that all of them have.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;
use tokio::time::Instant;

use super::ledger::Outcome;
use super::order::StudyOrder;

/// A way to answer a checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    /// The whole pipeline inside of the call.
    SyncOnly,
    /// The order goes onto Kafka; the user is told that it was received.
    AsyncOnly,
    /// As before, and the user waits for the outcome.
    AsyncWaiting,
    /// PlaceOrder: a durable promise now, the outcome later.
    Hybrid,
}

/// The API of every way.
pub(super) trait Checkout {
    /// Sends one order and waits for the answer, to the deadline at most.
    fn submit(&self, order: &StudyOrder, deadline: Instant) -> impl Future<Output = Reply> + Send;
}

/// The answer to a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A promise: the outcome comes later.
    Promised,
    /// The outcome.
    Ended(Outcome),
    /// The order is received, and has no outcome by the deadline.
    Pending,
    /// Refused for what is ordered; nothing was done.
    Refused,
    /// No usable answer, with its cause. A retry may help.
    Failed(String),
    /// The same, and the deadline has passed.
    TooLate(String),
}

impl Way {
    pub(super) const ALL: [Self; 4] = [
        Self::SyncOnly,
        Self::AsyncOnly,
        Self::AsyncWaiting,
        Self::Hybrid,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SyncOnly => "sync only",
            Self::AsyncOnly => "async only",
            Self::AsyncWaiting => "async, waiting",
            Self::Hybrid => "hybrid",
        }
    }

    /// How it answers, in one sentence.
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::SyncOnly => {
                "ProcessOrder of processing-service reserves, captures and ships while the user waits; the answer is the outcome"
            }
            Self::AsyncOnly => {
                "the front writes OrderPlaced to Kafka with acks=all and says “received”; the outcome comes on the other topic"
            }
            Self::AsyncWaiting => {
                "as async only, but the front answers with the outcome, if it comes within the deadline of the checkout"
            }
            Self::Hybrid => {
                "PlaceOrder of order-service checks the stock, stores order and event in one commit and answers ACCEPTED; the outcome comes by WatchOrder"
            }
        }
    }

    /// The file of the study that implements it, from the root of the repository.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::SyncOnly => "tests/src/compare/ways/sync_only.rs",
            Self::AsyncOnly => "tests/src/compare/ways/async_only.rs",
            Self::AsyncWaiting => "tests/src/compare/ways/async_waiting.rs",
            Self::Hybrid => "tests/src/compare/ways/hybrid.rs",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

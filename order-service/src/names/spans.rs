//! Attributes that this service adds to common spans. It has no spans of its own: all its work is a call, an event or a
//! statement.

use telemetry::names::spans::{PROCESS, RPC_SERVER};
use telemetry::vocabulary::{Addition, sometimes};

use super::attributes as attr;

pub static ADDITIONS: [Addition; 2] = [
    Addition {
        to: &RPC_SERVER,
        attributes: &[
            sometimes(attr::ORDER_ID, "the call is about one order"),
            sometimes(attr::ORDER_AVAILABILITY, "the call has placed an order"),
        ],
    },
    Addition {
        to: &PROCESS,
        attributes: &[
            sometimes(
                attr::ORDER_STATUS,
                "the event has changed the state of its order",
            ),
            sometimes(attr::ORDER_REJECTION_REASON, "the order was rejected"),
        ],
    },
];

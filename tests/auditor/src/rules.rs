//! The rules, one file each, in the order of an order's life. Most checks are one query for violations.
//!
//! | rule | holds when |
//! |---|---|
//! | [`no_loss`] | every confirmed order exists, was published, and is final or has an event in a retry store |
//! | [`no_phantom`] | nothing exists that was not requested, or that was refused |
//! | [`effect_once`] | every event took effect once: history, stock, money, shipment |
//! | [`wire_duplicates`] | no more records are repeated than the faults of the run explain |
//! | [`order_per_key`] | events of an order are in sequence, on one partition, and applied in sequence |
//! | [`reads`] | every read returned a prefix of the final history, and never less than an earlier read |
//! | [`offsets`] | no offset is committed beyond unfinished work |
//! | [`accounting`] | every order, event and record is accounted for |
//! | [`evidence`] | the evidence itself is complete |

mod rule;

mod accounting;
mod effect_once;
mod evidence;
mod ledger;
mod no_loss;
mod no_phantom;
mod offsets;
mod order_per_key;
mod reads;
mod wire_duplicates;

use anyhow::Result;

use crate::Limits;
use crate::evidence::Evidence;
use crate::verdict::RuleReport;

pub use self::accounting::NAME as ACCOUNTING;
pub use self::effect_once::NAME as EFFECT_ONCE;
pub use self::evidence::NAME as EVIDENCE;
pub use self::no_loss::NAME as NO_LOSS;
pub use self::no_phantom::NAME as NO_PHANTOM;
pub use self::offsets::NAME as OFFSETS;
pub use self::order_per_key::NAME as ORDER_PER_KEY;
pub use self::reads::NAME as READS;
pub use self::wire_duplicates::NAME as WIRE_DUPLICATES;

pub(crate) async fn check(evidence: &mut Evidence, limits: &Limits) -> Result<Vec<RuleReport>> {
    Ok(vec![
        no_loss::RULE.report(evidence).await?,
        no_phantom::report(evidence, limits).await?,
        effect_once::report(evidence).await?,
        wire_duplicates::report(evidence, limits).await?,
        order_per_key::RULE.report(evidence).await?,
        reads::RULE.report(evidence).await?,
        offsets::report(evidence, limits).await?,
        accounting::report(evidence, limits).await?,
        evidence::report(evidence).await?,
    ])
}

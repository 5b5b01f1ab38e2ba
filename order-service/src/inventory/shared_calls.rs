//! Calls of CheckAvailability that orders share (request coalescing).
//!
//! ```text
//! orders ──questions──▶ queue ──all that wait──▶ one call ──▶ the reports about their SKUs, for each of them
//! ```
//!
//! It is group commit, applied to a call: orders that come while a call is on its way wait and share the next one, and
//! without a call on its way an order's own begins at once. There is no timer.
//!
//! * A call that takes longer than [`SharedCalls::patience`] no longer holds up the next one, so one replica that does not answer
//!   costs other orders half of the timeout and not all of it. At most two calls then overlap.
//! * A call ends at the latest deadline of its orders. Each order waits until its own.
//! * An order that is cancelled leaves the call to the others. A call is made to its end even if no order waits any more:
//!   breaker and outlier ejection must see that it got no answer.
//! * For breaker and retry budget a shared call is one call: it says about processing-service what one call says, however
//!   many orders wait for it.
//! * If processing-service refuses a shared request as invalid, each order asks by itself, so that one order does not cost the
//!   others their answer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt, Shared, join_all};
use grpc::client::ServiceClient;
use proto::inventory::v1::CheckAvailabilityRequest;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use service::deadline::Deadline;
use sql::error::{Classified, ErrorClass};
use sql::group_commit::Committer;
use tokio::time::{self, Instant};
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Status};

use super::report_cache::ReportCache;
use crate::availability::{self, InvalidResponse, Pieces, Reports};
use crate::domain::OrderLines;

/// Largest response message: 500 items with the longest SKUs are some 40 KiB.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// What an order needs to know.
#[derive(Debug)]
pub(super) struct Question {
    pieces: Vec<(Arc<str>, i64)>,
    /// Until then the order waits.
    deadline: Deadline,
}

impl Question {
    pub(super) fn about(lines: &OrderLines, deadline: Deadline) -> Self {
        let pieces = availability::pieces_by_sku(lines).into_iter();
        Self {
            pieces: pieces.map(|(sku, pieces)| (sku.into(), pieces)).collect(),
            deadline,
        }
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = (&Arc<str>, i64)> {
        self.pieces.iter().map(|(sku, pieces)| (sku, *pieces))
    }
}

/// A call on its way; each order of the batch waits for it.
pub(super) type OngoingCall = Shared<BoxFuture<'static, Result<Arc<Reports>, CheckFailed>>>;

/// Why a call brought no report.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum CheckFailed {
    #[error("the call failed with {0:?}")]
    Status(Code),
    #[error(transparent)]
    Response(#[from] InvalidResponse),
}

impl Classified for CheckFailed {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Status(code) if blames_request(*code) => ErrorClass::Damaged,
            // Every other call would fail as well, or the breaker must know first.
            Self::Status(_) | Self::Response(_) => ErrorClass::Unavailable,
        }
    }
}

fn blames_request(code: Code) -> bool {
    matches!(code, Code::InvalidArgument | Code::OutOfRange)
}

/// Makes the calls.
#[derive(Debug)]
pub(super) struct SharedCalls {
    pub(super) client: ServiceClient,
    pub(super) cache: Arc<ReportCache>,
    /// How long a call holds up the next one.
    pub(super) patience: Duration,
    /// The calls beyond it; they end at their deadlines.
    pub(super) overdue: TaskTracker,
}

#[async_trait]
impl Committer for SharedCalls {
    type Command = Question;
    type Reply = OngoingCall;
    type Error = CheckFailed;

    const NAME: &'static str = "availability";

    /// A call makes nothing durable.
    const HAS_CRASH_POINTS: bool = false;

    /// Begins the call of these orders and waits for it, but not longer than its patience.
    async fn commit(&self, batch: &[Question]) -> Result<Vec<OngoingCall>, CheckFailed> {
        let call = self.call(batch).boxed().shared();
        match time::timeout(self.patience, call.clone()).await {
            Ok(Err(failed)) => return Err(failed),
            Ok(Ok(_)) => {}
            Err(_) => drop(self.overdue.spawn(call.clone())),
        }
        Ok(vec![call; batch.len()])
    }
}

impl SharedCalls {
    /// Asks for what is not known, in several requests if there are too many items for one. Fails if none of them was
    /// answered.
    fn call(
        &self,
        batch: &[Question],
    ) -> impl Future<Output = Result<Arc<Reports>, CheckFailed>> + Send + use<> {
        let begun = Instant::now();
        let (mut reports, unknown) = self.cache.known(batch, begun);
        let asking = self.ask(&unknown, latest_deadline(batch));
        let cache = Arc::clone(&self.cache);
        async move {
            let answers = asking.await;
            let mut failures = answers.iter().filter_map(|answer| answer.as_ref().err());
            let (failure, is_answered) =
                (failures.next().copied(), answers.iter().any(Result::is_ok));
            for answer in answers.into_iter().flatten() {
                cache.insert(&answer, begun);
                reports.extend(answer);
            }
            match failure {
                Some(failure) if !is_answered => Err(failure),
                _ => Ok(Arc::new(reports)),
            }
        }
    }

    /// The answers to all requests, made at the same time: no more of them than orders.
    fn ask(
        &self,
        pieces: &Pieces,
        deadline: Deadline,
    ) -> impl Future<Output = Vec<Result<Reports, CheckFailed>>> + Send + use<> {
        let requests = availability::requests(pieces).into_iter();
        join_all(requests.map(|request| send(self.client.clone(), request, deadline)))
    }
}

/// The deadlines of orders have an end: the timeout of the check.
fn latest_deadline(batch: &[Question]) -> Deadline {
    let deadlines = batch.iter().map(|question| question.deadline);
    let latest = deadlines.max_by_key(|deadline| deadline.remaining());
    latest.unwrap_or(Deadline::NEVER)
}

async fn send(
    client: ServiceClient,
    message: CheckAvailabilityRequest,
    deadline: Deadline,
) -> Result<Reports, CheckFailed> {
    let client = InventoryServiceClient::new(client);
    let mut client = client.max_decoding_message_size(MAX_RESPONSE_BYTES);
    let mut request = Request::new(message.clone());
    request.extensions_mut().insert(deadline);
    let response = client.check_availability(request).await;
    let response = response.map_err(|status| failed(&status))?;
    let reports = availability::reports(&message, response.get_ref());
    Ok(reports.inspect_err(|error| {
        tracing::warn!(%error, "invalid CheckAvailability response");
    })?)
}

/// The breaker logs an outage, once. A status that blames the request is logged here.
fn failed(status: &Status) -> CheckFailed {
    let code = status.code();
    if blames_request(code) {
        tracing::warn!(?code, "CheckAvailability request refused as invalid");
    } else {
        tracing::debug!(?code, "availability check failed");
    }
    CheckFailed::Status(code)
}

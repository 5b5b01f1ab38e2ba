//! One call with its attempts: each on a different replica if possible, none beyond the deadline.
//!
//! A request that no method has seen is sent once more at once, without counting as an attempt (transparent retry, gRFC
//! A6). A call whose response has begun is never retried. If the backoff would exceed the deadline, the last response
//! is returned instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Response};
use prost::bytes::Bytes;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt;

use super::endpoints::{Endpoints, PickedEndpoint};
use super::message::{connection_status, is_unprocessed, replay_body, whole_answer};
use super::pool::{AttemptVerdict, Peer};
use super::retry::{CallAttempts, Pushback, RetryBudget};
use super::service_config::MethodPolicy;
use crate::grpc_timeout::{GRPC_TIMEOUT, format_timeout};
use crate::status::CallRejection;
use service::deadline::Deadline;

/// Number of previous attempts, for the server.
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";

pub(super) struct OutgoingCall<'a> {
    pub(super) endpoints: &'a Arc<Endpoints>,
    pub(super) budget: &'a RetryBudget,
    pub(super) policy: &'a MethodPolicy,
    /// Domain of the errors that are made here.
    pub(super) caller: &'static str,
    pub(super) deadline: Deadline,
    pub(super) head: Parts,
    pub(super) message: Bytes,
}

struct AttemptOutcome {
    response: Response<Body>,
    code: Code,
    progress: AttemptProgress,
    pushback: Option<Pushback>,
    /// The replica of the attempt; `None` if there was none.
    peer: Option<Peer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AttemptProgress {
    /// No method can have seen the request: it was not sent, or the server says that it did not process it.
    Unseen,
    /// A method may have seen the request.
    Sent,
    /// The response has begun: no retry.
    Committed,
}

use AttemptProgress::{Committed, Sent, Unseen};

impl OutgoingCall<'_> {
    /// Makes the call; the response is complete.
    pub(super) async fn make(&self) -> (Response<Body>, Code) {
        let mut attempts = CallAttempts::new(self.policy.retry.as_ref(), self.budget);
        let mut may_resend = true;
        let mut avoid = None;
        loop {
            let answer = self.attempt(attempts.made(), avoid.as_ref()).await;
            if answer.progress == Committed {
                attempts.committed(answer.code);
                return (answer.response, answer.code);
            }
            let is_unseen = answer.progress == Unseen && answer.peer.is_some();
            if is_unseen && std::mem::take(&mut may_resend) && !self.deadline.has_passed() {
                avoid = answer.peer;
                continue;
            }
            match attempts.failed(answer.code, answer.pushback) {
                Some(wait) if self.has_time_for(wait) => tokio::time::sleep(wait).await,
                _ => return (answer.response, answer.code),
            }
            attempts.count_retry();
            avoid = answer.peer;
        }
    }

    fn has_time_for(&self, wait: Duration) -> bool {
        self.deadline.remaining().is_none_or(|left| wait < left)
    }

    async fn attempt(&self, previous: u32, avoid: Option<&Peer>) -> AttemptOutcome {
        let endpoint = match self.deadline.bound(self.endpoints.pick(avoid)).await {
            Ok(Some(endpoint)) => endpoint,
            Ok(None) => return self.rejected(CallRejection::DependencyUnavailable, Unseen),
            Err(_) => return self.rejected(CallRejection::DeadlineExceeded, Unseen),
        };
        let (body, was_sent) = replay_body(self.message.clone());
        let request = self.request(body, previous);
        let sending = send(&endpoint, request, &was_sent);
        let sent = self.deadline.bound(sending).await;
        let is_connected = !matches!(sent, Ok((_, Err(_))));
        let mut answer = match sent {
            Ok((progress, outcome)) => self.outcome(outcome, progress),
            Err(_) => self.rejected(CallRejection::DeadlineExceeded, Sent),
        };
        answer.peer = Some(endpoint.report(verdict(answer.code), is_connected));
        answer
    }

    fn request(&self, body: Body, previous: u32) -> http::Request<Body> {
        let mut request = http::Request::from_parts(self.head.clone(), body);
        let headers = request.headers_mut();
        headers.remove(PREVIOUS_ATTEMPTS);
        if previous > 0 {
            headers.insert(PREVIOUS_ATTEMPTS, HeaderValue::from(previous));
        }
        if let Some(left) = self.deadline.remaining() {
            headers.insert(GRPC_TIMEOUT, format_timeout(left));
        }
        request
    }

    /// The outcome of a response, or of a failed connection.
    fn outcome(
        &self,
        outcome: Result<(Response<Body>, Code), Status>,
        progress: AttemptProgress,
    ) -> AttemptOutcome {
        match outcome {
            Ok((response, code)) => AttemptOutcome::new(response, code, progress),
            Err(status) if status.code() == Code::DeadlineExceeded => {
                self.rejected(CallRejection::DeadlineExceeded, Sent)
            }
            Err(status) => {
                let code = status.code();
                AttemptOutcome::new(status.into_http(), code, progress)
            }
        }
    }

    fn rejected(&self, rejection: CallRejection, progress: AttemptProgress) -> AttemptOutcome {
        let response = rejection.status(self.caller).into_http();
        AttemptOutcome::new(response, rejection.code(), progress)
    }
}

impl AttemptOutcome {
    fn new(response: Response<Body>, code: Code, progress: AttemptProgress) -> Self {
        Self {
            pushback: Pushback::read(response.headers()),
            response,
            code,
            progress,
            peer: None,
        }
    }
}

/// Sends the request and reads the whole response, which its headers commit. Headers that contain the status are the
/// whole response, and a retry may follow.
async fn send(
    endpoint: &PickedEndpoint,
    request: http::Request<Body>,
    was_sent: &AtomicBool,
) -> (AttemptProgress, Result<(Response<Body>, Code), Status>) {
    match endpoint.channel.clone().oneshot(request).await {
        Ok(response) if is_answer_begun(&response) => (Committed, whole_answer(response).await),
        Ok(response) => (Sent, whole_answer(response).await),
        Err(error) => {
            let was_seen = was_sent.load(Ordering::Acquire) && !is_unprocessed(&error);
            let progress = if was_seen { Sent } else { Unseen };
            (progress, Err(connection_status(error.into())))
        }
    }
}

/// Whether the service has begun to answer: a status alone does not count, nor a proxy's response.
fn is_answer_begun(response: &Response<Body>) -> bool {
    let has_status = response.headers().contains_key(Status::GRPC_STATUS);
    !has_status && response.status() == http::StatusCode::OK
}

/// Verdict on the replica. One that exceeds the deadline counts like one that is unreachable: both fail calls.
fn verdict(code: Code) -> AttemptVerdict {
    match code {
        Code::Unavailable | Code::DeadlineExceeded => AttemptVerdict::Failed,
        _ => AttemptVerdict::Answered,
    }
}

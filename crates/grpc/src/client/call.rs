//! One call with its attempts: each on a different replica if possible, none beyond the deadline.
//!
//! A request that was never sent is sent once more at once, without counting as an attempt (transparent retry, gRFC
//! A6). A call whose response has begun is never retried. If the backoff would exceed the deadline, the last response
//! is returned instead.

use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Response};
use prost::bytes::Bytes;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt;

use super::endpoints::{Endpoints, PickedEndpoint};
use super::message::{ReplayBody, connection_status, whole_answer};
use super::pool::{AttemptVerdict, Peer};
use super::retry::{CallAttempts, Pushback, RetryBudget};
use super::service_config::MethodPolicy;
use crate::grpc_timeout::{GRPC_TIMEOUT, format_timeout};
use crate::status::CallRejection;
use service::deadline::Deadline;

/// Number of previous attempts, for the server.
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";

pub(super) struct OutgoingCall<'a> {
    pub(super) endpoints: &'a Endpoints,
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
    /// No server can have seen the request.
    NotSent,
    /// A server may have seen the request.
    Sent,
    /// The response has begun: no retry.
    Committed,
}

impl OutgoingCall<'_> {
    /// Makes the call; the response is complete.
    pub(super) async fn make(&self) -> (Response<Body>, Code) {
        let mut attempts = CallAttempts::new(self.policy.retry.as_ref(), self.budget);
        let mut may_resend = true;
        let mut avoid = None;
        loop {
            let answer = self.attempt(attempts.made(), avoid.as_ref()).await;
            if answer.progress == AttemptProgress::Committed {
                attempts.committed(answer.code);
                return (answer.response, answer.code);
            }
            let is_unsent = answer.progress == AttemptProgress::NotSent && answer.peer.is_some();
            if is_unsent && std::mem::take(&mut may_resend) && !self.deadline.has_passed() {
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
        let picked = self.deadline.bound(self.endpoints.pick(avoid)).await;
        let endpoint = match picked {
            Ok(Some(endpoint)) => endpoint,
            Ok(None) => {
                return self.rejected(
                    CallRejection::DependencyUnavailable,
                    AttemptProgress::NotSent,
                );
            }
            Err(_) => {
                return self.rejected(CallRejection::DeadlineExceeded, AttemptProgress::NotSent);
            }
        };
        let (body, sent_flag) = ReplayBody::new(self.message.clone());
        let request = self.request(body, previous);
        let sent = self.deadline.bound(send(&endpoint, request)).await;
        let is_connected = !matches!(sent, Ok(Err(_)));
        let mut answer = match sent {
            Ok(Ok((response, is_committed, code))) => AttemptOutcome {
                pushback: Pushback::read(response.headers()),
                progress: if is_committed {
                    AttemptProgress::Committed
                } else {
                    AttemptProgress::Sent
                },
                response,
                code,
                peer: None,
            },
            Ok(Err(failure)) => self.failure(failure, sent_flag.was_sent()),
            Err(_) => self.rejected(CallRejection::DeadlineExceeded, AttemptProgress::Sent),
        };
        answer.peer = Some(endpoint.report(verdict(answer.code), is_connected));
        answer
    }

    fn request(&self, body: ReplayBody, previous: u32) -> http::Request<Body> {
        let mut request = http::Request::new(Body::new(body));
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        *request.version_mut() = self.head.version;
        let headers = request.headers_mut();
        *headers = self.head.headers.clone();
        headers.remove(PREVIOUS_ATTEMPTS);
        if previous > 0 {
            headers.insert(PREVIOUS_ATTEMPTS, HeaderValue::from(previous));
        }
        if let Some(left) = self.deadline.remaining() {
            headers.insert(GRPC_TIMEOUT, format_timeout(left));
        }
        request
    }

    /// The status of a failed connection.
    fn failure(&self, failure: AttemptError, was_sent: bool) -> AttemptOutcome {
        let AttemptError {
            status,
            is_committed,
        } = failure;
        if status.code() == Code::DeadlineExceeded {
            return self.rejected(CallRejection::DeadlineExceeded, AttemptProgress::Sent);
        }
        AttemptOutcome {
            code: status.code(),
            response: status.into_http(),
            progress: match (is_committed, was_sent) {
                (true, _) => AttemptProgress::Committed,
                (false, true) => AttemptProgress::Sent,
                (false, false) => AttemptProgress::NotSent,
            },
            pushback: None,
            peer: None,
        }
    }

    fn rejected(&self, rejection: CallRejection, progress: AttemptProgress) -> AttemptOutcome {
        AttemptOutcome {
            response: rejection.status(self.caller).into_http(),
            code: rejection.code(),
            progress,
            pushback: None,
            peer: None,
        }
    }
}

/// A failed connection, before or after the response had begun.
struct AttemptError {
    status: Status,
    is_committed: bool,
}

/// Sends the request and reads the whole response; the flag tells whether the response was committed by its headers.
/// Headers that contain the status are the whole response, and a retry may follow.
async fn send(
    endpoint: &PickedEndpoint,
    request: http::Request<Body>,
) -> Result<(Response<Body>, bool, Code), AttemptError> {
    let sent = endpoint.channel.clone().oneshot(request).await;
    let response = sent.map_err(|error| AttemptError {
        status: connection_status(error.into()),
        is_committed: false,
    })?;
    let is_committed = is_answer_begun(&response);
    let taken_in = whole_answer(response).await;
    let (response, code) = taken_in.map_err(|status| AttemptError {
        status,
        is_committed,
    })?;
    Ok((response, is_committed, code))
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

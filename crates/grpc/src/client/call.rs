//! One call with its attempts: each on another replica if there is one, none of them beyond the deadline.
//!
//! What was never sent is sent once more at once, without counting as an attempt (a transparent retry of gRFC A6). What
//! has begun to be answered is never sent again. A wait that would pass the deadline is not begun: the last answer stands.

use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Response};
use prost::bytes::Bytes;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt;

use super::endpoints::{Endpoints, Ticket};
use super::message::{Replay, connection_status, whole_answer};
use super::pool::{Peer, Verdict};
use super::retry::{Attempts, Pushback, RetryBudget};
use super::service_config::MethodPolicy;
use crate::grpc_timeout::{GRPC_TIMEOUT, format_timeout};
use crate::server::refusal::Refusal;
use service::deadline::Deadline;

/// How many attempts went before, for the server's eyes.
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";

/// A call that is to be made.
pub(super) struct Call<'a> {
    pub(super) endpoints: &'a Endpoints,
    pub(super) budget: &'a RetryBudget,
    pub(super) policy: &'a MethodPolicy,
    /// Who calls, for statuses that are made here.
    pub(super) caller: &'static str,
    pub(super) deadline: Deadline,
    pub(super) head: Parts,
    pub(super) message: Bytes,
}

/// How an attempt ended.
struct Answer {
    response: Response<Body>,
    code: Code,
    progress: Progress,
    pushback: Option<Pushback>,
    /// Who was asked, if anybody.
    peer: Option<Peer>,
}

/// How far an attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// No server can have seen it.
    NotSent,
    /// A server may have seen it.
    Sent,
    /// The answer has begun: it counts.
    Committed,
}

impl Call<'_> {
    /// Makes the call; the response is whole.
    pub(super) async fn make(&self) -> (Response<Body>, Code) {
        let mut attempts = Attempts::new(self.policy.retry.as_ref(), self.budget);
        let mut may_repeat_unseen = true;
        let mut avoid = None;
        loop {
            let answer = self.attempt(attempts.made(), avoid.as_ref()).await;
            if answer.progress == Progress::Committed {
                attempts.committed(answer.code);
                return (answer.response, answer.code);
            }
            let is_unseen = answer.progress == Progress::NotSent && answer.peer.is_some();
            if is_unseen && std::mem::take(&mut may_repeat_unseen) && !self.deadline.has_passed() {
                avoid = answer.peer;
                continue;
            }
            match attempts.failed(answer.code, answer.pushback) {
                Some(wait) if self.has_time_for(wait) => tokio::time::sleep(wait).await,
                _ => return (answer.response, answer.code),
            }
            attempts.repeats();
            avoid = answer.peer;
        }
    }

    fn has_time_for(&self, wait: Duration) -> bool {
        self.deadline.remaining().is_none_or(|left| wait < left)
    }

    async fn attempt(&self, previous: u32, avoid: Option<&Peer>) -> Answer {
        let picked = self.deadline.bound(self.endpoints.pick(avoid)).await;
        let ticket = match picked {
            Ok(Some(ticket)) => ticket,
            Ok(None) => return self.refusal(Refusal::DependencyUnavailable, Progress::NotSent),
            Err(_) => return self.refusal(Refusal::DeadlineExceeded, Progress::NotSent),
        };
        let (body, receipt) = Replay::new(self.message.clone());
        let request = self.request(body, previous);
        let sent = self.deadline.bound(send(&ticket, request)).await;
        let is_connected = !matches!(sent, Ok(Err(_)));
        let mut answer = match sent {
            Ok(Ok((response, is_committed, code))) => Answer {
                pushback: Pushback::read(response.headers()),
                progress: if is_committed {
                    Progress::Committed
                } else {
                    Progress::Sent
                },
                response,
                code,
                peer: None,
            },
            Ok(Err(failure)) => self.failure(failure, receipt.was_sent()),
            Err(_) => self.refusal(Refusal::DeadlineExceeded, Progress::Sent),
        };
        answer.peer = Some(ticket.report(verdict(answer.code), is_connected));
        answer
    }

    fn request(&self, body: Replay, previous: u32) -> http::Request<Body> {
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

    /// The connection failed.
    fn failure(&self, failure: Failure, was_sent: bool) -> Answer {
        let Failure {
            status,
            is_committed,
        } = failure;
        if status.code() == Code::DeadlineExceeded {
            return self.refusal(Refusal::DeadlineExceeded, Progress::Sent);
        }
        Answer {
            code: status.code(),
            response: status.into_http(),
            progress: match (is_committed, was_sent) {
                (true, _) => Progress::Committed,
                (false, true) => Progress::Sent,
                (false, false) => Progress::NotSent,
            },
            pushback: None,
            peer: None,
        }
    }

    fn refusal(&self, refusal: Refusal, progress: Progress) -> Answer {
        Answer {
            response: refusal.status(self.caller).into_http(),
            code: refusal.code(),
            progress,
            pushback: None,
            peer: None,
        }
    }
}

/// A connection failed, before or after the answer had begun.
struct Failure {
    status: Status,
    is_committed: bool,
}

/// Sends the request and takes in the whole answer; also whether the answer has counted from its headers on. Headers with
/// the status in them are all there is of the answer, and may be followed by another attempt.
async fn send(
    ticket: &Ticket,
    request: http::Request<Body>,
) -> Result<(Response<Body>, bool, Code), Failure> {
    let sent = ticket.channel.clone().oneshot(request).await;
    let response = sent.map_err(|error| Failure {
        status: connection_status(error.into()),
        is_committed: false,
    })?;
    let is_committed = is_answer_begun(&response);
    let taken_in = whole_answer(response).await;
    let (response, code) = taken_in.map_err(|status| Failure {
        status,
        is_committed,
    })?;
    Ok((response, is_committed, code))
}

/// Whether a service has begun to answer: not with a status alone, and not a proxy instead of it.
fn is_answer_begun(response: &Response<Body>) -> bool {
    let has_status = response.headers().contains_key(Status::GRPC_STATUS);
    !has_status && response.status() == http::StatusCode::OK
}

/// What the end of an attempt says about the replica. One that lets a call wait beyond its deadline is as bad as one that
/// is away: both cost calls.
fn verdict(code: Code) -> Verdict {
    match code {
        Code::Unavailable | Code::DeadlineExceeded => Verdict::Failed,
        _ => Verdict::Answered,
    }
}

//! Span and duration of one call, the server's or the client's; recorded when it is dropped.

use std::sync::Arc;
use std::time::Instant;

use tonic::Code;

use crate::status::code_name;
use telemetry::instruments::Histogram;
use telemetry::names::attributes;
use telemetry::span::Span;
use telemetry::vocabulary::{Label, Labels};

/// A call in flight.
#[derive(Debug)]
pub(crate) struct CallRecord {
    pub(crate) span: Span,
    pub(crate) method: Arc<str>,
    /// Further labels.
    pub(crate) labels: Vec<Label>,
    pub(crate) durations: Histogram,
    pub(crate) began: Instant,
    /// CANCELLED until the call has ended.
    pub(crate) code: Code,
    /// Which codes are errors of this side.
    pub(crate) is_failure: fn(Code) -> bool,
}

impl CallRecord {
    pub(crate) fn ended(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        let code = code_name(self.code);
        let is_failure = (self.is_failure)(self.code);
        let call = [
            attributes::RPC_SYSTEM_NAME.label("grpc"),
            attributes::RPC_METHOD.known(&self.method),
            attributes::RPC_RESPONSE_STATUS_CODE.label(code),
        ];
        let further = self.labels.drain(..);
        let failure = is_failure.then(|| attributes::ERROR_TYPE.label(code));
        let labels = Labels::of(call.into_iter().chain(further).chain(failure));
        self.span.describe_as(&labels);
        if is_failure {
            self.span.mark_failed();
        }
        self.durations.record_time(self.began.elapsed(), &labels);
    }
}

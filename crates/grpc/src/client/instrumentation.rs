//! Span and duration of each call, over all its attempts.
//!
//! Every status but `OK` is an error for a client ("Semantic conventions for gRPC"), also one made here by the breaker
//! or the deadline. The server is named as configured: by the first address, if there are several.

use std::sync::Arc;
use std::time::Instant;

use http::Request;
use opentelemetry::Context;
use tonic::Code;

use super::address::Addresses;
use crate::status;
use telemetry::instruments::Histogram;
use telemetry::names::{attributes, metrics, spans};
use telemetry::span::Span;
use telemetry::vocabulary::Labels;

#[derive(Debug)]
pub(super) struct ClientTelemetry {
    server: Option<(Arc<str>, u16)>,
    durations: Histogram,
}

impl ClientTelemetry {
    pub(super) fn new(addresses: &Addresses) -> Self {
        let first = addresses.iter().next();
        Self {
            server: first.map(|address| (Arc::from(address.host()), address.port())),
            durations: metrics::RPC_CLIENT_CALL_DURATION.histogram(),
        }
    }

    /// Methods come from generated clients, so their number is bounded.
    pub(super) fn begin<B>(&self, request: &Request<B>) -> ClientCallRecord {
        let method: Arc<str> = Arc::from(request.uri().path().trim_start_matches('/'));
        ClientCallRecord {
            span: spans::RPC_CLIENT.within(method.to_string()),
            method,
            server: self.server.clone(),
            began: Instant::now(),
            durations: self.durations.clone(),
            code: Code::Cancelled,
        }
    }
}

/// A call in flight; recorded on drop.
#[derive(Debug)]
pub(super) struct ClientCallRecord {
    span: Span,
    method: Arc<str>,
    server: Option<(Arc<str>, u16)>,
    began: Instant,
    durations: Histogram,
    /// CANCELLED until it has ended.
    code: Code,
}

impl ClientCallRecord {
    /// The trace context to propagate.
    pub(super) fn context(&self) -> &Context {
        self.span.context()
    }

    pub(super) fn ended(mut self, code: Code) {
        self.code = code;
    }

    fn labels(&self, code: &'static str) -> Labels {
        let call = [
            attributes::RPC_SYSTEM_NAME.label("grpc"),
            attributes::RPC_METHOD.known(&self.method),
            attributes::RPC_RESPONSE_STATUS_CODE.label(code),
        ];
        let server = self.server.iter().flat_map(|(host, port)| {
            [
                attributes::SERVER_ADDRESS.known(host),
                attributes::SERVER_PORT.numbered(i32::from(*port)),
            ]
        });
        let failure = (self.code != Code::Ok).then(|| attributes::ERROR_TYPE.label(code));
        Labels::of(call.into_iter().chain(server).chain(failure))
    }
}

impl Drop for ClientCallRecord {
    fn drop(&mut self) {
        let code = status::code_name(self.code);
        let labels = self.labels(code);
        self.span.describe_as(&labels);
        if self.code != Code::Ok {
            self.span.mark_failed();
        }
        self.durations.record_time(self.began.elapsed(), &labels);
    }
}

//! The span and the measurement of each call, over all its attempts.
//!
//! Every status but `OK` is an error for who has called ("Semantic conventions for gRPC"), also one that the breaker or
//! the deadline has made here. The server is named as it is configured: the first address, if there are several.

use std::sync::Arc;
use std::time::Instant;

use http::Request;
use opentelemetry::Context;
use tonic::Code;

use super::Addresses;
use crate::server::status_code;
use telemetry::instruments::Histogram;
use telemetry::names::{attributes, metrics, spans};
use telemetry::span::Span;
use telemetry::vocabulary::Labels;

/// Watches the calls of one client.
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

    /// The methods are those of generated clients, so that their names are few.
    pub(super) fn begin<B>(&self, request: &Request<B>) -> ObservedCall {
        let method: Arc<str> = Arc::from(request.uri().path().trim_start_matches('/'));
        ObservedCall {
            span: spans::RPC_CLIENT.within(method.to_string()),
            method,
            server: self.server.clone(),
            began: Instant::now(),
            durations: self.durations.clone(),
            code: Code::Cancelled,
        }
    }
}

/// A call that is not over. When it is dropped, it is.
#[derive(Debug)]
pub(super) struct ObservedCall {
    span: Span,
    method: Arc<str>,
    server: Option<(Arc<str>, u16)>,
    began: Instant,
    durations: Histogram,
    /// How it ended; given up, until it has.
    code: Code,
}

impl ObservedCall {
    /// What is handed to the server.
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

impl Drop for ObservedCall {
    fn drop(&mut self) {
        let code = status_code::name(self.code);
        let labels = self.labels(code);
        self.span.describe_as(&labels);
        if self.code != Code::Ok {
            self.span.mark_failed();
        }
        self.durations.record_time(self.began.elapsed(), &labels);
    }
}

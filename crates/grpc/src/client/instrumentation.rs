//! Span and duration of each call, over all its attempts.
//!
//! Every status but `OK` is an error for a client ("Semantic conventions for gRPC"), also one made here by the breaker
//! or the deadline. The server is named as configured: by the first address, if there are several.

use std::sync::Arc;
use std::time::Instant;

use http::Request;
use tonic::Code;

use super::address::Addresses;
use crate::call_record::CallRecord;
use telemetry::instruments::Histogram;
use telemetry::names::{attributes, metrics, spans};
use telemetry::vocabulary::Label;

#[derive(Debug)]
pub(super) struct ClientTelemetry {
    server: Vec<Label>,
    durations: Histogram,
}

impl ClientTelemetry {
    pub(super) fn new(addresses: &Addresses) -> Self {
        let server = addresses.iter().take(1).flat_map(|address| {
            [
                attributes::SERVER_ADDRESS.known(&Arc::from(address.host())),
                attributes::SERVER_PORT.numbered(i32::from(address.port())),
            ]
        });
        Self {
            server: server.collect(),
            durations: metrics::RPC_CLIENT_CALL_DURATION.histogram(),
        }
    }

    /// Methods come from generated clients, so their number is bounded.
    pub(super) fn begin<B>(&self, request: &Request<B>) -> CallRecord {
        let method: Arc<str> = Arc::from(request.uri().path().trim_start_matches('/'));
        CallRecord {
            span: spans::RPC_CLIENT.within(method.to_string()),
            method,
            labels: self.server.clone(),
            durations: self.durations.clone(),
            began: Instant::now(),
            code: Code::Cancelled,
            is_failure: |code| code != Code::Ok,
        }
    }
}

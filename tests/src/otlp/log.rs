//! Received log records.

use hyper::body::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord as SentRecord;
use prost::{DecodeError, Message as _};

use super::span::digits;
use super::value::{Attributes, attributes, service, value};

#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    pub service: String,
    /// Hexadecimal trace id; empty outside of a trace.
    pub trace_id: String,
    pub message: String,
    pub attributes: Attributes,
}

pub(super) fn decode(body: Bytes) -> Result<Vec<LogRecord>, DecodeError> {
    let request = ExportLogsServiceRequest::decode(body)?;
    let mut records = Vec::new();
    for resource_logs in request.resource_logs {
        let service = service(resource_logs.resource);
        let scopes = resource_logs.scope_logs.into_iter();
        let sent = scopes.flat_map(|scope| scope.log_records);
        records.extend(sent.map(|record| received(record, &service)));
    }
    Ok(records)
}

fn received(sent: SentRecord, service: &str) -> LogRecord {
    LogRecord {
        service: service.to_owned(),
        trace_id: digits(&sent.trace_id),
        message: value(sent.body.and_then(|body| body.value)).to_string(),
        attributes: attributes(sent.attributes),
    }
}

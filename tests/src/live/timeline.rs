//! One order: its history from order-service, and its trace from the receiver.

use std::sync::Arc;
use std::time::Duration;

use proto::orders::v1::{GetOrderRequest, OrderHistoryEntry, WatchOrderRequest};
use serde::Serialize;
use tonic::{Code, Request, Status};

use super::board::{milliseconds, rounded};
use super::front::Refusal;
use crate::client::OrderClient;
use crate::client::connections::Connections;
use crate::client::vocabulary::{availability_name, rejection_name, status_name};
use crate::otlp::Receiver;
use crate::waterfall::{self, WaterfallRow};

/// Deadline of a call.
const CALL: Duration = Duration::from_secs(2);

/// The attributes that hold the id of an order.
const ORDER_ATTRIBUTES: [&str; 2] = ["messaging.kafka.message.key", "order.id"];

#[derive(Debug, Serialize)]
pub(super) struct OrderTimeline {
    id: String,
    customer: String,
    lines: usize,
    status: &'static str,
    availability: &'static str,
    events: Vec<TimelineEvent>,
    spans: Vec<TimelineSpan>,
}

#[derive(Debug, Serialize)]
struct TimelineEvent {
    version: i64,
    name: String,
    status: &'static str,
    reason: Option<&'static str>,
    /// Since the first event.
    after_ms: f64,
}

#[derive(Debug, Serialize)]
struct TimelineSpan {
    service: String,
    kind: String,
    name: String,
    depth: usize,
    from_ms: f64,
    takes_ms: f64,
    failed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Timelines {
    pub(super) connections: Connections,
    pub(super) receiver: Option<Arc<Receiver>>,
}

impl Timelines {
    /// The history up to now, and the spans that were received by now.
    ///
    /// # Errors
    /// When order-service does not know the order, or does not answer.
    pub(super) async fn of(&self, order_id: &str) -> Result<OrderTimeline, Refusal> {
        let mut client = self.connections.next();
        let order_id = order_id.to_owned();
        let mut request = Request::new(GetOrderRequest {
            order_id: order_id.clone(),
        });
        request.set_timeout(CALL);
        let answer = client
            .get_order(request)
            .await
            .map_err(|status| refusal(&status))?;
        let order = answer.into_inner().order.unwrap_or_default();
        let history = history(&mut client, &order_id, order.version)
            .await
            .map_err(|status| refusal(&status))?;
        Ok(OrderTimeline {
            customer: order.customer_id,
            lines: order.lines.len(),
            status: status_name(order.status),
            availability: availability_name(order.availability),
            events: events(&history),
            spans: self.spans(&order_id),
            id: order_id,
        })
    }

    fn spans(&self, order_id: &str) -> Vec<TimelineSpan> {
        let Some(receiver) = &self.receiver else {
            return Vec::new();
        };
        let traces = ORDER_ATTRIBUTES.map(|attribute| receiver.trace_with(attribute, order_id));
        let trace = traces.into_iter().find(|trace| !trace.spans().is_empty());
        let rows = waterfall::rows(&trace.unwrap_or_default());
        rows.into_iter().map(TimelineSpan::of).collect()
    }
}

impl TimelineSpan {
    fn of(row: WaterfallRow) -> Self {
        Self {
            kind: row.kind.to_string(),
            depth: row.depth,
            from_ms: milliseconds(row.offset),
            takes_ms: milliseconds(row.duration),
            failed: row.failed,
            service: row.service,
            name: row.name,
        }
    }
}

/// The entries up to this version; the stream of an open order would go on.
async fn history(
    client: &mut OrderClient,
    order_id: &str,
    version: i64,
) -> Result<Vec<OrderHistoryEntry>, Status> {
    let mut request = Request::new(WatchOrderRequest {
        order_id: order_id.to_owned(),
        after_version: 0,
    });
    request.set_timeout(CALL);
    let mut stream = client.watch_order(request).await?.into_inner();
    let mut entries = Vec::new();
    while let Some(message) = stream.message().await? {
        entries.extend(message.entry);
        if entries
            .last()
            .is_some_and(|entry: &OrderHistoryEntry| entry.version >= version)
        {
            break;
        }
    }
    Ok(entries)
}

fn events(history: &[OrderHistoryEntry]) -> Vec<TimelineEvent> {
    let time = |entry: &OrderHistoryEntry| {
        let time = entry.occur_time.as_ref();
        time.map_or(0.0, |time| {
            time.seconds as f64 * 1_000.0 + f64::from(time.nanos) / 1_000_000.0
        })
    };
    let start = history.first().map_or(0.0, time);
    let events = history.iter().map(|entry| TimelineEvent {
        version: entry.version,
        name: entry.event_type.clone(),
        status: status_name(entry.status),
        reason: (entry.rejection_reason != 0).then(|| rejection_name(entry.rejection_reason)),
        after_ms: rounded(time(entry) - start),
    });
    events.collect()
}

fn refusal(status: &Status) -> Refusal {
    match status.code() {
        Code::NotFound | Code::InvalidArgument => {
            Refusal::not_found("order-service knows no such order")
        }
        _ => Refusal::unavailable(format!(
            "order-service does not answer: {}",
            status.message()
        )),
    }
}

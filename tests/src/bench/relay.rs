//! Latency of the relay: from the commit of an order to the broker's acknowledgement of its event, at 100 orders per second.
//!
//! Read from the spans that order-service exports for every order of this measurement: the group commit ends with the reply
//! to its command (`commit place`), the send ends with the acknowledgement. Both times are of one clock.

use std::time::Duration;

use anyhow::{Result, ensure};
use proto::topics::ORDER_EVENTS;

use super::arguments::Sizes;
use super::end_to_end::unchecked;
use super::figures::Figures;
use super::latency::{self, RATES};
use super::pair::Pair;
use crate::otlp::Receiver;
use crate::otlp::span::SpanKind;
use crate::otlp::trace::Trace;
use crate::stack::Service;

/// The spans of an order in order-service are about a dozen, and the receiver keeps 50,000.
const MAX_LENGTH: Duration = Duration::from_secs(20);

pub(super) async fn measure(pair: &Pair, sizes: &Sizes, figures: &mut Figures) -> Result<()> {
    let receiver = Receiver::start().await?;
    let mut settings = unchecked();
    settings.extend([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()),
        ("OTEL_TRACES_SAMPLER_ARG", "1".to_owned()),
        // Before the exporter's queue is full.
        ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
    ]);
    pair.start_both(&settings).await?;
    let length = sizes.latency.min(MAX_LENGTH);
    latency::offer(pair, RATES[0].1, length).await?;
    pair.until_all_are_final().await?;
    // Exports the last spans.
    pair.stop_both().await?;

    let latencies: Vec<_> = receiver.traces().iter().filter_map(latency_of).collect();
    ensure!(
        latencies.len() as f64 > RATES[0].1 * length.as_secs_f64() / 2.0,
        "only {} orders have a span of their commit and one of their publication",
        latencies.len()
    );
    figures.add_quantiles("relay_ms", latencies);
    Ok(())
}

/// Milliseconds from the commit of the order of this trace to the acknowledgement of its first event.
fn latency_of(trace: &Trace) -> Option<f64> {
    let commit = trace.named(SpanKind::Internal, "commit place");
    let sends = trace.named(SpanKind::Client, &format!("send {ORDER_EVENTS}"));
    let own = sends
        .iter()
        .find(|span| span.service == Service::Orders.name());
    // The reply to the command may come after the acknowledgement, because its task waits for its turn.
    let nanos = own?.end.saturating_sub(commit.first()?.end);
    Some(nanos as f64 / 1e6)
}

//! One order is one trace: from the client's own span through the call, the outbox, Kafka and processing-service to the
//! outcome, also with retries, duplicates and rejections.

mod observed;

use anyhow::{Context as _, Result, ensure};
use proto::orders::v1::{Order, OrderStatus, RejectionReason};
use proto::topics;
use tests::otlp::span::{Span, SpanKind};
use tests::otlp::trace::Trace;
use tests::system::{Service, TopicRecord};

use observed::{Caller, Observed, names};

const PLACE_ORDER: &str = "orders.v1.OrderService/PlaceOrder";
const WATCH_ORDER: &str = "orders.v1.OrderService/WatchOrder";
const CHECK_AVAILABILITY: &str = "inventory.v1.InventoryService/CheckAvailability";

/// Each topic with its producer and its consumer.
const TOPICS: [(&str, Service, Service); 2] = [
    (topics::ORDER_EVENTS, Service::Orders, Service::Processing),
    (
        topics::PROCESSING_EVENTS,
        Service::Processing,
        Service::Orders,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_fulfilled_order_is_one_trace_from_the_clients_call_to_its_outcome() -> Result<()> {
    let observed = Observed::start().await?;
    let client = Caller::new();

    let order = observed.place(&client, "tok_approved").await?;
    observed.watch(&client, &order).await?;

    let trace = observed.trace_of(&client, &order).await?;
    the_call_asks_before_it_commits(&trace, &client)?;
    each_event_is_sent_and_handled(&observed, &trace, &order).await?;
    for step in ["reserve stock", "capture payment", "ship order"] {
        is_a_step(&observed, &trace, step)?;
    }
    for service in Service::PAIR {
        statements_are_part_of_the_trace(&trace, service)?;
    }
    observed
        .has(&client, WATCH_ORDER, |trace| {
            trace.named(SpanKind::Server, WATCH_ORDER).len() == 1
        })
        .await?;
    observed.system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_stay_in_the_trace() -> Result<()> {
    let observed = Observed::start().await?;
    let client = Caller::new();

    let order = observed.place(&client, "tok_timeout_once").await?;
    observed.watch(&client, &order).await?;

    let trace = observed.trace_of(&client, &order).await?;
    each_event_is_sent_and_handled(&observed, &trace, &order).await?;
    let step = is_a_step(&observed, &trace, "capture payment")?;
    let asked = trace.named(SpanKind::Client, "capture payment_gateway");
    let attempts: Vec<_> = asked
        .iter()
        .map(|span| span.attribute("payment.attempt"))
        .collect();
    assert_eq!(attempts, ["1", "2"]);
    assert!(
        asked.iter().all(|span| trace.is_within(span, step)),
        "{asked:?}"
    );
    assert_eq!([asked[0].failed, asked[1].failed], [true, false]);
    observed.system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_order_is_one_trace_too() -> Result<()> {
    let observed = Observed::start().await?;
    let client = Caller::new();

    let order = observed.place(&client, "tok_declined").await?;
    observed.watch(&client, &order).await?;

    let rejected = observed.system.order(&order.order_id).await?;
    assert_eq!(rejected.status(), OrderStatus::Rejected);
    assert_eq!(
        rejected.rejection_reason(),
        RejectionReason::PaymentDeclined
    );
    let trace = observed.trace_of(&client, &order).await?;
    each_event_is_sent_and_handled(&observed, &trace, &order).await?;
    let step = is_a_step(&observed, &trace, "capture payment")?;
    assert_eq!(step.attribute("order.rejection.reason"), "PAYMENT_DECLINED");
    observed.system.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_delivered_twice_is_twice_in_its_trace_and_applied_once() -> Result<()> {
    let observed = Observed::start().await?;
    let client = Caller::new();
    let order = observed.place(&client, "tok_approved").await?;
    observed.watch(&client, &order).await?;
    observed.trace_of(&client, &order).await?;

    let topic = observed.system.topic(topics::ORDER_EVENTS);
    let records = topic.records_about(&order.order_id).await?;
    topic.publish_together(&records).await?;

    let process = observed.span("process", topics::ORDER_EVENTS);
    let twice = 2 * records.len();
    let trace = observed
        .has(&client, "both deliveries", |trace| {
            trace.named(SpanKind::Consumer, &process).len() == twice
        })
        .await?;
    for span in trace.named(SpanKind::Consumer, &process) {
        let decider = client.decider(&records[0])?;
        assert_eq!(span.parent.as_deref(), Some(decider), "{span:?}");
    }
    assert_eq!(observed.system.stock("MUG").await?.shipped, 1);
    let limits = auditor::Limits {
        wire_duplicates: Some(records.len() as u64),
        set_aside: Some(0),
        ..auditor::Limits::default()
    };
    observed.system.finish_within(limits).await.map(drop)
}

/// Every record of the order names the span that decided it. Its producer and consumer spans are children of that span
/// and link to it; so does the poll that received it, in a trace of its own.
async fn each_event_is_sent_and_handled(
    observed: &Observed,
    trace: &Trace,
    order: &Order,
) -> Result<()> {
    for (topic, sender, consumer) in TOPICS {
        let records = observed
            .system
            .topic(topic)
            .records_about(&order.order_id)
            .await?;
        for record in &records {
            let decider = decider(trace, record)?;
            assert_eq!(decider.service, sender.name(), "{decider:?}");
            decider_is_in_its_place(observed, trace, topic, decider)?;
            for (kind, operation, service) in [
                (SpanKind::Client, "send", sender),
                (SpanKind::Consumer, "process", consumer),
            ] {
                let name = observed.span(operation, topic);
                let span = about(trace.named(kind, &name), record)?;
                assert_eq!(span.service, service.name(), "{span:?}");
                assert_eq!(span.parent.as_ref(), Some(&decider.span_id), "{span:?}");
                assert!(span.links_to(&span.trace_id, &decider.span_id), "{span:?}");
                assert_ne!(span.span_id, decider.span_id, "the header was overwritten");
            }
            observed.is_polled(topic, decider).await?;
        }
    }
    Ok(())
}

/// The span that decided an event.
fn decider<'a>(trace: &'a Trace, record: &TopicRecord) -> Result<&'a Span> {
    let header = record.header("traceparent").context("no traceparent")?;
    let span_id = header.split('-').nth(2).context("no span")?;
    trace
        .span(span_id)
        .with_context(|| format!("{header} is none of {:#?}", names(trace)))
}

/// An order is decided by the call; its outcome by the handler of an event.
fn decider_is_in_its_place(
    observed: &Observed,
    trace: &Trace,
    topic: &'static str,
    decider: &Span,
) -> Result<()> {
    let (kind, whole) = match topic {
        topics::ORDER_EVENTS => (SpanKind::Server, PLACE_ORDER.to_owned()),
        _ => (
            SpanKind::Consumer,
            observed.span("process", topics::ORDER_EVENTS),
        ),
    };
    let mut wholes = trace.named(kind, &whole).into_iter();
    ensure!(
        wholes.any(|span| trace.is_within(decider, span)),
        "an event on {topic} was decided by {decider:?}"
    );
    Ok(())
}

/// The span of a record, by the id of its event.
fn about<'a>(spans: Vec<&'a Span>, record: &TopicRecord) -> Result<&'a Span> {
    let id = record.header("ce_id").context("no ce_id")?;
    let mut found = spans
        .into_iter()
        .filter(|span| span.attribute("messaging.message.id") == id);
    let span = found
        .next()
        .with_context(|| format!("no span about the event {id}"))?;
    ensure!(found.next().is_none(), "several spans about the event {id}");
    Ok(span)
}

fn the_call_asks_before_it_commits(trace: &Trace, client: &Caller) -> Result<()> {
    let call = only(trace, (SpanKind::Server, Service::Orders), PLACE_ORDER)?;
    assert_eq!(call.parent.as_ref(), Some(&client.span_id));
    let asked = only(
        trace,
        (SpanKind::Client, Service::Orders),
        CHECK_AVAILABILITY,
    )?;
    assert!(trace.is_within(asked, call), "{asked:?}");
    let answered = only(
        trace,
        (SpanKind::Server, Service::Processing),
        CHECK_AVAILABILITY,
    )?;
    assert_eq!(answered.parent.as_ref(), Some(&asked.span_id));
    let commit = only(trace, (SpanKind::Internal, Service::Orders), "commit place")?;
    assert!(trace.is_within(commit, call), "{commit:?}");
    assert!(
        asked.end <= commit.start,
        "the query ends before the commit"
    );
    Ok(())
}

/// A step of processing-service, as a child of the event handler.
fn is_a_step<'a>(observed: &Observed, trace: &'a Trace, name: &str) -> Result<&'a Span> {
    let step = only(trace, (SpanKind::Internal, Service::Processing), name)?;
    let mut handled = TOPICS
        .iter()
        .flat_map(|(topic, ..)| trace.named(SpanKind::Consumer, &observed.span("process", topic)));
    ensure!(
        handled.any(|whole| trace.is_within(step, whole)),
        "{step:?}"
    );
    Ok(step)
}

fn statements_are_part_of_the_trace(trace: &Trace, service: Service) -> Result<()> {
    let mut spans = trace.spans().iter();
    let statement = spans
        .find(|span| {
            span.service == service.name() && span.attributes.contains_key("db.system.name")
        })
        .with_context(|| format!("{service} has no statement in {:#?}", names(trace)))?;
    ensure!(trace.parent_of(statement).is_some(), "{statement:?}");
    Ok(())
}

fn only<'a>(
    trace: &'a Trace,
    (kind, service): (SpanKind, Service),
    name: &str,
) -> Result<&'a Span> {
    match trace.named(kind, name)[..] {
        [span] if span.service == service.name() => Ok(span),
        _ => anyhow::bail!("not one {kind} {name} of {service} in {:#?}", names(trace)),
    }
}

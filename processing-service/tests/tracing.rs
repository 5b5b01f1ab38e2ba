//! The spans of an order: its steps, its calls to the payment provider, and their outcomes.

use std::sync::LazyLock;

use crate::support::desk::{Desk, at_every_desk, cancellation_of, placed};
use crate::support::fixture::order;
use opentelemetry::Context;
use opentelemetry::trace::{SpanId, Status, TraceId};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use processing_service::domain::{Order, PaymentToken};
use processing_service::names::attributes::{
    ORDER_REJECTION_REASON, ORDER_STEP, PAYMENT_ATTEMPT, PAYMENT_OPERATION,
};
use telemetry::names::attributes::ERROR_TYPE;
use telemetry::names::spans::PROCESS;
use telemetry::vocabulary::{Attribute, SpanKind};
use telemetry::{SamplingRatio, tracer_provider, use_providers};

const CAPTURE: &str = "capture payment_gateway";
const REFUND: &str = "refund payment_gateway";

static SPANS: LazyLock<InMemorySpanExporter> = LazyLock::new(|| {
    let exporter = InMemorySpanExporter::default();
    let provider = tracer_provider(SamplingRatio::ALL).with_simple_exporter(exporter.clone());
    use_providers(&provider.build(), None);
    exporter
});

/// The finished spans of one handled order.
struct Story {
    attempt: SpanId,
    spans: Vec<SpanData>,
}

impl Story {
    /// Delivers the order within a processing span, as the consumer does, optionally with a cancellation queued behind it.
    async fn of(desk: &Desk, order: &Order, is_cancelled: bool) -> Self {
        LazyLock::force(&SPANS);
        let attempt = PROCESS.continuing("attempt", &Context::new(), Vec::new());
        let context = attempt.span_context();
        let followers = is_cancelled.then(|| cancellation_of(order));
        let followers: Vec<_> = followers.into_iter().collect();
        let handled = attempt.carry(desk.handle(placed(order), &followers)).await;
        drop((handled, attempt));
        Self {
            attempt: context.span_id(),
            spans: spans_of(context.trace_id()),
        }
    }

    fn names(&self) -> Vec<&str> {
        self.spans.iter().map(|span| span.name.as_ref()).collect()
    }

    fn all(&self, name: &str) -> Vec<&SpanData> {
        let of_name = |span: &&SpanData| span.name == name;
        self.spans.iter().filter(of_name).collect()
    }

    fn one(&self, name: &str) -> &SpanData {
        let [span] = self.all(name)[..] else {
            panic!("one of {name}: {:?}", self.names())
        };
        span
    }
}

/// The spans of this service in a trace, without those of the crates (statements, commits).
fn spans_of(trace: TraceId) -> Vec<SpanData> {
    let own = |span: &SpanData| {
        let keys = span.attributes.iter().map(|of| of.key.as_str());
        keys.into_iter()
            .any(|key| [ORDER_STEP.name, PAYMENT_OPERATION.name].contains(&key))
    };
    let spans = SPANS.get_finished_spans().unwrap().into_iter();
    spans
        .filter(|span| span.span_context.trace_id() == trace && own(span))
        .collect()
}

/// The value of a span attribute.
fn told(span: &SpanData, attribute: &Attribute) -> Option<String> {
    let found = span.attributes.iter();
    let mut found = found.filter(|of| of.key.as_str() == attribute.name);
    found.next().map(|of| of.value.to_string())
}

fn failure(span: &SpanData) -> Option<String> {
    let failure = told(span, &ERROR_TYPE);
    assert_eq!(span.status == Status::error(""), failure.is_some());
    failure
}

fn paid_with(token: &str) -> Order {
    Order {
        payment_token: PaymentToken::parse(token).unwrap(),
        ..order(&[("A", 3)])
    }
}

#[tokio::test]
async fn step_spans_are_children_of_the_attempt_and_gateway_spans_of_their_step() {
    at_every_desk(&[("A", 10)], async |desk| {
        let story = Story::of(&desk, &paid_with("tok_approved"), false).await;

        let steps = ["reserve stock", "capture payment", "ship order"];
        assert_eq!(
            story.names(),
            [steps[0], CAPTURE, steps[1], steps[2]],
            "as they ended"
        );
        for name in steps {
            let step = story.one(name);
            assert_eq!(step.span_kind, SpanKind::Internal);
            assert_eq!(step.parent_span_id, story.attempt);
            assert_eq!(told(step, &ORDER_STEP).as_deref(), Some(name));
            assert_eq!(failure(step), None);
        }
        let asked = story.one(CAPTURE);
        let step = story.one("capture payment").span_context.span_id();
        assert_eq!(asked.span_kind, SpanKind::Client);
        assert_eq!(asked.parent_span_id, step);
        assert_eq!(told(asked, &PAYMENT_OPERATION).as_deref(), Some("capture"));
        assert_eq!(told(asked, &PAYMENT_ATTEMPT).as_deref(), Some("1"));
        assert_eq!(failure(asked), None);
    })
    .await;
}

#[tokio::test]
async fn a_declined_capture_is_an_error_and_its_step_has_the_rejection_reason() {
    at_every_desk(&[("A", 10)], async |desk| {
        let story = Story::of(&desk, &paid_with("tok_declined"), false).await;

        assert_eq!(story.names(), ["reserve stock", CAPTURE, "capture payment"]);
        assert_eq!(failure(story.one(CAPTURE)).as_deref(), Some("declined"));
        let step = story.one("capture payment");
        assert_eq!(failure(step), None);
        let reason = told(step, &ORDER_REJECTION_REASON);
        assert_eq!(reason.as_deref(), Some("PAYMENT_DECLINED"));
    })
    .await;
}

#[tokio::test]
async fn each_capture_attempt_is_a_span_that_shows_a_timeout() {
    at_every_desk(&[("A", 10)], async |desk| {
        let story = Story::of(&desk, &paid_with("tok_timeout_once"), false).await;

        let asked = story.all(CAPTURE);
        let numbers: Vec<_> = asked
            .iter()
            .map(|span| told(span, &PAYMENT_ATTEMPT).unwrap())
            .collect();
        let failures: Vec<_> = asked.iter().map(|span| failure(span)).collect();
        assert_eq!(numbers, ["1", "2"]);
        assert_eq!(failures, [Some("timed_out".to_owned()), None]);
    })
    .await;
}

#[tokio::test]
async fn an_unavailable_provider_differs_from_a_timeout() {
    at_every_desk(&[("A", 10)], async |desk| {
        let story = Story::of(&desk, &paid_with("tok_unavailable"), false).await;

        let asked = story.all(CAPTURE);
        let failures: Vec<_> = asked.iter().filter_map(|span| failure(span)).collect();
        assert_eq!(failures, ["unavailable"; 3]);
        let end = story.one("compensate order");
        let reason = told(end, &ORDER_REJECTION_REASON);
        assert_eq!(reason.as_deref(), Some("PAYMENT_UNAVAILABLE"));
        let refund = story.one(REFUND);
        assert_eq!(refund.parent_span_id, end.span_context.span_id());
        assert_eq!(refund.span_kind, SpanKind::Client);
        assert_eq!(told(refund, &PAYMENT_OPERATION).as_deref(), Some("refund"));
        assert_eq!(failure(refund), None);
    })
    .await;
}

#[tokio::test]
async fn an_unconfirmed_refund_is_an_error_and_so_is_its_step() {
    at_every_desk(&[("A", 10)], async |desk| {
        desk.gateway.fail_refunds(1);

        let story = Story::of(&desk, &paid_with("tok_unavailable"), false).await;

        assert_eq!(failure(story.one(REFUND)).as_deref(), Some("unavailable"));
        let step = story.one("compensate order");
        assert_eq!(failure(step).as_deref(), Some("refund"));
        assert_eq!(told(step, &ORDER_REJECTION_REASON), None);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_order_is_neither_an_error_nor_a_rejection() {
    at_every_desk(&[("A", 10)], async |desk| {
        let story = Story::of(&desk, &paid_with("tok_approved"), true).await;

        assert_eq!(story.names(), ["cancel order"]);
        let step = story.one("cancel order");
        assert_eq!(failure(step), None);
        assert_eq!(told(step, &ORDER_REJECTION_REASON), None);
    })
    .await;
}

#[tokio::test]
async fn an_out_of_stock_order_has_the_rejection_reason_on_its_step() {
    at_every_desk(&[("A", 2)], async |desk| {
        let story = Story::of(&desk, &paid_with("tok_approved"), false).await;

        assert_eq!(story.names(), ["reserve stock"]);
        let reason = told(story.one("reserve stock"), &ORDER_REJECTION_REASON);
        assert_eq!(reason.as_deref(), Some("OUT_OF_STOCK"));
    })
    .await;
}

#[tokio::test]
async fn no_data_of_a_gateway_request_is_in_the_trace() {
    at_every_desk(&[("A", 10)], async |desk| {
        for token in ["tok_approved", "tok_declined", "tok_timeout_once"] {
            let order = paid_with(token);

            let story = Story::of(&desk, &order, false).await;

            assert!(!story.all(CAPTURE).is_empty());
            // The order id, which is the idempotency key, is only on the processing span.
            let told = format!("{:?}", story.spans);
            for secret in [token.to_owned(), order.id.to_string()] {
                assert!(!told.contains(&secret), "{told}");
            }
        }
    })
    .await;
}

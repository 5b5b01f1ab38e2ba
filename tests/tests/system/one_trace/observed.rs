//! A system that exports its spans to the test, and a client whose trace is checked.

use anyhow::{Context as _, Result, ensure};
use proto::orders::v1::{Order, WatchOrderRequest};
use tests::otlp::Receiver;
use tests::otlp::span::{Span, SpanKind};
use tests::otlp::trace::Trace;
use tests::system::{Draft, Service, System, TopicRecord, eventually};
use tonic::Request;
use uuid::Uuid;

use super::TOPICS;
use crate::telemetry::exporting_to;

/// A client with a trace of its own.
pub(super) struct Caller {
    trace_id: String,
    pub(super) span_id: String,
}

impl Caller {
    pub(super) fn new() -> Self {
        Self {
            trace_id: Uuid::new_v4().simple().to_string(),
            span_id: Uuid::new_v4().simple().to_string()[..16].to_owned(),
        }
    }

    pub(super) fn request<T>(&self, message: T) -> Result<Request<T>> {
        let traceparent = format!("00-{}-{}-01", self.trace_id, self.span_id);
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("traceparent", traceparent.parse()?);
        Ok(request)
    }

    /// The span that decided an event, from the record's header; it must be in this client's trace.
    pub(super) fn decider<'a>(&self, record: &'a TopicRecord) -> Result<&'a str> {
        let header = record.header("traceparent").context("no traceparent")?;
        let (_, after) = header
            .split_once(&*self.trace_id)
            .with_context(|| format!("{header} is not of the trace {}", self.trace_id))?;
        after
            .trim_start_matches('-')
            .split('-')
            .next()
            .context("no span")
    }
}

/// A system that exports its spans to a receiver.
pub(super) struct Observed {
    pub(super) system: System,
    receiver: Receiver,
}

impl Observed {
    pub(super) async fn start() -> Result<Self> {
        let receiver = Receiver::start().await?;
        let url = receiver.url();
        let mut settings = exporting_to(&url, &[]);
        // The first query opens its connection; it shall be answered also on a busy machine.
        settings.push((Service::Orders, "AVAILABILITY_TIMEOUT", "2s"));
        let system = System::start_with(&settings).await?;
        Ok(Self { system, receiver })
    }

    pub(super) async fn place(&self, client: &Caller, token: &str) -> Result<Order> {
        let request = Draft::of("MUG", 1).paid_with(token).request();
        let answer = self
            .system
            .client()
            .place_order(client.request(request)?)
            .await?;
        answer.into_inner().order.context("an order")
    }

    pub(super) async fn watch(&self, client: &Caller, order: &Order) -> Result<()> {
        let request = WatchOrderRequest {
            order_id: order.order_id.clone(),
            after_version: 0,
        };
        let watch = self
            .system
            .client()
            .watch_order(client.request(request)?)
            .await?;
        let mut entries = watch.into_inner();
        while entries.message().await?.is_some() {}
        Ok(())
    }

    /// Waits until the client's trace fulfils the condition, and returns it.
    pub(super) async fn has(
        &self,
        client: &Caller,
        what: &str,
        enough: impl Fn(&Trace) -> bool,
    ) -> Result<Trace> {
        let look = async || {
            let trace = self.receiver.trace(&client.trace_id);
            Ok(enough(&trace).then_some(trace))
        };
        let found = eventually(&format!("the trace has {what}"), look).await;
        found.with_context(|| format!("{:#?}", names(&self.receiver.trace(&client.trace_id))))
    }

    /// The client's trace, once it has the sender and the handler of every event of the order.
    pub(super) async fn trace_of(&self, client: &Caller, order: &Order) -> Result<Trace> {
        let mut expected = Vec::new();
        for (topic, _, _) in TOPICS {
            let records = self
                .system
                .topic(topic)
                .records_about(&order.order_id)
                .await?;
            ensure!(!records.is_empty(), "no event on {topic}");
            for record in &records {
                client.decider(record)?;
            }
            expected.push((SpanKind::Client, self.span("send", topic), records.len()));
            expected.push((
                SpanKind::Consumer,
                self.span("process", topic),
                records.len(),
            ));
        }
        self.has(client, &format!("{expected:?}"), |trace| {
            let mut expected = expected.iter();
            expected.all(|(kind, name, count)| trace.named(*kind, name).len() >= *count)
        })
        .await
    }

    /// The name of the span of an operation on a topic.
    pub(super) fn span(&self, operation: &str, topic: &'static str) -> String {
        format!("{operation} {}", self.system.topic(topic).name())
    }

    pub(super) async fn is_polled(&self, topic: &'static str, decider: &Span) -> Result<()> {
        let name = self.span("poll", topic);
        let look = async || {
            let polls = self.receiver.spans().into_iter();
            let mut polls = polls.filter(|span| span.name == name && span.kind == SpanKind::Client);
            Ok(polls.find(|span| span.links_to(&decider.trace_id, &decider.span_id)))
        };
        let poll = eventually(&format!("{name} links to {}", decider.name), look).await?;
        assert_ne!(
            poll.trace_id, decider.trace_id,
            "a poll has a trace of its own"
        );
        Ok(())
    }
}

/// For the failure message.
pub(super) fn names(trace: &Trace) -> Vec<String> {
    let spans = trace.spans().iter();
    spans
        .map(|span| format!("{} {} {}", span.service, span.kind, span.name))
        .collect()
}

//! The sampler: parent based, then link aware, then by ratio.
//!
//! A span with a parent follows its decision, so an order is sampled in both services or in none. A root span with links,
//! such as the poll of many records, is sampled if one linked span is. Any other root span is sampled by the configured
//! ratio.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use service::config::FromSetting;

/// The sampled fraction of the traces that start here, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingRatio(f64);

impl SamplingRatio {
    pub const NONE: Self = Self(0.0);
    pub const ALL: Self = Self(1.0);
}

impl FromSetting for SamplingRatio {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Self(ratio)),
            _ => Err("a number from 0 to 1".to_owned()),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct LinkAwareParentBased {
    by_ratio: Sampler,
}

impl LinkAwareParentBased {
    pub(super) fn new(ratio: SamplingRatio) -> Self {
        Self {
            by_ratio: Sampler::TraceIdRatioBased(ratio.0),
        }
    }
}

impl ShouldSample for LinkAwareParentBased {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let parent_span = parent.map(|context| context.span().span_context().clone());
        if let Some(parent) = parent_span.filter(opentelemetry::trace::SpanContext::is_valid) {
            return decided(parent.is_sampled(), parent.trace_state().clone());
        }
        if !links.is_empty() {
            let is_sampled = links.iter().any(|link| link.span_context.is_sampled());
            return decided(is_sampled, TraceState::default());
        }
        self.by_ratio
            .should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

fn decided(is_sampled: bool, trace_state: TraceState) -> SamplingResult {
    SamplingResult {
        decision: if is_sampled {
            SamplingDecision::RecordAndSample
        } else {
            SamplingDecision::Drop
        },
        attributes: Vec::new(),
        trace_state,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    use super::*;

    fn span(is_sampled: bool) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(is_sampled);
        let (trace, span) = (TraceId::from(7), SpanId::from(7));
        SpanContext::new(trace, span, flags, true, TraceState::default())
    }

    fn is_recorded(ratio: SamplingRatio, parent: Option<bool>, links: &[bool]) -> bool {
        let parent =
            parent.map(|is_sampled| Context::new().with_remote_span_context(span(is_sampled)));
        let links: Vec<_> = links
            .iter()
            .map(|is_sampled| Link::new(span(*is_sampled), Vec::new(), 0))
            .collect();
        let (trace, kind) = (TraceId::from(1), SpanKind::Internal);
        let sampled = LinkAwareParentBased::new(ratio).should_sample(
            parent.as_ref(),
            trace,
            "name",
            &kind,
            &[],
            &links,
        );
        sampled.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn a_span_with_a_parent_follows_its_sampling_decision() {
        assert!(is_recorded(SamplingRatio::NONE, Some(true), &[false]));
        assert!(!is_recorded(SamplingRatio::ALL, Some(false), &[true]));
    }

    #[test]
    fn a_root_span_is_sampled_if_one_of_its_links_is() {
        assert!(is_recorded(SamplingRatio::NONE, None, &[false, true]));
        assert!(!is_recorded(SamplingRatio::ALL, None, &[false, false]));
    }

    #[test]
    fn a_root_span_without_links_is_sampled_by_ratio() {
        assert!(is_recorded(SamplingRatio::ALL, None, &[]));
        assert!(!is_recorded(SamplingRatio::NONE, None, &[]));
    }

    #[test]
    fn a_ratio_outside_of_0_to_1_is_rejected() {
        for text in ["-0.1", "1.1", "NaN", "inf", "", "half"] {
            assert!(SamplingRatio::from_setting(text).is_err(), "{text}");
        }
        assert_eq!(SamplingRatio::from_setting("0.25"), Ok(SamplingRatio(0.25)));
    }
}

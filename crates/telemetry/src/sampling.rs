//! The sampler: parent based, then link aware, then by ratio.
//!
//! A span with a parent follows its decision, so an order is sampled in both services or in none. A root span with links,
//! such as the poll of many records, is sampled if one linked span is. Any other root span is sampled by the configured
//! ratio.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use service::config::{FromSetting, Settings};

/// The sampled fraction of the traces that start here, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingRatio(f64);

impl SamplingRatio {
    pub const NONE: Self = Self(0.0);
    pub const ALL: Self = Self(1.0);

    fn sampler(self) -> Sampler {
        Sampler::TraceIdRatioBased(self.0)
    }
}

impl FromSetting for SamplingRatio {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Self(ratio)),
            _ => Err("a number from 0 to 1".to_owned()),
        }
    }
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampling {
    /// Whether a span with a parent follows its decision.
    is_parent_based: bool,
    /// For the other spans.
    ratio: SamplingRatio,
}

impl Sampling {
    pub(super) const NONE: Self = Self {
        is_parent_based: true,
        ratio: SamplingRatio::NONE,
    };

    /// Reads the settings.
    pub(super) fn read(settings: &mut Settings<'_>) -> Self {
        let sampler: SamplerName = settings.value(
            "OTEL_TRACES_SAMPLER",
            "parentbased_traceidratio",
            "sampler: `always_on`, `always_off` or `traceidratio`; with the prefix `parentbased_` the decision of the caller applies to its calls",
        );
        let ratio = settings.value(
            "OTEL_TRACES_SAMPLER_ARG",
            "0.1",
            "sampling ratio of traces that start here, from 0 to 1; for other traces the decision of the caller applies",
        );
        Self {
            is_parent_based: sampler.is_parent_based,
            ratio: sampler.fixed_ratio.unwrap_or(ratio),
        }
    }

    pub(super) fn sampler(self) -> Box<dyn ShouldSample> {
        if self.is_parent_based {
            Box::new(LinkAwareParentBased::new(self.ratio))
        } else {
            Box::new(self.ratio.sampler())
        }
    }
}

/// A name of the specification.
struct SamplerName {
    is_parent_based: bool,
    /// `None`: the ratio of OTEL_TRACES_SAMPLER_ARG.
    fixed_ratio: Option<SamplingRatio>,
}

impl FromSetting for SamplerName {
    fn from_setting(text: &str) -> Result<Self, String> {
        let parent_based = text.strip_prefix("parentbased_");
        let fixed_ratio = match parent_based.unwrap_or(text) {
            "always_on" => Some(SamplingRatio::ALL),
            "always_off" => Some(SamplingRatio::NONE),
            "traceidratio" => None,
            _ => {
                let expected =
                    "always_on, always_off or traceidratio, each also with the prefix parentbased_";
                return Err(expected.to_owned());
            }
        };
        Ok(Self {
            is_parent_based: parent_based.is_some(),
            fixed_ratio,
        })
    }
}

#[derive(Clone, Debug)]
pub(super) struct LinkAwareParentBased {
    by_ratio: Sampler,
}

impl LinkAwareParentBased {
    pub(super) fn new(ratio: SamplingRatio) -> Self {
        Self {
            by_ratio: ratio.sampler(),
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
    use std::collections::BTreeMap;

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
    fn every_sampler_of_the_specification_that_is_local_has_its_effect() {
        for (name, of_unsampled_parent, of_root) in [
            ("always_on", true, true),
            ("always_off", false, false),
            ("parentbased_always_on", false, true),
            ("parentbased_always_off", false, false),
        ] {
            let source = [("OTEL_TRACES_SAMPLER", name)];
            let source = source.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let source = BTreeMap::from(source);
            let sampler = Sampling::read(&mut Settings::new(&source)).sampler();
            let decision = |parent: Option<&Context>| {
                let (trace, kind) = (TraceId::from(1), SpanKind::Internal);
                let result = sampler.should_sample(parent, trace, "name", &kind, &[], &[]);
                result.decision == SamplingDecision::RecordAndSample
            };
            let unsampled = Context::new().with_remote_span_context(span(false));
            assert_eq!(decision(Some(&unsampled)), of_unsampled_parent, "{name}");
            assert_eq!(decision(None), of_root, "{name}");
        }
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

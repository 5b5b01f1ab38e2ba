//! The trace context that a call carries, so that its trace can be found in the backend of the target.

use std::fmt;

use tonic::Request;

/// The header of the W3C recommendation.
const TRACEPARENT: &str = "traceparent";

/// A new trace, whose root span is the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceContext {
    trace_id: u128,
    span_id: u64,
    pub(super) is_sampled: bool,
}

impl TraceContext {
    /// Sampled with this probability: a service that follows its caller's decision records exactly these traces.
    pub(super) fn sampled_at(share: f64) -> Self {
        Self {
            // Zero is invalid in both; a random number is zero once in 2^64.
            trace_id: rand::random::<u128>().max(1),
            span_id: rand::random::<u64>().max(1),
            is_sampled: rand::random::<f64>() < share,
        }
    }

    pub(super) fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// Adds the header to a request.
    pub(super) fn show<T>(&self, request: &mut Request<T>) {
        // Hexadecimal digits and dashes are always valid.
        if let Ok(value) = self.to_string().parse() {
            request.metadata_mut().insert(TRACEPARENT, value);
        }
    }
}

/// The value of the header.
impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            is_sampled,
        } = self;
        let flags = u8::from(*is_sampled);
        write!(formatter, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_format_of_the_recommendation() {
        let trace = TraceContext {
            trace_id: 0x4bf9_2f35,
            span_id: 0x00f0,
            is_sampled: true,
        };
        let mut request = Request::new(());

        trace.show(&mut request);

        let header = request.metadata().get(TRACEPARENT).unwrap();
        assert_eq!(
            header,
            "00-0000000000000000000000004bf92f35-00000000000000f0-01"
        );
    }

    #[test]
    fn all_none_or_some_calls_are_sampled() {
        let sampled = |share| {
            (0..1_000)
                .filter(|_| TraceContext::sampled_at(share).is_sampled)
                .count()
        };

        assert_eq!(sampled(0.0), 0);
        assert_eq!(sampled(1.0), 1_000);
        assert!((400..600).contains(&sampled(0.5)));
    }
}

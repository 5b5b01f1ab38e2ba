//! A bounded buffer of the last received spans and bodies.

use std::collections::VecDeque;

use hyper::body::Bytes;

use super::signal::Signal;
use super::span::Span;

/// A ring buffer: evicts the oldest first.
#[derive(Debug)]
pub(super) struct Kept {
    most_spans: usize,
    spans: VecDeque<Span>,
    spans_received: u64,
    bytes_left: usize,
    /// `None` after an overflow: an incomplete buffer proves nothing.
    bodies: Option<Vec<(Signal, Bytes)>>,
}

impl Kept {
    pub(super) fn new(most_spans: usize, most_bytes: usize) -> Self {
        Self {
            most_spans,
            spans: VecDeque::new(),
            spans_received: 0,
            bytes_left: most_bytes,
            bodies: Some(Vec::new()),
        }
    }

    pub(super) fn add_spans(&mut self, spans: Vec<Span>) {
        for span in spans {
            if self.spans.len() >= self.most_spans {
                self.spans.pop_front();
            }
            self.spans.push_back(span);
            self.spans_received += 1;
        }
    }

    pub(super) fn add_body(&mut self, signal: Signal, body: Bytes) {
        let Some(left) = self.bytes_left.checked_sub(body.len()) else {
            self.bodies = None;
            return;
        };
        self.bytes_left = left;
        if let Some(bodies) = &mut self.bodies {
            bodies.push((signal, body));
        }
    }

    pub(super) fn spans(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter()
    }

    pub(super) fn spans_received(&self) -> u64 {
        self.spans_received
    }

    pub(super) fn bodies(&self, signal: Signal) -> Option<Vec<Bytes>> {
        let bodies = self.bodies.as_ref()?.iter();
        let of_signal = bodies.filter(|(of, _)| *of == signal);
        Some(of_signal.map(|(_, body)| body.clone()).collect())
    }
}

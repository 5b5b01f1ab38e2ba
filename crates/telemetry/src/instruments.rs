//! Instruments, created from a [`Metric`].
//!
//! They belong to the meter provider of the process. Instruments created before [`super::Telemetry::start`], or without an
//! endpoint, are no-ops.

use std::time::Duration;

use opentelemetry::global;
use opentelemetry::metrics::{AsyncInstrument, Meter};

use super::SCOPE;
use super::vocabulary::{Instrument, Labels, Metric};

#[derive(Clone, Debug)]
pub struct Counter(opentelemetry::metrics::Counter<u64>);

impl Counter {
    pub fn add(&self, count: u64, labels: &Labels) {
        self.0.add(count, labels.as_slice());
    }
}

#[derive(Clone, Debug)]
pub struct Histogram(opentelemetry::metrics::Histogram<f64>);

impl Histogram {
    /// `value` is in the unit of the metric.
    pub fn record(&self, value: f64, labels: &Labels) {
        self.0.record(value, labels.as_slice());
    }

    /// For a metric in seconds.
    pub fn record_time(&self, time: Duration, labels: &Labels) {
        self.record(time.as_secs_f64(), labels);
    }
}

fn meter() -> Meter {
    global::meter_with_scope(SCOPE.clone())
}

impl Metric {
    pub fn counter(&self) -> Counter {
        debug_assert_eq!(self.instrument, Instrument::Counter, "{}", self.name);
        let meter = meter();
        let counter = meter.u64_counter(self.name).with_unit(self.unit);
        Counter(counter.with_description(self.brief).build())
    }

    pub fn histogram(&self) -> Histogram {
        let boundaries = match self.instrument {
            Instrument::Histogram(boundaries) => boundaries.to_vec(),
            _ => Vec::new(),
        };
        debug_assert!(!boundaries.is_empty(), "{} is not a histogram", self.name);
        let meter = meter();
        let histogram = meter.f64_histogram(self.name).with_unit(self.unit);
        let histogram = histogram.with_boundaries(boundaries);
        Histogram(histogram.with_description(self.brief).build())
    }

    /// Registers a callback for whole numbers, called at each export until the process ends. It must not block.
    pub fn observe<L>(&self, read: impl Fn() -> L + Send + Sync + 'static)
    where
        L: IntoIterator<Item = (u64, Labels)>,
    {
        let (meter, name) = (meter(), self.name);
        match self.instrument {
            Instrument::Counter => {
                let counter = meter.u64_observable_counter(name).with_unit(self.unit);
                let counter = counter.with_description(self.brief);
                counter.with_callback(callback(read, |value| value)).build();
            }
            Instrument::UpDownCounter => {
                let to_signed = |value| i64::try_from(value).unwrap_or(i64::MAX);
                let counter = meter.i64_observable_up_down_counter(name);
                let counter = counter.with_unit(self.unit).with_description(self.brief);
                counter.with_callback(callback(read, to_signed)).build();
            }
            Instrument::Gauge => {
                let gauge = meter.u64_observable_gauge(name).with_unit(self.unit);
                let gauge = gauge.with_description(self.brief);
                gauge.with_callback(callback(read, |value| value)).build();
            }
            Instrument::Histogram(_) => debug_assert!(false, "{name} is a histogram"),
        }
    }

    /// As [`Metric::observe`], for times in seconds.
    pub fn observe_time<L>(&self, read: impl Fn() -> L + Send + Sync + 'static)
    where
        L: IntoIterator<Item = (Duration, Labels)>,
    {
        let (meter, name) = (meter(), self.name);
        let to_seconds = |time: Duration| time.as_secs_f64();
        if self.instrument == Instrument::Counter {
            let counter = meter.f64_observable_counter(name).with_unit(self.unit);
            let counter = counter.with_description(self.brief);
            counter.with_callback(callback(read, to_seconds)).build();
        } else {
            let gauge = meter.f64_observable_gauge(name).with_unit(self.unit);
            let gauge = gauge.with_description(self.brief);
            gauge.with_callback(callback(read, to_seconds)).build();
        }
    }
}

/// Converts each value to the type of the instrument.
fn callback<V, T, L>(
    read: impl Fn() -> L + Send + Sync + 'static,
    convert: fn(V) -> T,
) -> impl Fn(&dyn AsyncInstrument<T>) + Send + Sync + 'static
where
    V: 'static,
    T: 'static,
    L: IntoIterator<Item = (V, Labels)>,
{
    move |instrument| {
        for (value, labels) in read() {
            instrument.observe(convert(value), labels.as_slice());
        }
    }
}

//! Instruments of the metrics, bound to their attributes beforehand: recording a value allocates nothing.

use crate::{Attribute, Instrument, Metric, Values, counted_status};
use opentelemetry::{
    InstrumentationScope, KeyValue,
    metrics::{self, Meter, MeterProvider},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// An attribute and what it is.
pub type Label = (Attribute, &'static str);

/// The instruments of a process.
#[derive(Clone)]
pub struct Meters {
    meter: Meter,
    readings: Readings,
}

/// What gauges read now, by who read it.
type Readings = Arc<Mutex<HashMap<&'static str, Vec<Reading>>>>;

/// What a gauge reads.
#[derive(Debug, Clone)]
pub struct Reading {
    metric: Metric,
    attributes: Vec<KeyValue>,
    value: f64,
}

/// A counter with its attributes.
pub struct Counter {
    counter: metrics::Counter<u64>,
    attributes: Vec<KeyValue>,
}

/// A counter that grows and shrinks.
#[derive(Clone)]
pub struct UpDownCounter(metrics::UpDownCounter<i64>);

/// A histogram of seconds with its attributes.
pub struct Histogram {
    histogram: metrics::Histogram<f64>,
    attributes: Vec<KeyValue>,
}

/// Histograms of HTTP requests, by status.
pub struct HistogramByStatus {
    histogram: metrics::Histogram<f64>,
    by_status: Vec<(u16, Vec<KeyValue>)>,
}

impl Meters {
    pub(crate) fn new(provider: &SdkMeterProvider) -> Self {
        let meter = provider.meter_with_scope(InstrumentationScope::builder("ringback").build());
        let readings = Readings::default();
        for metric in Metric::ALL {
            if metric.instrument() == Instrument::Gauge {
                let readings = readings.clone();
                meter
                    .f64_observable_gauge(metric.name())
                    .with_unit(metric.unit())
                    .with_description(metric.description())
                    .with_callback(move |observer| {
                        let readings = readings.lock().unwrap_or_else(PoisonError::into_inner);
                        for reading in readings.values().flatten() {
                            if reading.metric == metric {
                                observer.observe(reading.value, &reading.attributes);
                            }
                        }
                    })
                    .build();
            }
        }
        Self { meter, readings }
    }

    /// What gauges read from now on, as far as this reader is concerned: what it read before and does not read any more is
    /// gone, so that nobody takes the past for the present.
    pub fn read(&self, reader: &'static str, readings: Vec<Reading>) {
        let mut all = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(reader, readings);
    }

    /// A counter.
    ///
    /// # Panics
    ///
    /// Like all that follow: when the metric is not of this kind, or does not have these attributes.
    pub fn counter(&self, metric: Metric, labels: &[Label]) -> Counter {
        assert_eq!(metric.instrument(), Instrument::Counter, "{metric:?}");
        let counter = self
            .meter
            .u64_counter(metric.name())
            .with_unit(metric.unit())
            .with_description(metric.description())
            .build();
        let attributes = key_values(metric, labels);
        // Shown from the start, so that the first of them is an increase.
        counter.add(0, &attributes);
        Counter {
            counter,
            attributes,
        }
    }

    /// A counter that grows and shrinks.
    ///
    /// # Panics
    ///
    /// See [`Meters::counter`].
    pub fn up_down_counter(&self, metric: Metric) -> UpDownCounter {
        assert_eq!(metric.instrument(), Instrument::UpDownCounter, "{metric:?}");
        let counter = self
            .meter
            .i64_up_down_counter(metric.name())
            .with_unit(metric.unit())
            .with_description(metric.description())
            .build();
        counter.add(0, &[]);
        UpDownCounter(counter)
    }

    /// A histogram.
    ///
    /// # Panics
    ///
    /// See [`Meters::counter`].
    pub fn histogram(&self, metric: Metric, labels: &[Label]) -> Histogram {
        Histogram {
            histogram: self.f64_histogram(metric),
            attributes: key_values(metric, labels),
        }
    }

    /// Histograms by status.
    ///
    /// # Panics
    ///
    /// See [`Meters::counter`].
    pub fn histogram_by_status(&self, metric: Metric, labels: &[Label]) -> HistogramByStatus {
        assert!(
            metric.attributes().contains(&Attribute::Status),
            "{metric:?}"
        );
        let with_status = |status: u16| {
            let mut attributes = key_values(metric, labels);
            attributes.push(KeyValue::new(Attribute::Status.name(), i64::from(status)));
            (status, attributes)
        };
        HistogramByStatus {
            histogram: self.f64_histogram(metric),
            by_status: crate::STATUSES.into_iter().map(with_status).collect(),
        }
    }

    fn f64_histogram(&self, metric: Metric) -> metrics::Histogram<f64> {
        let Instrument::Histogram(bounds) = metric.instrument() else {
            panic!("{metric:?} is no histogram");
        };
        self.meter
            .f64_histogram(metric.name())
            .with_unit(metric.unit())
            .with_description(metric.description())
            .with_boundaries(bounds.to_vec())
            .build()
    }
}

impl Reading {
    /// What a gauge reads.
    ///
    /// # Panics
    ///
    /// See [`Meters::counter`].
    pub fn new(metric: Metric, labels: &[Label], value: f64) -> Self {
        assert_eq!(metric.instrument(), Instrument::Gauge, "{metric:?}");
        Self {
            metric,
            attributes: key_values(metric, labels),
            value,
        }
    }

    /// The same of a count.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count beyond 2^53 may be rounded"
    )]
    pub fn count(metric: Metric, labels: &[Label], count: u64) -> Self {
        Self::new(metric, labels, count as f64)
    }
}

fn key_values(metric: Metric, labels: &[Label]) -> Vec<KeyValue> {
    let key_value = |(attribute, value): &Label| {
        assert!(
            metric.attributes().contains(attribute),
            "{metric:?} has no {attribute:?}"
        );
        match attribute.values() {
            Values::Words(words) => {
                assert!(words.contains(value), "{attribute:?} is never {value}");
            }
            Values::Routes => {}
            Values::Statuses => panic!("a status is a number"),
        }
        KeyValue::new(attribute.name(), *value)
    };
    labels.iter().map(key_value).collect()
}

impl Counter {
    /// One more.
    pub fn count(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.counter.add(more, &self.attributes);
    }
}

impl UpDownCounter {
    /// One more, until the guard is dropped.
    pub fn enter(&self) -> Entered {
        self.0.add(1, &[]);
        Entered(self.0.clone())
    }
}

/// One that is counted as long as this lives.
pub struct Entered(metrics::UpDownCounter<i64>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.add(-1, &[]);
    }
}

impl Histogram {
    /// It took so long.
    pub fn record(&self, took: Duration) {
        self.histogram.record(took.as_secs_f64(), &self.attributes);
    }
}

impl HistogramByStatus {
    /// It took so long, and this was the answer.
    pub fn record(&self, took: Duration, status: u16) {
        let counted = counted_status(status);
        let place = self
            .by_status
            .binary_search_by_key(&counted, |(status, _)| *status);
        if let Ok(place) = place {
            self.histogram
                .record(took.as_secs_f64(), &self.by_status[place].1);
        }
    }
}

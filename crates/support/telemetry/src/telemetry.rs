//! What a process measures and traces, and where it goes: Prometheus asks for it, a collector is sent it.

use crate::{Meters, Tracer, span::Sampling};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{BatchSpanProcessor, SdkTracerProvider},
};
use prometheus::{Registry, TextEncoder};
use std::{thread, time::Duration};

/// How long sending to a collector may take, and how long it is waited for at the end.
const EXPORT_WITHIN: Duration = Duration::from_secs(5);

/// What is measured and traced, and where it goes.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// The collector, such as `http://collector:4318`; nothing is sent without.
    pub otlp: Option<String>,
    /// How often metrics are sent.
    pub push_interval: Duration,
    /// The share of traces that is kept, 0 to 1, of those that begin here.
    pub trace_ratio: f64,
    /// The release, for whoever looks at what comes from where.
    pub version: &'static str,
    /// Which process this is.
    pub instance: String,
}

/// Why nothing is sent.
#[derive(Debug, thiserror::Error)]
#[error(
    "could not set up sending to the collector (hint: `telemetry.otlp` is written `http://collector:4318`)"
)]
pub struct ExportError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// The metrics and spans of a process.
pub struct Telemetry {
    /// What it measures with.
    pub meters: Meters,
    /// What it traces with.
    pub tracer: Tracer,
    provider: SdkMeterProvider,
    spans: Option<SdkTracerProvider>,
    registry: Registry,
}

impl Telemetry {
    /// Begins to measure, and to send when there is a collector.
    ///
    /// # Errors
    ///
    /// When what sends cannot be made.
    ///
    /// # Panics
    ///
    /// Only if setting up did.
    pub fn start(settings: &TelemetrySettings) -> Result<Self, ExportError> {
        // What sends is a blocking client, which must not be made where tasks run.
        thread::scope(|scope| scope.spawn(|| Self::build(settings)).join())
            .expect("setting up does not panic")
    }

    fn build(settings: &TelemetrySettings) -> Result<Self, ExportError> {
        let resource = Resource::builder()
            .with_service_name("ringback")
            .with_attribute(KeyValue::new("service.version", settings.version))
            .with_attribute(KeyValue::new(
                "service.instance.id",
                settings.instance.clone(),
            ))
            .build();
        let registry = Registry::new();
        let scraped = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .map_err(|error| ExportError(error.into()))?;
        let mut meters = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_reader(scraped);
        let mut spans = None;
        if let Some(collector) = &settings.otlp {
            // A process that has chosen a provider keeps it.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let base = collector.trim_end_matches('/');
            let exporter = MetricExporter::builder()
                .with_http()
                .with_endpoint(format!("{base}/v1/metrics"))
                .with_timeout(EXPORT_WITHIN)
                .build()
                .map_err(|error| ExportError(error.into()))?;
            let reader = PeriodicReader::builder(exporter)
                .with_interval(settings.push_interval)
                .build();
            meters = meters.with_reader(reader);
            let exporter = SpanExporter::builder()
                .with_http()
                .with_endpoint(format!("{base}/v1/traces"))
                .with_timeout(EXPORT_WITHIN)
                .build()
                .map_err(|error| ExportError(error.into()))?;
            let provider = SdkTracerProvider::builder()
                .with_resource(resource)
                .with_sampler(Sampling {
                    ratio: settings.trace_ratio,
                })
                .with_span_processor(BatchSpanProcessor::builder(exporter).build())
                .build();
            spans = Some(provider);
        }
        let provider = meters.build();
        Ok(Self {
            meters: Meters::new(&provider),
            tracer: spans.as_ref().map(Tracer::new).unwrap_or_default(),
            provider,
            spans,
            registry,
        })
    }

    /// All metrics in Prometheus' text.
    pub fn prometheus_text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap_or_default()
    }

    /// Sends what was not sent yet and ends. Blocks until the collector has it, for seconds at most.
    pub fn stop(&self) {
        if let Some(spans) = &self.spans {
            let _ = spans.shutdown_with_timeout(EXPORT_WITHIN);
        }
        let _ = self.provider.shutdown_with_timeout(EXPORT_WITHIN);
    }
}

//! Spans: what took how long, as parts of the producer's trace.
//!
//! Made for deliveries: a span is open while one step is under way, never for the hours between two. What follows much later
//! begins a trace of its own and is linked to what it follows.

use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator,
    trace::{
        Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceId,
        Tracer as _, TracerProvider,
    },
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{
        Sampler, SamplingDecision, SamplingResult, SdkTracer, SdkTracerProvider, ShouldSample,
    },
};
use std::collections::HashMap;

/// Begins spans; does nothing where no collector is configured.
#[derive(Clone, Default)]
pub struct Tracer(Option<SdkTracer>);

/// What a step is, to those who look at traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An event is published.
    Publish,
    /// An event becomes deliveries.
    Dispatch,
    /// A request is made.
    Attempt,
}

/// A place in a trace, as `traceparent` and `tracestate` write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// `traceparent`.
    pub parent: &'a str,
    /// `tracestate`.
    pub state: Option<&'a str>,
}

/// Where a span belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// Nothing is known: a trace of its own.
    New,
    /// A part of this.
    PartOf(Place<'a>),
    /// It follows this, but much later: a trace of its own, with a link.
    Follows(Place<'a>),
}

/// A step under way; over when dropped.
pub struct Span(Option<opentelemetry_sdk::trace::Span>);

impl Tracer {
    pub(crate) fn new(provider: &SdkTracerProvider) -> Self {
        Self(Some(provider.tracer("ringback")))
    }

    /// A step begins. The attributes are made only where somebody looks.
    pub fn begin(
        &self,
        step: Step,
        origin: Origin<'_>,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> Span {
        let Some(tracer) = &self.0 else {
            return Span(None);
        };
        let (name, kind) = match step {
            Step::Publish => ("publish event", SpanKind::Producer),
            Step::Dispatch => ("dispatch event", SpanKind::Consumer),
            Step::Attempt => ("POST", SpanKind::Client),
        };
        let (parent, links) = match origin {
            Origin::New => (Context::new(), Vec::new()),
            Origin::PartOf(place) => (place.context(), Vec::new()),
            Origin::Follows(place) => {
                let followed = place.context().span().span_context().clone();
                let links = followed.is_valid().then(|| Link::with_context(followed));
                (Context::new(), links.into_iter().collect())
            }
        };
        let builder = SpanBuilder::from_name(name)
            .with_kind(kind)
            .with_links(links)
            .with_attributes(attributes());
        Span(Some(tracer.build_with_context(builder, &parent)))
    }
}

impl Place<'_> {
    /// What cannot be read is no place.
    fn context(self) -> Context {
        let mut carrier = HashMap::from([("traceparent".to_owned(), self.parent.to_owned())]);
        if let Some(state) = self.state {
            carrier.insert("tracestate".to_owned(), state.to_owned());
        }
        TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier)
    }
}

impl Span {
    /// Its place, `traceparent` and `tracestate`, for what is a part of it; nothing where no span is made.
    pub fn place(&self) -> Option<(String, Option<String>)> {
        let context = self.0.as_ref()?.span_context();
        let parent = format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8()
        );
        let state = context.trace_state().header();
        Some((parent, Some(state).filter(|state| !state.is_empty())))
    }

    /// Tells more.
    pub fn set(&mut self, name: &'static str, value: impl Into<opentelemetry::Value>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(name, value));
        }
    }

    /// It failed, by this `error.type`.
    pub fn fail(&mut self, error_type: &'static str) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new("error.type", error_type));
            span.set_status(Status::error(error_type));
        }
    }
}

/// A part is kept when its whole is; what follows another trace is kept when that is; the rest by chance.
#[derive(Debug, Clone)]
pub(crate) struct Sampling {
    pub(crate) ratio: f64,
}

impl ShouldSample for Sampling {
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
        let before: Option<SpanContext> = parent_span
            .filter(SpanContext::is_valid)
            .or_else(|| links.first().map(|link| link.span_context.clone()));
        let Some(before) = before else {
            return Sampler::TraceIdRatioBased(self.ratio)
                .should_sample(parent, trace_id, name, kind, attributes, links);
        };
        SamplingResult {
            decision: if before.is_sampled() {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::Drop
            },
            attributes: Vec::new(),
            trace_state: before.trace_state().clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, slice::from_ref};

    /// A place in trace 7, kept by whoever began it or not.
    fn place(is_kept: bool) -> Context {
        let parent = format!("00-{:032x}-{:016x}-0{}", 7, 7, u8::from(is_kept));
        let place = Place {
            parent: &parent,
            state: None,
        };
        place.context()
    }

    fn is_kept(percent: u8, trace: u128, parent: Option<&Context>, links: &[Link]) -> bool {
        let sampling = Sampling {
            ratio: f64::from(percent) / 100.0,
        };
        let trace = TraceId::from_bytes(trace.to_be_bytes());
        let result = sampling.should_sample(parent, trace, "POST", &SpanKind::Client, &[], links);
        result.decision == SamplingDecision::RecordAndSample
    }

    /// Traces by ids as random as those that are given out.
    fn traces() -> impl Iterator<Item = u128> {
        (1..=2000_u128).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    }

    #[test]
    fn a_part_is_kept_when_its_whole_is_and_what_follows_when_that_is() {
        for kept in [true, false] {
            let before = place(kept);
            let link = Link::with_context(before.span().span_context().clone());
            for percent in [0, 50, 100] {
                for trace in traces().take(20) {
                    assert_eq!(is_kept(percent, trace, Some(&before), &[]), kept);
                    let nothing = Context::new();
                    let follows = is_kept(percent, trace, Some(&nothing), from_ref(&link));
                    assert_eq!(follows, kept);
                }
            }
        }
    }

    #[test]
    fn of_what_begins_here_so_many_of_a_hundred_are_kept_and_always_the_same() {
        let kept_of = |percent| -> BTreeSet<_> {
            let kept = traces().filter(|trace| is_kept(percent, *trace, None, &[]));
            kept.collect()
        };
        let all = traces().count();
        assert_eq!(kept_of(0).len(), 0);
        assert_eq!(kept_of(100).len(), all);
        let (few, many) = (kept_of(10), kept_of(50));
        assert!(few.is_subset(&many), "whoever keeps more keeps those, too");
        for (percent, kept) in [(10, few), (50, many)] {
            assert_eq!(kept, kept_of(percent));
            let expected = all * usize::from(percent) / 100;
            let off = kept.len().abs_diff(expected);
            assert!(off < all / 20, "{} for {expected}", kept.len());
        }
    }

    #[test]
    fn a_place_that_cannot_be_read_is_none() {
        for parent in [
            "",
            "00-zz-07-01",
            "00-00000000000000000000000000000000-0000000000000007-01",
        ] {
            let place = Place {
                parent,
                state: None,
            };
            assert!(
                !place.context().span().span_context().is_valid(),
                "{parent}"
            );
        }
    }
}

//! What the roles measure and trace, at the ports: the use cases know nothing of it.
//!
//! The queue and the sender are wrapped, occurrences are counted by an observer, and what nobody tells by itself is asked for
//! again and again by the [`Collector`]. Every instrument is bound to its attributes when the process starts.

mod collector;
mod observer;
mod queue;
mod sender;

pub use collector::Collector;

use crate::observe::Observers;
use observer::{Claims, MeteredObserver};
use queue::{MeteredQueue, QueueMeters};
use ringback_delivery::{Context, WebhookCache};
use ringback_domain::{DeadLetterBudget, TraceContext};
use ringback_telemetry::{Place, Span, Telemetry};
use sender::MeteredSender;
use std::sync::Arc;

/// A context whose use cases are measured, and what collects the rest.
pub struct Measured {
    /// The same context, measured.
    pub context: Arc<Context>,
    /// What has to be asked for.
    pub collector: Arc<Collector>,
}

/// Measures a context. `system` is `rabbitmq` or `embedded`.
pub fn measured(
    context: &Context,
    telemetry: &Telemetry,
    system: &'static str,
    budget: DeadLetterBudget,
) -> Measured {
    let meters = &telemetry.meters;
    let queue_meters = Arc::new(QueueMeters::new(meters, system));
    let claims = Arc::new(Claims::default());
    let measured = Arc::new(Context {
        queue: Arc::new(MeteredQueue {
            inner: context.queue.clone(),
            meters: queue_meters.clone(),
            tracer: telemetry.tracer.clone(),
            clock: context.clock.clone(),
        }),
        store: context.store.clone(),
        sender: Arc::new(MeteredSender::new(
            context.sender.clone(),
            meters,
            telemetry.tracer.clone(),
        )),
        clock: context.clock.clone(),
        entropy: context.entropy.clone(),
        observer: Arc::new(Observers(vec![
            context.observer.clone(),
            Arc::new(MeteredObserver::new(meters, claims.clone())),
        ])),
        profiles: context.profiles.clone(),
        webhooks: WebhookCache::new(context.store.clone(), context.clock.clone()),
        keys: context.keys.clone(),
        worker: context.worker.clone(),
    });
    let collector = Arc::new(Collector {
        queue: context.queue.clone(),
        store: context.store.clone(),
        clock: context.clock.clone(),
        meters: meters.clone(),
        queue_meters,
        claims,
        budget,
    });
    Measured {
        context: measured,
        collector,
    }
}

fn place(trace: &TraceContext) -> Place<'_> {
    Place {
        parent: &trace.traceparent,
        state: trace.tracestate.as_deref(),
    }
}

/// The trace as what is a part of the span shall see it.
fn trace_of(span: &Span) -> Option<TraceContext> {
    span.place().map(|(traceparent, tracestate)| TraceContext {
        traceparent,
        tracestate,
    })
}

//! The queue: lost confirms, doubled, late and redelivered messages, restarts.

use super::{Cause, Outages};
use crate::{
    dice::{Dice, Fault},
    plan::{Plan, Sabotage},
    witness::{HandlerId, Witness},
};
use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{
    Consumer, Depth, Lane, ParkedContent, ParkedMessage, Queue, QueueError, Receipt, Taken,
};
use ringback_domain::{Delivery, DeliveryId, Event, EventId, TraceContext, Wait};
use ringback_testkit::simulation::{SimulatedQueue, TokioClock};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The queue, as workers get to know it.
#[derive(Clone)]
pub(crate) struct FaultyQueue(Arc<Shared>);

struct Shared {
    inner: SimulatedQueue,
    plan: Plan,
    dice: Arc<Dice>,
    witness: Arc<Witness>,
    away: Outages,
    unroutable: Outages,
}

impl FaultyQueue {
    pub(crate) fn new(
        inner: SimulatedQueue,
        plan: &Plan,
        clock: &TokioClock,
        dice: Arc<Dice>,
        witness: Arc<Witness>,
    ) -> Self {
        Self(Arc::new(Shared {
            inner,
            plan: plan.clone(),
            away: Outages::draw(&dice, clock, Fault::QueueAway),
            unroutable: Outages::draw(&dice, clock, Fault::Unroutable),
            dice,
            witness,
        }))
    }
}

/// What is published.
#[derive(Clone)]
enum Outgoing {
    Event(Box<Event>),
    Raw(Bytes),
    Delivery(Box<Delivery>, Lane, Option<Wait>),
}

impl Outgoing {
    fn id(&self) -> String {
        match self {
            Self::Event(event) => event.id.to_string(),
            Self::Raw(_) => "bytes".into(),
            Self::Delivery(delivery, ..) => delivery.id.to_string(),
        }
    }
}

impl Shared {
    /// What faults here are drawn for: the thing published, not the time, so that they stay where they are.
    fn about(outgoing: &Outgoing) -> String {
        match outgoing {
            Outgoing::Delivery(delivery, ..) => {
                format!(
                    "{}→{} {} of {}",
                    delivery.event.id,
                    delivery.destination.id(),
                    delivery.attempt,
                    delivery.generation.get()
                )
            }
            other => other.id(),
        }
    }

    fn failure(&self, fault: Fault) -> QueueError {
        self.witness.troubled();
        QueueError::Unreachable {
            queue: "simulated queue",
            address: "memory".into(),
            source: Box::new(Cause(fault)),
        }
    }

    async fn publish(self: &Arc<Self>, outgoing: Outgoing) -> Result<(), QueueError> {
        let about = Self::about(&outgoing);
        let id = outgoing.id();
        if self.plan.breaks(Sabotage::ConfirmsEarly) && matches!(outgoing, Outgoing::Delivery(..)) {
            self.publish_some_time(outgoing);
            return Ok(());
        }
        tokio::time::sleep(self.dice.millis(0..4, "publish", &about)).await;
        if self.away.is_now() {
            return Err(self.failure(Fault::QueueAway));
        }
        if self.unroutable.is_now() {
            self.witness.troubled();
            return Err(QueueError::Unroutable { id });
        }
        if self.dice.strikes(Fault::PublishFailed, &about).is_some() {
            return Err(self.failure(Fault::PublishFailed));
        }
        let copies = if self.dice.strikes(Fault::MessageDoubled, &about).is_some() {
            2
        } else {
            1
        };
        for _ in 0..copies {
            self.put(outgoing.clone(), &about).await?;
        }
        tokio::time::sleep(self.dice.millis(0..4, "confirm", &about)).await;
        if self.away.is_now() || self.dice.strikes(Fault::ConfirmLost, &about).is_some() {
            self.witness.troubled();
            let waited = Duration::from_secs(10);
            return Err(QueueError::Unconfirmed { id, waited });
        }
        Ok(())
    }

    /// Really puts it into the queue.
    async fn put(&self, outgoing: Outgoing, about: &str) -> Result<(), QueueError> {
        let delay = self
            .dice
            .strikes(Fault::MessageLate, about)
            .map(|size| Duration::from_millis(size % 10_000));
        match outgoing {
            Outgoing::Event(event) => {
                self.witness.event_queued(&event);
                self.inner.publish_event(&event, None).await
            }
            Outgoing::Raw(bytes) => self.inner.publish_raw_event(bytes).await,
            Outgoing::Delivery(mut delivery, lane, wait) => {
                let is_retry = delivery.attempt.get() > 1;
                if is_retry && self.plan.breaks(Sabotage::RendersAgain) {
                    let mut body = delivery.body.to_vec();
                    body.push(b' ');
                    delivery.body = body.into();
                }
                self.witness.delivery_queued(&delivery);
                let mut wait = match wait {
                    Some(wait) => Some(Wait::exactly(wait.at_least + delay.unwrap_or_default())),
                    None => delay.map(Wait::exactly),
                };
                if is_retry
                    && self.plan.breaks(Sabotage::HurriesRetries)
                    && let Some(wait) = &mut wait
                {
                    wait.at_least /= 2;
                    delivery.due_at = None;
                }
                if is_retry && self.plan.breaks(Sabotage::ForgetsRetries) {
                    self.remember(*delivery, lane, wait);
                    return Ok(());
                }
                self.inner.publish_delivery(&delivery, lane, wait).await
            }
        }
    }

    /// [`Sabotage::ForgetsRetries`]: keeps a retry in memory until it is due; a restart ends that.
    fn remember(&self, delivery: Delivery, lane: Lane, wait: Option<Wait>) {
        let (inner, away, witness) = (self.inner.clone(), self.away.clone(), self.witness.clone());
        tokio::spawn(async move {
            let due = tokio::time::sleep(wait.map_or(Duration::ZERO, |wait| wait.at_least));
            tokio::select! {
                biased;
                () = away.next() => witness.delivery_acknowledged(&delivery.id),
                () = due => {
                    let _ = inner.publish_delivery(&delivery, lane, None).await;
                }
            }
        });
    }

    /// [`Sabotage::ConfirmsEarly`]: the message is still with the publisher when the confirm is given, and lost with it.
    fn publish_some_time(self: &Arc<Self>, outgoing: Outgoing) {
        let shared = self.clone();
        let about = Self::about(&outgoing);
        let publisher = HandlerId::current();
        tokio::spawn(async move {
            let wait = shared.dice.millis(1..50, "late confirm", &about);
            tokio::time::sleep(wait).await;
            if !shared.away.is_now() && shared.witness.is_alive(publisher) {
                let _ = shared.put(outgoing, &about).await;
            }
        });
    }
}

#[async_trait]
impl Queue for FaultyQueue {
    async fn publish_event(
        &self,
        event: &Event,
        _trace: Option<&TraceContext>,
    ) -> Result<(), QueueError> {
        let outgoing = Outgoing::Event(Box::new(event.clone()));
        self.0.publish(outgoing).await
    }

    async fn publish_raw_event(&self, bytes: Bytes) -> Result<(), QueueError> {
        self.0.publish(Outgoing::Raw(bytes)).await
    }

    async fn publish_delivery(
        &self,
        delivery: &Delivery,
        lane: Lane,
        wait: Option<Wait>,
    ) -> Result<(), QueueError> {
        let outgoing = Outgoing::Delivery(Box::new(delivery.clone()), lane, wait);
        self.0.publish(outgoing).await
    }

    async fn consume_events(&self, window: u16) -> Result<Box<dyn Consumer<Event>>, QueueError> {
        Ok(Box::new(FaultyConsumer {
            inner: self.0.inner.consume_events(window).await?,
            source: Source::Events,
            common: Common::new(&self.0, window),
        }))
    }

    async fn consume_deliveries(
        &self,
        lane: Lane,
        window: u16,
    ) -> Result<Box<dyn Consumer<Delivery>>, QueueError> {
        Ok(Box::new(FaultyConsumer {
            inner: self.0.inner.consume_deliveries(lane, window).await?,
            source: Source::Deliveries(lane),
            common: Common::new(&self.0, window),
        }))
    }

    async fn consume_parked(
        &self,
        window: u16,
    ) -> Result<Box<dyn Consumer<ParkedMessage>>, QueueError> {
        Ok(Box::new(FaultyConsumer {
            inner: self.0.inner.consume_parked(window).await?,
            source: Source::Parked,
            common: Common::new(&self.0, window),
        }))
    }

    async fn depths(&self) -> Result<Vec<Depth>, QueueError> {
        self.0.inner.depths().await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.0.inner.ping().await
    }

    async fn close(&self) {
        self.0.inner.close().await;
    }
}

/// What a message is about, for the witness.
enum Matter {
    Event(EventId),
    Delivery(DeliveryId),
    Other,
}

/// Content that comes out of a queue.
#[async_trait]
trait Content: Send + Sized + 'static {
    fn matter(&self) -> Matter;
    async fn consume(
        queue: &SimulatedQueue,
        source: Source,
        window: u16,
    ) -> Result<Box<dyn Consumer<Self>>, QueueError>;
}

#[derive(Clone, Copy)]
enum Source {
    Events,
    Deliveries(Lane),
    Parked,
}

#[async_trait]
impl Content for Event {
    fn matter(&self) -> Matter {
        Matter::Event(self.id.clone())
    }

    async fn consume(
        queue: &SimulatedQueue,
        _source: Source,
        window: u16,
    ) -> Result<Box<dyn Consumer<Self>>, QueueError> {
        queue.consume_events(window).await
    }
}

#[async_trait]
impl Content for Delivery {
    fn matter(&self) -> Matter {
        Matter::Delivery(self.id.clone())
    }

    async fn consume(
        queue: &SimulatedQueue,
        source: Source,
        window: u16,
    ) -> Result<Box<dyn Consumer<Self>>, QueueError> {
        let Source::Deliveries(lane) = source else {
            unreachable!("deliveries come from their lanes")
        };
        queue.consume_deliveries(lane, window).await
    }
}

#[async_trait]
impl Content for ParkedMessage {
    fn matter(&self) -> Matter {
        match &self.content {
            ParkedContent::Delivery(delivery) => delivery.matter(),
            ParkedContent::Event(event) => event.matter(),
            ParkedContent::Raw(_) => Matter::Other,
        }
    }

    async fn consume(
        queue: &SimulatedQueue,
        _source: Source,
        window: u16,
    ) -> Result<Box<dyn Consumer<Self>>, QueueError> {
        queue.consume_parked(window).await
    }
}

struct Common {
    shared: Arc<Shared>,
    window: u16,
    /// Whether receipts handed out still count.
    connected: Arc<AtomicBool>,
    outages_seen: usize,
    is_to_be_cut: bool,
}

impl Common {
    fn new(shared: &Arc<Shared>, window: u16) -> Self {
        Self {
            shared: shared.clone(),
            window,
            connected: Arc::new(AtomicBool::new(true)),
            outages_seen: shared.away.begun(),
            is_to_be_cut: false,
        }
    }
}

struct FaultyConsumer<T> {
    inner: Box<dyn Consumer<T>>,
    source: Source,
    common: Common,
}

impl<T: Content> FaultyConsumer<T> {
    /// What was handed out comes again; the receipts for it are worth nothing.
    async fn reconnect(&mut self) {
        self.common.connected.store(false, Ordering::Relaxed);
        self.common.connected = Arc::new(AtomicBool::new(true));
        let queue = &self.common.shared.inner;
        if let Ok(anew) = T::consume(queue, self.source, self.common.window).await {
            self.inner = anew;
        }
    }
}

#[async_trait]
impl<T: Content> Consumer<T> for FaultyConsumer<T> {
    async fn next(&mut self) -> Option<Taken<T>> {
        loop {
            let begun = self.common.shared.away.begun();
            if self.common.is_to_be_cut || begun != self.common.outages_seen {
                self.common.outages_seen = begun;
                self.common.is_to_be_cut = false;
                self.reconnect().await;
            }
            if let Some(end) = self.common.shared.away.end() {
                tokio::time::sleep_until(end).await;
                continue;
            }
            let shared = self.common.shared.clone();
            let taken = tokio::select! {
                biased;
                () = shared.away.next() => continue,
                taken = self.inner.next() => taken?,
            };
            let matter = taken.content.as_ref().map_or(Matter::Other, T::matter);
            let about = match &matter {
                Matter::Event(id) => id.to_string(),
                Matter::Delivery(id) => shared.witness.label(id),
                Matter::Other => "bytes".into(),
            };
            self.common.is_to_be_cut = shared.dice.strikes(Fault::ConnectionCut, &about).is_some();
            let receipt = Box::new(FaultyReceipt {
                inner: taken.receipt,
                connected: self.common.connected.clone(),
                witness: shared.witness.clone(),
                matter,
            });
            return Some(Taken { receipt, ..taken });
        }
    }

    async fn stop(&mut self) {
        self.inner.stop().await;
    }
}

struct FaultyReceipt {
    inner: Box<dyn Receipt>,
    connected: Arc<AtomicBool>,
    witness: Arc<Witness>,
    matter: Matter,
}

impl Receipt for FaultyReceipt {
    fn acknowledge(self: Box<Self>) {
        self.inner.acknowledge();
        if !self.connected.load(Ordering::Relaxed) {
            return;
        }
        match &self.matter {
            Matter::Event(id) => self.witness.event_acknowledged(id),
            Matter::Delivery(id) => self.witness.delivery_acknowledged(id),
            Matter::Other => {}
        }
    }

    fn give_back(self: Box<Self>) {
        self.inner.give_back();
    }
}

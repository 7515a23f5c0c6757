//! The queue in memory.

use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{
    Consumer, Depth, Lane, ParkedContent, ParkedMessage, Queue, QueueError, QueueName, Receipt,
    Taken, Unreadable,
};
use ringback_domain::{Delivery, Event, TraceContext, Wait};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The queue in memory; clones share it.
#[derive(Clone, Default)]
pub struct SimulatedQueue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    rounds_up: bool,
    refuses_events: bool,
    ready: HashMap<QueueName, VecDeque<Message>>,
    delayed: BTreeMap<(Instant, u64), (Lane, Message)>,
    /// By tag: which consumer has it, from which queue.
    in_flight: BTreeMap<u64, (u64, QueueName, Message)>,
    last_number: u64,
    closed: bool,
}

#[derive(Clone)]
struct Message {
    content: Content,
    trace: Option<TraceContext>,
    redelivered: bool,
    given_back: u32,
}

#[derive(Clone)]
enum Content {
    Event(Box<Event>),
    RawEvent(Bytes),
    Delivery(Box<Delivery>),
    Parked(Box<ParkedMessage>),
}

impl Message {
    fn new(content: Content, trace: Option<TraceContext>) -> Self {
        Self {
            content,
            trace,
            redelivered: false,
            given_back: 0,
        }
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn promote_due(&mut self, now: Instant) {
        while let Some(entry) = self
            .delayed
            .first_entry()
            .filter(|entry| entry.key().0 <= now)
        {
            let (lane, message) = entry.remove();
            self.ready
                .entry(QueueName::Deliveries(lane))
                .or_default()
                .push_back(message);
        }
    }

    /// Back to the front of its queue, as a broker does.
    fn put_back(&mut self, queue: QueueName, mut message: Message) {
        message.redelivered = true;
        self.ready.entry(queue).or_default().push_front(message);
    }

    fn park(&mut self, from: QueueName, message: Message) {
        let content = match message.content {
            Content::Delivery(delivery) => ParkedContent::Delivery(delivery),
            Content::Event(event) => ParkedContent::Event(event),
            Content::RawEvent(bytes) => match ringback_wire::event::parse(&bytes) {
                Ok(event) => ParkedContent::Event(Box::new(event)),
                Err(_) => ParkedContent::Raw(bytes),
            },
            Content::Parked(parked) => parked.content,
        };
        let parked = Content::Parked(Box::new(ParkedMessage { from, content }));
        self.ready
            .entry(QueueName::Parked)
            .or_default()
            .push_back(Message::new(parked, None));
    }
}

impl SimulatedQueue {
    /// A queue that is late as a ladder of delays is: waits are rounded up, and those that end at about the same time end together.
    pub fn rounding_up() -> Self {
        let queue = Self::default();
        queue.state().rounds_up = true;
        queue
    }

    /// How often a message may be given back before it is parked.
    pub const DELIVERY_LIMIT: u32 = 20;

    /// The queue as it is after a restart: what was not acknowledged is ready again, and consumers of before are no more.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut state = self.state();
        state.closed = false;
        for (_, (_, queue, message)) in std::mem::take(&mut state.in_flight).into_iter().rev() {
            state.put_back(queue, message);
        }
        drop(state);
        self.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .state
            .lock()
            .expect("nothing panics while it holds the lock")
    }

    fn put(&self, queue: QueueName, message: Message) -> Result<(), QueueError> {
        let mut state = self.state();
        if state.closed {
            return Err(QueueError::Closed);
        }
        state.ready.entry(queue).or_default().push_back(message);
        drop(state);
        self.0.changed.notify_waiters();
        Ok(())
    }

    fn consume<T: 'static>(
        &self,
        queue: QueueName,
        window: u16,
        read: fn(Content) -> Result<T, Unreadable>,
    ) -> Box<dyn Consumer<T>> {
        let id = self.state().number();
        Box::new(SimulatedConsumer {
            queue: self.clone(),
            id,
            name: queue,
            window: window.into(),
            read,
            stopped: false,
        })
    }

    /// From now on there is no room for events.
    pub fn refuse_events(&self) {
        self.state().refuses_events = true;
    }

    /// Whether nothing is ready, waiting for its time, or unacknowledged.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        state.ready.values().all(VecDeque::is_empty)
            && state.delayed.is_empty()
            && state.in_flight.is_empty()
    }
}

#[async_trait]
impl Queue for SimulatedQueue {
    async fn publish_event(
        &self,
        event: &Event,
        trace: Option<&TraceContext>,
    ) -> Result<(), QueueError> {
        if self.state().refuses_events {
            return Err(QueueError::Refused {
                id: event.id.to_string(),
                why: "a queue is full".into(),
            });
        }
        self.put(
            QueueName::Events,
            Message::new(Content::Event(Box::new(event.clone())), trace.cloned()),
        )
    }

    async fn publish_raw_event(&self, bytes: Bytes) -> Result<(), QueueError> {
        self.put(
            QueueName::Events,
            Message::new(Content::RawEvent(bytes), None),
        )
    }

    async fn publish_delivery(
        &self,
        delivery: &Delivery,
        lane: Lane,
        wait: Option<Wait>,
    ) -> Result<(), QueueError> {
        let message = Message::new(Content::Delivery(Box::new(delivery.clone())), None);
        let Some(wait) = wait else {
            return self.put(QueueName::Deliveries(lane), message);
        };
        let mut state = self.state();
        if state.closed {
            return Err(QueueError::Closed);
        }
        let number = state.number();
        let waits = if state.rounds_up {
            rounded_up(wait)
        } else {
            wait.at_least
        };
        state
            .delayed
            .insert((Instant::now() + waits, number), (lane, message));
        drop(state);
        self.0.changed.notify_waiters();
        Ok(())
    }

    async fn consume_events(&self, window: u16) -> Result<Box<dyn Consumer<Event>>, QueueError> {
        Ok(
            self.consume(QueueName::Events, window, |content| match content {
                Content::Event(event) => Ok(*event),
                Content::RawEvent(bytes) => ringback_wire::event::read(&bytes, None),
                Content::Delivery(_) | Content::Parked(_) => unreachable!("not in this queue"),
            }),
        )
    }

    async fn consume_deliveries(
        &self,
        lane: Lane,
        window: u16,
    ) -> Result<Box<dyn Consumer<Delivery>>, QueueError> {
        Ok(self.consume(
            QueueName::Deliveries(lane),
            window,
            |content| match content {
                Content::Delivery(delivery) => Ok(*delivery),
                _ => unreachable!("not in this queue"),
            },
        ))
    }

    async fn consume_parked(
        &self,
        window: u16,
    ) -> Result<Box<dyn Consumer<ParkedMessage>>, QueueError> {
        Ok(
            self.consume(QueueName::Parked, window, |content| match content {
                Content::Parked(parked) => Ok(*parked),
                _ => unreachable!("not in this queue"),
            }),
        )
    }

    async fn depths(&self) -> Result<Vec<Depth>, QueueError> {
        let state = self.state();
        let waiting = |name| state.ready.get(&name).map_or(0, VecDeque::len) as u64;
        let names = [
            QueueName::Events,
            QueueName::Deliveries(Lane::Main),
            QueueName::Deliveries(Lane::Slow),
            QueueName::Parked,
        ];
        let mut depths: Vec<_> = names
            .into_iter()
            .map(|queue| Depth {
                queue,
                waiting: waiting(queue),
                consumers: None,
                unacknowledged: 0,
                due_soon: 0,
            })
            .collect();
        depths.push(Depth {
            queue: QueueName::Delayed,
            waiting: state.delayed.len() as u64,
            consumers: None,
            unacknowledged: 0,
            due_soon: 0,
        });
        Ok(depths)
    }

    async fn ping(&self) -> Result<(), QueueError> {
        if self.state().closed {
            Err(QueueError::Closed)
        } else {
            Ok(())
        }
    }

    async fn close(&self) {
        self.state().closed = true;
        self.0.changed.notify_waiters();
    }
}

/// The shortest of the waits that such a queue has: each is longer than the one before by a 64th at most.
fn rounded_up(wait: Wait) -> Duration {
    /// Waits shorter than this are exact to a unit.
    const UNITS_EXACT: u128 = 512;
    const UNIT: Duration = Duration::from_millis(250);
    let units = |wait: Duration| wait.as_nanos().div_ceil(UNIT.as_nanos());
    let least = units(wait.at_least);
    let mut step = 1;
    while least / step >= UNITS_EXACT {
        step *= 8;
    }
    let units = u32::try_from(least.next_multiple_of(step)).expect("no wait is that long");
    UNIT * units
}

struct SimulatedConsumer<T> {
    queue: SimulatedQueue,
    id: u64,
    name: QueueName,
    window: usize,
    read: fn(Content) -> Result<T, Unreadable>,
    stopped: bool,
}

/// What a consumer finds when it looks.
enum Found {
    Message(u64, Message),
    NothingUntil(Option<Instant>),
    Closed,
}

impl<T> SimulatedConsumer<T> {
    fn look(&self) -> Found {
        let mut state = self.queue.state();
        if state.closed || self.stopped {
            return Found::Closed;
        }
        state.promote_due(Instant::now());
        let held = state
            .in_flight
            .values()
            .filter(|(consumer, ..)| *consumer == self.id)
            .count();
        let next_due = state.delayed.keys().next().map(|(due, _)| *due);
        if held >= self.window {
            return Found::NothingUntil(None);
        }
        let Some(message) = state
            .ready
            .get_mut(&self.name)
            .and_then(VecDeque::pop_front)
        else {
            return Found::NothingUntil(next_due);
        };
        let tag = state.number();
        state
            .in_flight
            .insert(tag, (self.id, self.name, message.clone()));
        Found::Message(tag, message)
    }
}

#[async_trait]
impl<T: 'static> Consumer<T> for SimulatedConsumer<T> {
    async fn next(&mut self) -> Option<Taken<T>> {
        loop {
            let shared = self.queue.0.clone();
            let changed = shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.look() {
                Found::Message(
                    tag,
                    Message {
                        content,
                        trace,
                        redelivered,
                        ..
                    },
                ) => {
                    let receipt = Box::new(SimulatedReceipt {
                        queue: self.queue.clone(),
                        tag,
                    });
                    return Some(Taken {
                        content: (self.read)(content),
                        trace,
                        redelivered,
                        receipt,
                    });
                }
                Found::Closed => return None,
                Found::NothingUntil(None) => changed.await,
                Found::NothingUntil(Some(due)) => {
                    let _ = tokio::time::timeout_at(due, changed).await;
                }
            }
        }
    }

    async fn stop(&mut self) {
        self.stopped = true;
    }
}

impl<T> Drop for SimulatedConsumer<T> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        let mine: Vec<_> = state
            .in_flight
            .iter()
            .filter(|(_, (consumer, ..))| *consumer == self.id)
            .map(|(tag, _)| *tag)
            .collect();
        // The oldest comes to the front last, and so is first again.
        for tag in mine.into_iter().rev() {
            if let Some((_, queue, message)) = state.in_flight.remove(&tag) {
                state.put_back(queue, message);
            }
        }
        drop(state);
        self.queue.0.changed.notify_waiters();
    }
}

struct SimulatedReceipt {
    queue: SimulatedQueue,
    tag: u64,
}

impl Receipt for SimulatedReceipt {
    fn acknowledge(self: Box<Self>) {
        self.queue.state().in_flight.remove(&self.tag);
        self.queue.0.changed.notify_waiters();
    }

    fn give_back(self: Box<Self>) {
        let mut state = self.queue.state();
        if let Some((_, queue, mut message)) = state.in_flight.remove(&self.tag) {
            message.given_back += 1;
            if message.given_back > SimulatedQueue::DELIVERY_LIMIT {
                state.park(queue, message);
            } else {
                state.put_back(queue, message);
            }
        }
        drop(state);
        self.queue.0.changed.notify_waiters();
    }
}

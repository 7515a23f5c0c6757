//! Taking messages: one channel a consumer, opened again after every failure.
//!
//! A pump task owns the channel. It hands messages on, tells the broker what was settled, and closes the channel when the
//! consumer is dropped, whereupon the broker gives what is left to others.

use crate::{
    ledger::{Frame, Ledger, Tag},
    link::{Failure, Link, Live},
    message::{Read, trace_of},
    topology::{Names, soft_error},
    watch::Notices,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::try_join_all};
use lapin::{
    Channel,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    },
    protocol::AMQPSoftError,
    types::FieldTable,
};
use ringback_delivery::port::{Consumer, Receipt, Taken};
use std::{
    mem::discriminant,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, sleep, timeout},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// The last acknowledgements must not hold up an end for long: lost, they only bring their messages again.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(5);

/// After the broker closed a channel since nothing on it was settled in time, how long it is waited for the first of it to be, before
/// more is taken …
const STUCK_WAIT_FIRST: Duration = Duration::from_mins(1);
/// … which is twice as long each time in a row, up to this.
const STUCK_WAIT_MAX: Duration = Duration::from_hours(4);
/// How often is looked.
const STUCK_LOOK_EACH: Duration = Duration::from_millis(250);

/// The consumer's tag on its channel; it has the channel for itself.
const TAG: &str = "ringback";

/// What a consumer is made from.
pub(crate) struct Source<T> {
    pub(crate) link: Arc<Link>,
    pub(crate) names: Names,
    pub(crate) queue: String,
    pub(crate) window: u16,
    /// Counts the messages of this queue that are in our hands.
    pub(crate) held: Arc<AtomicU64>,
    pub(crate) read: Read<T>,
    /// Where messages may be watched.
    pub(crate) notices: Option<Notices>,
}

/// A consumer of one queue.
pub(crate) struct RabbitConsumer<T> {
    taken: mpsc::Receiver<Buffered<T>>,
    stop: CancellationToken,
    _dropped: DropGuard,
}

struct Buffered<T> {
    taken: Taken<T>,
    ledger: Arc<Ledger>,
}

impl<T> Buffered<T> {
    fn give_back(self) {
        self.taken.receipt.give_back();
    }
}

impl<T: Send + 'static> RabbitConsumer<T> {
    pub(crate) fn start(source: Source<T>, tasks: &TaskTracker) -> Self {
        // RabbitMQ reads a window of 0 as no window at all.
        let window = source.window.max(1);
        let (hand_on, taken) = mpsc::channel(usize::from(window));
        let (stop, dropped) = (CancellationToken::new(), source.link.closed().child_token());
        let pump = Pump {
            source: Source { window, ..source },
            hand_on: Some(hand_on),
            stop: stop.clone(),
            end: dropped.clone(),
        };
        tasks.spawn(pump.run());
        Self {
            taken,
            stop,
            _dropped: dropped.drop_guard(),
        }
    }
}

#[async_trait]
impl<T: Send + 'static> Consumer<T> for RabbitConsumer<T> {
    async fn next(&mut self) -> Option<Taken<T>> {
        loop {
            let next = self.taken.recv().await?;
            // Of a channel that ended meanwhile: the broker has handed it out again already.
            if next.ledger.is_open() {
                return Some(next.taken);
            }
        }
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(next) = self.taken.recv().await {
            next.give_back();
        }
    }
}

struct TagReceipt {
    ledger: Arc<Ledger>,
    tag: Tag,
}

impl Receipt for TagReceipt {
    fn acknowledge(self: Box<Self>) {
        self.ledger.acknowledge(self.tag);
    }

    fn give_back(self: Box<Self>) {
        self.ledger.give_back(self.tag);
    }
}

struct Pump<T> {
    source: Source<T>,
    /// Dropped once no more is taken.
    hand_on: Option<mpsc::Sender<Buffered<T>>>,
    stop: CancellationToken,
    /// The consumer was dropped, or the queue closed.
    end: CancellationToken,
}

impl<T: Send + 'static> Pump<T> {
    async fn run(mut self) {
        let mut backoff = self.source.link.backoff();
        let mut stuck = Stuck::default();
        loop {
            let opened = tokio::select! {
                biased;
                () = self.end.cancelled() => return,
                () = self.stop.cancelled() => return,
                opened = async {
                    backoff.wait().await;
                    stuck.wait().await;
                    self.open().await
                } => opened,
            };
            match opened {
                Ok((live, channel, consumer)) => {
                    backoff.reset();
                    let ledger =
                        Arc::new(Ledger::new(self.source.window, self.source.held.clone()));
                    let ended = self.serve(&live, &channel, consumer, &ledger).await;
                    ledger.close();
                    match ended {
                        Ok(()) => return,
                        // What was handed out comes again, so there is nothing left to serve.
                        Err(_) if self.hand_on.is_none() => return,
                        Err(error) => {
                            self.report(&live, &error);
                            if is_overdue(&error) {
                                stuck.on = Some(ledger);
                            }
                        }
                    }
                }
                Err(Failure::Closed) => return,
                Err(Failure::Unreachable { .. }) => {}
            }
            backoff.failed();
        }
    }

    /// The link speaks of lost connections; what happens on one that still is concerns this queue alone.
    fn report(&self, live: &Live, error: &lapin::Error) {
        let (address, queue) = (&live.address, &self.source.queue);
        if live.is_up() {
            tracing::warn!(server.address = address, queue, %error, "consuming was interrupted; trying on");
        } else {
            tracing::debug!(server.address = address, queue, %error, "consuming was interrupted by the connection");
        }
    }

    async fn open(&self) -> Result<(Arc<Live>, Channel, lapin::Consumer), Failure> {
        let live = self.source.link.live().await?;
        let open = async {
            let channel = live.channel().await?;
            live.asked(channel.basic_qos(self.source.window, BasicQosOptions::default()))
                .await?;
            let consume = channel.basic_consume(
                self.source.queue.as_str().into(),
                TAG.into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            );
            let consumer = live.asked(consume).await?;
            Ok((channel, consumer))
        };
        match open.await {
            Ok((channel, consumer)) => Ok((live, channel, consumer)),
            Err(source) => {
                self.report(&live, &source);
                Err(live.failure(source))
            }
        }
    }

    /// Serves one channel: `Ok` when the consumer ended, an error when the channel did.
    async fn serve(
        &mut self,
        live: &Live,
        channel: &Channel,
        consumer: lapin::Consumer,
        ledger: &Arc<Ledger>,
    ) -> lapin::Result<()> {
        self.hand_on(live, channel, consumer, ledger).await?;
        self.hand_on = None;
        loop {
            tokio::select! {
                biased;
                () = self.end.cancelled() => {
                    let _ = timeout(LAST_WORDS_WITHIN, say_last_words(channel, ledger)).await;
                    return Ok(());
                }
                () = ledger.due() => live.asked(tell(channel, ledger)).await?,
            }
        }
    }

    /// Hands messages on until we are told to stop or to end.
    async fn hand_on(
        &self,
        live: &Live,
        channel: &Channel,
        mut consumer: lapin::Consumer,
        ledger: &Arc<Ledger>,
    ) -> lapin::Result<()> {
        let Some(hand_on) = &self.hand_on else {
            return Ok(());
        };
        let mut held: Option<Buffered<T>> = None;
        loop {
            tokio::select! {
                biased;
                () = self.end.cancelled() => return Ok(()),
                () = ledger.due() => live.asked(tell(channel, ledger)).await?,
                () = self.stop.cancelled() => {
                    live.asked(channel.basic_cancel(TAG.into(), BasicCancelOptions::default())).await?;
                    // The broker sends nothing after it said so; what arrived before goes back.
                    held.into_iter().for_each(Buffered::give_back);
                    while let Some(Some(Ok(delivery))) = consumer.next().now_or_never() {
                        ledger.give_back(delivery.delivery_tag);
                    }
                    return live.asked(tell(channel, ledger)).await;
                }
                place = hand_on.reserve(), if held.is_some() => {
                    // No place means that the consumer is being dropped, and `end` says so next.
                    if let (Ok(place), Some(buffered)) = (place, held.take()) {
                        place.send(buffered);
                    }
                }
                next = consumer.next(), if held.is_none() => match next {
                    Some(Ok(delivery)) => {
                        live.heard.now();
                        let mut taken = self.take(delivery, ledger);
                        // There is room for a window, and what has come already needs no turn of its own.
                        held = loop {
                            match hand_on.try_send(taken) {
                                Ok(()) => {}
                                Err(TrySendError::Full(taken) | TrySendError::Closed(taken)) => {
                                    break Some(taken);
                                }
                            }
                            match consumer.next().now_or_never() {
                                Some(Some(Ok(delivery))) => taken = self.take(delivery, ledger),
                                Some(Some(Err(error))) => return Err(error),
                                Some(None) | None => break None,
                            }
                        };
                    }
                    Some(Err(error)) => return Err(error),
                    // The queue was deleted, or its leader moved.
                    None => return Err(std::io::Error::other("the broker ended the consumer").into()),
                },
            }
        }
    }

    fn take(&self, delivery: lapin::message::Delivery, ledger: &Arc<Ledger>) -> Buffered<T> {
        let tag = delivery.delivery_tag;
        ledger.took();
        if let Some(notices) = &self.source.notices {
            notices.took(&delivery.properties);
        }
        let content = (self.source.read)(
            &self.source.names,
            &delivery.properties,
            &Bytes::from(delivery.data),
        );
        let taken = Taken {
            content,
            trace: trace_of(&delivery.properties),
            redelivered: delivery.redelivered,
            receipt: Box::new(TagReceipt {
                ledger: Arc::clone(ledger),
                tag,
            }),
        };
        Buffered {
            taken,
            ledger: Arc::clone(ledger),
        }
    }
}

/// Messages that were in hand as the broker lost its patience, and how often in a row it did.
///
/// Where the store is away, workers settle nothing, and the broker closes the channel again and again. Each time counts for every message in
/// the window as if it had ended a worker, and after `delivery_limit` of these all would be parked.
#[derive(Default)]
struct Stuck {
    on: Option<Arc<Ledger>>,
    rounds: u32,
}

impl Stuck {
    /// Waits until the first of them is done with, for so long at most: one alone may never be.
    async fn wait(&mut self) {
        let Some(ledger) = self.on.take() else {
            return;
        };
        let longest = STUCK_WAIT_FIRST.saturating_mul(1 << self.rounds.min(16));
        let until = Instant::now() + longest.min(STUCK_WAIT_MAX);
        // Every message in hand has a part in its ledger.
        let in_hand = || Arc::strong_count(&ledger) - 1;
        let before = in_hand();
        self.rounds += 1;
        while Instant::now() < until {
            if in_hand() == 0 || in_hand() < before {
                self.rounds = 0;
                return;
            }
            sleep(STUCK_LOOK_EACH).await;
        }
    }
}

/// Whether the broker closed the channel since a message was in hand for longer than its `consumer_timeout`.
fn is_overdue(error: &lapin::Error) -> bool {
    matches!(
        soft_error(error),
        Some((AMQPSoftError::PRECONDITIONFAILED, words)) if words.contains("timed out")
    )
}

/// Acknowledges what was settled to the last, and gives the rest back by closing.
async fn say_last_words(channel: &Channel, ledger: &Ledger) -> lapin::Result<()> {
    write(channel, ledger.take_last_frames()).await?;
    channel.close(200, "done".into()).await
}

async fn tell(channel: &Channel, ledger: &Ledger) -> lapin::Result<()> {
    write(channel, ledger.take_frames()).await
}

async fn write(channel: &Channel, frames: Vec<Frame>) -> lapin::Result<()> {
    let ack = |multiple| BasicAckOptions { multiple };
    let requeue = BasicNackOptions {
        multiple: false,
        requeue: true,
    };
    let tell_one = async |frame: &Frame| match *frame {
        Frame::AckUpTo(tag) => channel.basic_ack(tag, ack(true)).await,
        Frame::Ack(tag) => channel.basic_ack(tag, ack(false)).await,
        Frame::GiveBack(tag) => channel.basic_nack(tag, requeue).await,
    };
    // Among frames of one kind the order does not matter, so that these are written together.
    let kinds = |one: &Frame, other: &Frame| discriminant(one) == discriminant(other);
    for frames in frames.chunk_by(kinds) {
        try_join_all(frames.iter().map(tell_one)).await?;
    }
    Ok(())
}

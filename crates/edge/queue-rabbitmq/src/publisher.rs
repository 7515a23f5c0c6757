//! Publishing: many messages in flight on one channel, each confirmed, repeated after a reconnect until its time is up.
//!
//! One task owns the channel and every message without a confirm. A caller that no longer waits is left out of repetitions, and a
//! message that was not handed over before its caller went is never sent.

use crate::{
    link::{Backoff, Failure, Link, Live},
    message::Message,
    topology::soft_error,
};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use lapin::{
    Channel, Confirmation,
    message::BasicReturnMessage,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    protocol::AMQPSoftError,
};
use ringback_delivery::port::QueueError;
use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::task::TaskTracker;

/// After a burst, none follows for this long for each message of it: so messages that come faster than this go together, and one
/// that comes alone goes at once.
///
/// A quorum queue writes its log once for what comes together. Of 1,300 messages of 500 bytes a second, each cost RabbitMQ 3.10.8
/// 0.49 ms of processor time alone, 0.30 in bursts of 8, 0.22 in bursts of 32, and 0.17 in bursts of 128.
const PAUSE_EACH: Duration = Duration::from_millis(1);
/// The longest pause: what a message waits at most for company.
const PAUSE_MAX: Duration = Duration::from_millis(16);

/// What messages without a confirm may have together, in KiB: 16 MiB, or one that is larger.
const UNCONFIRMED_KIB_MAX: u32 = 16 * 1024;

/// The way in.
#[derive(Clone)]
pub(crate) struct Publisher {
    outbox: mpsc::Sender<Outgoing>,
    /// Places for messages.
    window: Arc<Semaphore>,
    /// Places for what they hold, a KiB each.
    kib: Arc<Semaphore>,
    link: Arc<Link>,
    blocked: watch::Receiver<Option<String>>,
    confirm_timeout: Duration,
}

/// A message on its way, until its confirm.
struct Outgoing {
    message: Arc<Message>,
    reply: oneshot::Sender<Answer>,
    /// Whether a broker may have it.
    handed_over: Arc<AtomicBool>,
    /// The broker gave it back: no queue takes it.
    returned: bool,
    _places: [OwnedSemaphorePermit; 2],
}

impl Outgoing {
    /// Whether somebody waits for it. Where nobody does and it was not handed over, its caller was told that it did not go, and
    /// repeats it.
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }
}

/// What the broker made of a message.
enum Answer {
    Confirmed,
    Refused,
    Unroutable,
}

impl Publisher {
    pub(crate) fn start(
        link: Arc<Link>,
        window: NonZeroU16,
        confirm_timeout: Duration,
        tasks: &TaskTracker,
    ) -> Self {
        let places = usize::from(window.get());
        let (outbox, taken) = mpsc::channel(places);
        let (tell_blocked, blocked) = watch::channel(None);
        let desk = Desk {
            link: Arc::clone(&link),
            outbox: taken,
            unconfirmed: BTreeMap::new(),
            next_number: 0,
            tell_blocked,
        };
        tasks.spawn(desk.run());
        Self {
            outbox,
            window: Arc::new(Semaphore::new(places)),
            kib: Arc::new(Semaphore::new(UNCONFIRMED_KIB_MAX as usize)),
            link,
            blocked,
            confirm_timeout,
        }
    }

    /// Publishes; returns once the broker has confirmed.
    pub(crate) async fn publish(&self, message: Message) -> Result<(), QueueError> {
        let id = message.id.clone();
        let handed_over = Arc::new(AtomicBool::new(false));
        let kib = kib_of(message.body.len());
        let exchange = async {
            let place = Arc::clone(&self.window).acquire_owned().await.ok()?;
            let bytes = Arc::clone(&self.kib).acquire_many_owned(kib).await.ok()?;
            let (reply, answer) = oneshot::channel();
            let outgoing = Outgoing {
                message: Arc::new(message),
                reply,
                handed_over: Arc::clone(&handed_over),
                returned: false,
                _places: [place, bytes],
            };
            self.outbox.send(outgoing).await.ok()?;
            answer.await.ok()
        };
        match timeout(self.confirm_timeout, exchange).await {
            Ok(Some(Answer::Confirmed)) => Ok(()),
            Ok(Some(Answer::Unroutable)) => Err(QueueError::Unroutable { id }),
            Ok(Some(Answer::Refused)) => Err(QueueError::Refused {
                id,
                why: "a queue is full or has no leader".to_owned(),
            }),
            Ok(None) => Err(self.after_the_end(id, handed_over.load(Ordering::Relaxed))),
            Err(_) => Err(self.out_of_time(id, handed_over.load(Ordering::Relaxed))),
        }
    }

    /// Closed while the message was under way: the broker may have it.
    fn after_the_end(&self, id: String, handed_over: bool) -> QueueError {
        if handed_over {
            QueueError::Unconfirmed {
                id,
                waited: self.confirm_timeout,
            }
        } else {
            QueueError::Closed
        }
    }

    fn out_of_time(&self, id: String, handed_over: bool) -> QueueError {
        if handed_over {
            return QueueError::Unconfirmed {
                id,
                waited: self.confirm_timeout,
            };
        }
        if let Some(reason) = &*self.blocked.borrow() {
            let why = format!("the broker takes no messages at the moment: {reason}");
            return QueueError::Refused { id, why };
        }
        match self.link.last_failure() {
            Some(failure) => failure.into(),
            None => QueueError::Unconfirmed {
                id,
                waited: self.confirm_timeout,
            },
        }
    }
}

/// What a message takes of [`UNCONFIRMED_KIB_MAX`].
fn kib_of(bytes: usize) -> u32 {
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    kib.min(UNCONFIRMED_KIB_MAX)
}

/// The task behind it.
struct Desk {
    link: Arc<Link>,
    outbox: mpsc::Receiver<Outgoing>,
    /// In the order they came, so that repetitions keep it.
    unconfirmed: BTreeMap<u64, Outgoing>,
    next_number: u64,
    tell_blocked: watch::Sender<Option<String>>,
}

/// The confirm of one message, or how its channel ended.
type Settled = (u64, lapin::Result<Confirmation>);

impl Desk {
    async fn run(mut self) {
        let mut backoff = self.link.backoff();
        loop {
            if self.unconfirmed.is_empty() && !self.take_next().await {
                return;
            }
            tokio::select! {
                biased;
                () = self.link.closed().cancelled() => return,
                () = backoff.wait() => {}
            }
            self.forget_abandoned();
            let failure = match self.open().await {
                Ok((live, channel)) => match self.serve(&live, &channel, &mut backoff).await {
                    Ok(()) => return,
                    Err(source) => live.failure(source),
                },
                Err(failure) => failure,
            };
            self.tell_blocked.send_replace(None);
            backoff.failed();
            match failure {
                Failure::Closed => return,
                Failure::Unreachable { address, source } => {
                    tracing::debug!(server.address = address, error = %source, unconfirmed = self.unconfirmed.len(), "publishing was interrupted");
                }
            }
        }
    }

    /// Waits for a message that somebody waits for; `false` once there will be none.
    async fn take_next(&mut self) -> bool {
        loop {
            let next = tokio::select! {
                biased;
                () = self.link.closed().cancelled() => return false,
                next = self.outbox.recv() => next,
            };
            match next {
                Some(outgoing) if outgoing.is_wanted() => {
                    self.keep(outgoing);
                    return true;
                }
                Some(_) => {}
                None => return false,
            }
        }
    }

    fn keep(&mut self, outgoing: Outgoing) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.unconfirmed.insert(number, outgoing);
        number
    }

    /// Nobody waits for these any more, and their places are wanted.
    fn forget_abandoned(&mut self) {
        while let Ok(outgoing) = self.outbox.try_recv() {
            self.keep(outgoing);
        }
        self.unconfirmed.retain(|_, outgoing| outgoing.is_wanted());
    }

    async fn open(&self) -> Result<(Arc<Live>, Channel), Failure> {
        let live = self.link.live().await?;
        let open = async {
            let channel = live.channel().await?;
            live.asked(channel.confirm_select(ConfirmSelectOptions::default()))
                .await?;
            Ok(channel)
        };
        match open.await {
            Ok(channel) => Ok((live, channel)),
            Err(source) => {
                live.kill();
                Err(live.failure(source))
            }
        }
    }

    /// Publishes on one channel until it fails; `Ok` when we are closed.
    async fn serve(
        &mut self,
        live: &Live,
        channel: &Channel,
        backoff: &mut Backoff,
    ) -> lapin::Result<()> {
        let mut confirms = FuturesUnordered::new();
        let mut blocked = live.blocked.clone();
        let mut pause_ends = Instant::now();
        // Opening may have taken long.
        self.forget_abandoned();
        for (number, outgoing) in &self.unconfirmed {
            confirms.push(hand_over(channel.clone(), *number, outgoing));
        }
        loop {
            let reason = blocked.borrow_and_update().clone();
            let is_blocked = reason.is_some();
            self.tell_blocked.send_if_modified(|told| {
                let is_news = *told != reason;
                *told = reason;
                is_news
            });
            tokio::select! {
                biased;
                () = self.link.closed().cancelled() => return Ok(()),
                Some(first) = confirms.next() => {
                    let mut settled = vec![first];
                    // Everything that is settled by now, see `settle`.
                    while let Some(Some(next)) = confirms.next().now_or_never() {
                        settled.push(next);
                    }
                    if self.settle(settled)? {
                        backoff.reset();
                    }
                }
                changed = blocked.changed() => {
                    if changed.is_err() {
                        // The connection's events ended, and with them the connection.
                        return Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into());
                    }
                }
                next = next_after(&mut self.outbox, pause_ends), if !is_blocked => {
                    let Some(outgoing) = next else { return Ok(()) };
                    let mut pause = Duration::ZERO;
                    let mut next = Some(outgoing);
                    // Whatever is there goes at once: the connection writes it together.
                    while let Some(outgoing) = next {
                        // While a broker takes none, they wait here, and most are abandoned. Left out, each gives its place back.
                        if outgoing.is_wanted() {
                            let number = self.keep(outgoing);
                            confirms.push(hand_over(channel.clone(), number, &self.unconfirmed[&number]));
                            pause += PAUSE_EACH;
                        }
                        next = self.outbox.try_recv().ok();
                    }
                    pause_ends = Instant::now() + pause.min(PAUSE_MAX);
                }
            }
        }
    }

    /// Answers for what is settled; whether any was confirmed.
    ///
    /// The library hands a returned message to whichever confirm is settled next, which under load is often another message's.
    /// It does so before it settles the returned message itself: so first every return of the batch is noted where it belongs,
    /// then answers are given.
    fn settle(&mut self, settled: Vec<Settled>) -> lapin::Result<bool> {
        for (_, confirm) in &settled {
            if let Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) =
                confirm
            {
                self.note_return(returned);
            }
        }
        let mut any_confirmed = false;
        let mut broken = None;
        for (number, confirm) in settled {
            let answer = match confirm {
                Ok(Confirmation::Ack(_)) => Answer::Confirmed,
                Ok(Confirmation::Nack(_) | Confirmation::NotRequested) => Answer::Refused,
                Err(error) => {
                    broken = Some(error);
                    continue;
                }
            };
            any_confirmed = true;
            let outgoing = self.unconfirmed.remove(&number).expect("settled once");
            let answer = if outgoing.returned {
                Answer::Unroutable
            } else {
                answer
            };
            // The caller may have gone; the message is safe all the same.
            let _ = outgoing.reply.send(answer);
        }
        match broken {
            Some(error) => {
                self.answer_missing_exchange(&error);
                Err(error)
            }
            None => Ok(any_confirmed),
        }
    }

    /// Messages with the same id, exchange and key share their fate, so it does not matter which of them came back.
    fn note_return(&mut self, returned: &BasicReturnMessage) {
        let id = returned
            .properties
            .message_id()
            .as_ref()
            .map(lapin::types::ShortString::as_str);
        for outgoing in self.unconfirmed.values_mut() {
            let message = &outgoing.message;
            if Some(message.id.as_str()) == id
                && message.exchange == returned.exchange.as_str()
                && message.routing_key == returned.routing_key.as_str()
            {
                outgoing.returned = true;
            }
        }
    }

    /// The broker closes the whole channel over one message to an exchange that is not there. Repeating that one would end
    /// every channel to come.
    fn answer_missing_exchange(&mut self, error: &lapin::Error) {
        let Some((AMQPSoftError::NOTFOUND, words)) = soft_error(error) else {
            return;
        };
        let lost: Vec<_> = self
            .unconfirmed
            .iter()
            .filter(|(_, outgoing)| words.contains(&format!("'{}'", outgoing.message.exchange)))
            .map(|(number, _)| *number)
            .collect();
        for outgoing in lost
            .iter()
            .filter_map(|number| self.unconfirmed.remove(number))
        {
            let _ = outgoing.reply.send(Answer::Unroutable);
        }
    }
}

/// The next message, not before the pause ends.
async fn next_after(
    outbox: &mut mpsc::Receiver<Outgoing>,
    pause_ends: Instant,
) -> Option<Outgoing> {
    sleep_until(pause_ends).await;
    outbox.recv().await
}

async fn hand_over_now(channel: Channel, number: u64, message: Arc<Message>) -> Settled {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let published = channel.basic_publish(
        message.exchange.as_str().into(),
        message.routing_key.as_str().into(),
        options,
        &message.body,
        message.properties(),
    );
    let confirm = match published.await {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    (number, confirm)
}

fn hand_over(
    channel: Channel,
    number: u64,
    outgoing: &Outgoing,
) -> impl Future<Output = Settled> + use<> {
    outgoing.handed_over.store(true, Ordering::Relaxed);
    hand_over_now(channel, number, Arc::clone(&outgoing.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_takes_what_it_holds_and_no_more_than_there_is() {
        assert_eq!([0, 1, 1024, 1025].map(kib_of), [0, 1, 1, 2]);
        let largest = UNCONFIRMED_KIB_MAX as usize * 1024;
        assert_eq!(
            [largest, largest + 1, usize::MAX].map(kib_of),
            [UNCONFIRMED_KIB_MAX; 3]
        );
    }
}

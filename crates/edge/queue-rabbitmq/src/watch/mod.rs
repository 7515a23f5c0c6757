//! The watch over the delay ladder: a rung can hold on to its messages past their time, in a place that no count of AMQP shows.
//!
//! RabbitMQ 3 does so after a node was lost (see docs/broker.md). So a few retries carry a `reply_to`; whichever worker takes
//! one says so there, and one that nobody speaks of in time went through a rung that stands still. Watched retries are real
//! ones on their way to real queues: no other message would share their fate.

mod rungs;

pub use rungs::WatchPace;

use crate::{
    ladder::Climb,
    link::{Link, Live},
    message::Message,
    publisher::Publisher,
    topology::Names,
};
use bytes::Bytes;
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use ringback_delivery::port::{Lane, Punctuality};
use rungs::{RungName, Rungs, Seen};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::TaskTracker;

/// The watch of one process.
pub(crate) struct Watch {
    pace: WatchPace,
    names: Names,
    /// Where word of watched retries is sent: our own queue's name, and the key it is bound by.
    reply_to: String,
    rungs: Mutex<Rungs>,
    seen: Mutex<Punctuality>,
}

/// A retry that is watched, until the broker has answered for it.
pub(crate) struct Watched<'a> {
    watch: &'a Watch,
    id: String,
}

impl Watch {
    pub(crate) fn new(pace: WatchPace, names: Names, unique: u64) -> Self {
        Self {
            pace,
            reply_to: names.watch_reply(unique),
            names,
            rungs: Mutex::new(Rungs::new(pace)),
            seen: Mutex::default(),
        }
    }

    /// Has the message watched, if one through its rung is wanted.
    pub(crate) fn sample(&self, message: &mut Message, climb: Climb) -> Option<Watched<'_>> {
        if !lock(&self.rungs).sample(&message.id, climb, Instant::now()) {
            return None;
        }
        message.reply_to = Some(self.reply_to.clone());
        Some(Watched {
            watch: self,
            id: message.id.clone(),
        })
    }

    pub(crate) fn seen(&self) -> Punctuality {
        lock(&self.seen).clone()
    }

    /// Listens and looks until the queue is closed.
    pub(crate) async fn run(self: Arc<Self>, link: Arc<Link>) {
        let mut backoff = link.backoff();
        loop {
            let served = async {
                backoff.wait().await;
                let live = link.live().await.ok()?;
                self.serve(&live).await.err()
            };
            match link.closed().run_until_cancelled(served).await {
                None => return,
                Some(Some(error)) => tracing::debug!(%error, "watching the delays was interrupted"),
                Some(None) => {}
            }
            lock(&self.rungs).disturbed();
            backoff.failed();
        }
    }

    /// Ends with the channel only.
    async fn serve(&self, live: &Live) -> lapin::Result<()> {
        let channel = live.channel().await?;
        let mut words = self.listen(live, &channel).await?;
        let mut looks = interval(self.pace.look_every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                word = words.next() => {
                    let Some(word) = word else {
                        return Err(std::io::Error::other("the broker ended the consumer").into());
                    };
                    let id = String::from_utf8_lossy(&word?.data).into_owned();
                    lock(&self.rungs).came(&id, Instant::now());
                }
                _ = looks.tick() => {
                    let seen = lock(&self.rungs).look(Instant::now());
                    let has_backlog = !seen.overdue.is_empty() && self.has_backlog(live, &channel).await?;
                    self.tell(seen, has_backlog);
                }
            }
        }
    }

    /// A queue of our own that goes with the connection.
    async fn listen(&self, live: &Live, channel: &Channel) -> lapin::Result<lapin::Consumer> {
        let name = || ShortString::from(self.reply_to.as_str());
        let options = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let mut arguments = FieldTable::default();
        arguments.insert(
            "x-queue-type".into(),
            AMQPValue::LongString("classic".into()),
        );
        live.asked(channel.queue_declare(name(), options, arguments))
            .await?;
        let bound = channel.queue_bind(
            name(),
            self.names.watch().into(),
            name(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        live.asked(bound).await?;
        let options = BasicConsumeOptions {
            no_ack: true,
            exclusive: true,
            ..BasicConsumeOptions::default()
        };
        live.asked(channel.basic_consume(name(), "watch".into(), options, FieldTable::default()))
            .await
    }

    /// Whether what is due waits for workers, and not for the ladder.
    async fn has_backlog(&self, live: &Live, channel: &Channel) -> lapin::Result<bool> {
        for lane in [Lane::Main, Lane::Slow] {
            let options = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::durable()
            };
            let name = self.names.deliveries(lane).into();
            let found = live
                .asked(channel.queue_declare(name, options, FieldTable::default()))
                .await?;
            if found.message_count() > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn tell(&self, seen: Seen, has_backlog: bool) {
        let names = |rungs: std::collections::BTreeSet<RungName>| -> Vec<String> {
            let name = |(position, digit)| self.names.delay_queue(position, digit);
            rungs.into_iter().map(name).collect()
        };
        if !seen.doubtful.is_empty() {
            let queues = names(seen.doubtful).join(", ");
            tracing::warn!(
                queues,
                "a retry has not come since the broker was lost, or came unseen"
            );
        }
        let now = Punctuality {
            lateness: seen.lateness,
            standing: if has_backlog {
                Vec::new()
            } else {
                names(seen.overdue)
            },
        };
        let before = std::mem::replace(&mut *lock(&self.seen), now.clone());
        match (before.standing.is_empty(), now.standing.is_empty()) {
            (true, false) => tracing::error!(
                queues = now.standing.join(", "),
                lateness_ms = u64::try_from(now.lateness.as_millis()).unwrap_or(u64::MAX),
                "retries stand still past their time (hint: start the broker's missing node again, or move the leaders of these \
                 queues; see docs/broker.md)"
            ),
            (false, true) => tracing::info!("retries come out in time again"),
            _ => {}
        }
    }
}

impl Watched<'_> {
    /// What the broker made of it.
    pub(crate) fn published<E>(self, result: &Result<(), E>) {
        let mut rungs = lock(&self.watch.rungs);
        match result {
            Ok(()) => rungs.confirmed(&self.id, Instant::now()),
            Err(_) => rungs.forget(&self.id),
        }
    }
}

/// Says where it is awaited that a watched message was taken.
#[derive(Clone)]
pub(crate) struct Notices {
    pub(crate) publisher: Publisher,
    pub(crate) names: Names,
    pub(crate) tasks: TaskTracker,
}

impl Notices {
    /// Waits for nothing: word that gets lost is sent again when its message, not acknowledged, comes again.
    pub(crate) fn took(&self, properties: &BasicProperties) {
        let (Some(reply_to), Some(id)) = (properties.reply_to(), properties.message_id()) else {
            return;
        };
        if !self.names.is_watch_reply(reply_to.as_str()) {
            return;
        }
        let notice = Message {
            exchange: self.names.watch(),
            routing_key: reply_to.to_string(),
            id: format!("taken/{id}"),
            content_type: "text/plain",
            trace: None,
            accepted_at: None,
            reply_to: None,
            body: Bytes::copy_from_slice(id.as_str().as_bytes()),
        };
        let publisher = self.publisher.clone();
        self.tasks.spawn(async move {
            if let Err(error) = publisher.publish(notice).await {
                tracing::debug!(%error, "nobody awaits word of this retry any more");
            }
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

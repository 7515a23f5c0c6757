//! The queue port, on RabbitMQ.

use crate::{
    config::{BrokerUrls, RabbitConfig},
    consumer::{RabbitConsumer, Source},
    ladder::{self, Climb, lane_word},
    link::{Failure, Link, Live, random},
    message::{Message, Read, read_delivery, read_event, read_parked},
    publisher::Publisher,
    topology::{self, Drift, Names, Problem, Topology, soft_error},
    watch::{Notices, Watch, WatchPace},
};
use async_trait::async_trait;
use bytes::Bytes;
use lapin::{
    options::QueueDeclareOptions, protocol::AMQPSoftError, tcp::OwnedTLSConfig, types::FieldTable,
};
use ringback_delivery::port::{
    Consumer, Depth, Lane, ParkedMessage, Punctuality, Queue, QueueError, QueueName,
};
use ringback_domain::{Delivery, Event, EventId, TraceContext, Wait};
use ringback_wire::{delivery, event};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const JSON: &str = "application/json";
/// A line of JSON, a line feed, a body: no type of its own exists for that.
const DELIVERY: &str = "application/vnd.ringback.delivery";
const ENDED_WITHIN: Duration = Duration::from_secs(6);

/// The queue on RabbitMQ: one connection for publishing, one for taking, both made again whenever they are lost.
pub struct RabbitQueue {
    publishing: Arc<Link>,
    taking: Arc<Link>,
    publisher: Publisher,
    topology: Topology,
    names: Names,
    watch: OnceLock<Arc<Watch>>,
    /// By queue: the messages of it that are in our hands.
    held: Mutex<HashMap<QueueName, Arc<AtomicU64>>>,
    closed: CancellationToken,
    tasks: TaskTracker,
}

/// What cannot be used to connect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The file of certificates.
    #[error("could not read the certificates in `{path}`")]
    CaFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The broker, or what we found there.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// How much of the topology an application needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it: workers and tools.
    Whole,
    /// Events alone: applications that only publish.
    Events,
}

impl RabbitQueue {
    /// Connects to the first node that answers, and makes what is missing there if the configuration says so.
    ///
    /// # Errors
    ///
    /// When no node can be reached, or the broker's topology is not as expected. Once connected, losing the broker is no
    /// error any more: it is waited for.
    pub async fn connect(
        urls: BrokerUrls,
        config: RabbitConfig,
        scope: Scope,
    ) -> Result<Self, ConnectError> {
        let tls = tls_of(&config)?;
        let topology = match scope {
            Scope::Whole => Topology::of(&config),
            Scope::Events => Topology::of_events(&config),
        };
        let closed = CancellationToken::new();
        let declared = config.declare.then(|| topology.clone());
        let link = |role| {
            Arc::new(Link::new(
                role,
                urls.clone(),
                config.clone(),
                tls.clone(),
                declared.clone(),
                closed.clone(),
            ))
        };
        let (publishing, taking) = (link("publish"), link("consume"));
        let tasks = TaskTracker::new();
        let publisher = Publisher::start(
            Arc::clone(&publishing),
            config.publish_window,
            config.confirm_timeout,
            &tasks,
        );
        let names = Names::new(&config.prefix);
        let queue = Self {
            publishing,
            taking,
            publisher,
            topology,
            names,
            watch: OnceLock::new(),
            held: Mutex::default(),
            closed,
            tasks,
        };
        let live = queue.publishing.live().await.map_err(QueueError::from)?;
        // A user without the right to make things finds them made by another; whether they are there shows when used.
        match live
            .drifts
            .iter()
            .find(|drift| !matches!(drift.problem, Problem::Forbidden(_)))
        {
            Some(drift) => Err(QueueError::Topology(drift.to_string()).into()),
            None => Ok(queue),
        }
    }

    /// Watches from now on whether retries published here come out of the delay ladder in time: what
    /// [`Queue::punctuality`] tells. For processes that stay.
    pub fn watch_delays(&self, pace: WatchPace) {
        let watch = Arc::new(Watch::new(pace, self.names.clone(), random()));
        if self.watch.set(Arc::clone(&watch)).is_ok() {
            self.tasks.spawn(watch.run(Arc::clone(&self.taking)));
        }
    }

    /// What should be at the broker.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Makes what is missing at the broker; reports what is there and different, and leaves it alone.
    pub async fn apply_topology(&self) -> Result<Vec<Drift>, QueueError> {
        let live = self.publishing.live().await?;
        topology::apply(&self.topology, live.connection())
            .await
            .map_err(|source| live.failure(source).into())
    }

    /// Compares the broker with what should be there. Changes nothing; but connecting did, unless [`RabbitConfig::declare`] was off.
    pub async fn check_topology(&self) -> Result<Vec<Drift>, QueueError> {
        let live = self.publishing.live().await?;
        topology::check(&self.topology, live.connection())
            .await
            .map_err(|source| live.failure(source).into())
    }

    /// Deletes all of our exchanges and queues, with every message in them: the end of a demonstration.
    pub async fn delete_topology(&self) -> Result<(), QueueError> {
        let live = self.publishing.live().await?;
        topology::delete(&self.topology, live.connection())
            .await
            .map_err(|source| live.failure(source).into())
    }

    async fn publish(&self, message: Message) -> Result<(), QueueError> {
        self.publisher.publish(message).await
    }

    fn consume<T: Send + 'static>(
        &self,
        name: QueueName,
        window: u16,
        read: Read<T>,
        notices: Option<Notices>,
    ) -> Result<Box<dyn Consumer<T>>, QueueError> {
        if self.closed.is_cancelled() {
            return Err(QueueError::Closed);
        }
        let source = Source {
            link: Arc::clone(&self.taking),
            names: self.names.clone(),
            queue: self.names.queue(name),
            window,
            held: self.held(name),
            read,
            notices,
        };
        Ok(Box::new(RabbitConsumer::start(source, &self.tasks)))
    }

    /// The count of a queue's messages that are in our hands.
    fn held(&self, name: QueueName) -> Arc<AtomicU64> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(held.entry(name).or_default())
    }

    async fn count(&self, live: &Live) -> lapin::Result<Vec<Depth>> {
        let channel = live.channel().await?;
        let mut depths: Vec<Depth> = Vec::new();
        for queue in &self.topology.queues {
            let Some(name) = self.names.read(&queue.name) else {
                continue;
            };
            let options = QueueDeclareOptions {
                passive: true,
                ..QueueDeclareOptions::durable()
            };
            let found = live
                .asked(channel.queue_declare(
                    queue.name.as_str().into(),
                    options,
                    FieldTable::default(),
                ))
                .await?;
            let waiting = u64::from(found.message_count());
            let due_soon = self.names.rung(&queue.name).map_or(0, |(position, digit)| {
                ladder::due_within(Depth::SOON, position, digit, waiting)
            });
            match depths.iter_mut().find(|depth| depth.queue == name) {
                Some(depth) => {
                    depth.waiting += waiting;
                    depth.due_soon += due_soon;
                }
                None => depths.push(Depth {
                    queue: name,
                    waiting,
                    consumers: (name != QueueName::Delayed).then(|| found.consumer_count()),
                    unacknowledged: self.held(name).load(Ordering::Relaxed),
                    due_soon,
                }),
            }
        }
        let _ = live.asked(channel.close(200, "done".into())).await;
        Ok(depths)
    }
}

#[async_trait]
impl Queue for RabbitQueue {
    async fn publish_event(
        &self,
        event: &Event,
        trace: Option<&TraceContext>,
    ) -> Result<(), QueueError> {
        let id = event.id.to_string();
        let body = event::encode(event).map_err(|fault| QueueError::Refused {
            id: id.clone(),
            why: fault.to_string(),
        })?;
        self.publish(Message {
            exchange: self.names.events(),
            routing_key: format!("{}.{}", event.project, event.event_type),
            id,
            content_type: JSON,
            trace: trace.cloned(),
            accepted_at: event.accepted_at,
            reply_to: None,
            body,
        })
        .await
    }

    async fn publish_raw_event(&self, bytes: Bytes) -> Result<(), QueueError> {
        self.publish(Message {
            exchange: self.names.events(),
            routing_key: "raw".to_owned(),
            id: EventId::of_raw(&bytes).to_string(),
            content_type: JSON,
            trace: None,
            accepted_at: None,
            reply_to: None,
            body: bytes,
        })
        .await
    }

    async fn publish_delivery(
        &self,
        delivery: &Delivery,
        lane: Lane,
        wait: Option<Wait>,
    ) -> Result<(), QueueError> {
        let id = format!(
            "{}/{}/{}",
            delivery.id,
            delivery.generation.get(),
            delivery.attempt
        );
        let climb = match wait {
            None => None,
            Some(wait) => Climb::plan(wait).map_err(|fault| QueueError::TooLong {
                id: id.clone(),
                why: fault.to_string(),
            })?,
        };
        let (exchange, routing_key) = match climb {
            Some(climb) => (
                self.names.delay_exchange(climb.start()),
                climb.routing_key(lane),
            ),
            None => (self.names.lanes(), lane_word(lane).to_owned()),
        };
        let mut message = Message {
            exchange,
            routing_key,
            id,
            content_type: DELIVERY,
            trace: delivery.trace.clone(),
            accepted_at: None,
            reply_to: None,
            body: delivery::encode(delivery),
        };
        let watched = match (self.watch.get(), climb) {
            (Some(watch), Some(climb)) => watch.sample(&mut message, climb),
            _ => None,
        };
        let published = self.publish(message).await;
        if let Some(watched) = watched {
            watched.published(&published);
        }
        published
    }

    async fn consume_events(&self, window: u16) -> Result<Box<dyn Consumer<Event>>, QueueError> {
        self.consume(QueueName::Events, window, read_event, None)
    }

    async fn consume_deliveries(
        &self,
        lane: Lane,
        window: u16,
    ) -> Result<Box<dyn Consumer<Delivery>>, QueueError> {
        let notices = Notices {
            publisher: self.publisher.clone(),
            names: self.names.clone(),
            tasks: self.tasks.clone(),
        };
        self.consume(
            QueueName::Deliveries(lane),
            window,
            read_delivery,
            Some(notices),
        )
    }

    async fn consume_parked(
        &self,
        window: u16,
    ) -> Result<Box<dyn Consumer<ParkedMessage>>, QueueError> {
        self.consume(QueueName::Parked, window, read_parked, None)
    }

    async fn depths(&self) -> Result<Vec<Depth>, QueueError> {
        let live = self.taking.live().await?;
        self.count(&live)
            .await
            .map_err(|error| match soft_error(&error) {
                Some((AMQPSoftError::NOTFOUND, words)) => QueueError::Topology(words),
                _ => live.failure(error).into(),
            })
    }

    fn punctuality(&self) -> Option<Punctuality> {
        self.watch.get().map(|watch| watch.seen())
    }

    fn silence(&self) -> Option<Duration> {
        let links = [&self.publishing, &self.taking];
        links.into_iter().filter_map(|link| link.silence()).max()
    }

    async fn ping(&self) -> Result<(), QueueError> {
        for link in [&self.publishing, &self.taking] {
            let live = link.live_or_last_failure().await?;
            let answered = async {
                live.asked(live.channel().await?.close(200, "ping".into()))
                    .await
            };
            answered.await.map_err(|source| live.failure(source))?;
        }
        Ok(())
    }

    async fn close(&self) {
        self.closed.cancel();
        self.tasks.close();
        // Consumers say their last words on a connection that still is.
        let _ = timeout(ENDED_WITHIN, self.tasks.wait()).await;
        self.publishing.close().await;
        self.taking.close().await;
    }
}

impl Drop for RabbitQueue {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl From<Failure> for QueueError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Closed => Self::Closed,
            Failure::Unreachable { address, source } => Self::Unreachable {
                queue: "broker",
                address,
                source: Box::new(source),
            },
        }
    }
}

pub(crate) fn tls_of(config: &RabbitConfig) -> Result<OwnedTLSConfig, ConnectError> {
    Ok(OwnedTLSConfig {
        cert_chain: read_ca_file(config)?,
        ..OwnedTLSConfig::default()
    })
}

fn read_ca_file(config: &RabbitConfig) -> Result<Option<String>, ConnectError> {
    let Some(path) = &config.ca_file else {
        return Ok(None);
    };
    match std::fs::read_to_string(path) {
        Ok(pem) => Ok(Some(pem)),
        Err(source) => Err(ConnectError::CaFile {
            path: path.clone(),
            source,
        }),
    }
}

//! The side that asks: the ports of another process.

mod plans;

use crate::{
    codec::{
        Answer, Call, DeadLetterFilterLine, DeliveryFilterLine, DepthLine, Failure, Garbled,
        GroupFilterLine, HealthLine, MarkLine, TraceLine, TrafficOfLine, WaitLine, group_of,
        of_part, record_of, to_part,
    },
    frame::{self, Parts},
    server::SOCKET_NAME,
};
use async_trait::async_trait;
use bytes::Bytes;
use ringback_delivery::port::{
    BudgetStore, ClaimAnswer, ClaimRequest, ClaimStore, Consumer, Cursor, DamagedRecord,
    DeadLetterFilter, DeadLetterStore, DeliveryFilter, DeliveryStore, Depth, DisposeAnswer,
    EventMark, EventStore, GroupFilter, GroupList, GroupStore, KeyStore, Lane, OldestDeadLetters,
    PaceStore, Page, ParkedMessage, Queue, QueueError, ReservedTurn, SettleAnswer, Settlement,
    StoreError, StoreHealth, TrafficStore, WebhookStore, WriteAnswer,
};
use ringback_domain::{
    Acknowledgement, ApiKey, ApiKeyId, Breaker, DeadLetter, DeadLetterGroup, DeadLetterId,
    DeadLetterUsage, Delivery, DeliveryId, DeliveryRecord, DestinationId, Disposal, Event, EventId,
    ProjectName, Timestamp, TraceContext, Traffic, TrafficOf, TrafficPoint, TrafficStep, Wait,
    Webhook, WebhookId, WorkerId,
};
use ringback_wire::{api_key, breaker, delivery, event, group, record};
use std::{io, num::NonZeroU32, path::Path, time::Duration};
use tokio::{net::UnixStream, sync::Mutex, time::timeout};

/// The queue and the store of the process that serves a directory.
///
/// Claims and consumers stay with that process: asking for them is refused.
#[derive(Debug)]
pub struct ControlClient {
    directory: String,
    stream: Mutex<UnixStream>,
}

/// The longest wait for an answer: a publish to a broker that is away takes this long to fail.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);
const PROCESS: &str = "running process";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("the connection to the running process failed")]
    Connection(#[from] io::Error),
    #[error("no answer within {ANSWER_WITHIN:?}")]
    Late,
    #[error("the running process closed the connection")]
    Closed,
    #[error(transparent)]
    Garbled(#[from] Garbled),
}

/// A call that was not done.
enum Undone {
    NoAnswer(NoAnswer),
    Failed(Failure, String),
    Damaged(DamagedRecord),
}

impl<E: Into<NoAnswer>> From<E> for Undone {
    fn from(error: E) -> Self {
        Self::NoAnswer(error.into())
    }
}

impl From<ringback_wire::WireError> for Undone {
    fn from(error: ringback_wire::WireError) -> Self {
        Self::NoAnswer(Garbled::from(error).into())
    }
}

impl ControlClient {
    /// Connects to the process that serves the directory; nothing when none does.
    ///
    /// # Errors
    ///
    /// When there is a socket that may not be opened.
    pub async fn connect(directory: &Path) -> io::Result<Option<Self>> {
        match UnixStream::connect(directory.join(SOCKET_NAME)).await {
            Ok(stream) => Ok(Some(Self {
                directory: directory.display().to_string(),
                stream: Mutex::new(stream),
            })),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, call: Call, record: Option<Bytes>) -> Result<(Answer, Parts), Undone> {
        let parts: Parts = std::iter::once(to_part(&call)).chain(record).collect();
        let exchange = async {
            let mut stream = self.stream.lock().await;
            frame::write(&mut *stream, &parts).await?;
            frame::read(&mut *stream).await
        };
        let mut parts = timeout(ANSWER_WITHIN, exchange)
            .await
            .map_err(|_| NoAnswer::Late)??
            .ok_or(NoAnswer::Closed)?;
        match of_part(parts.first())? {
            Answer::Failed {
                damaged: Some((id, why)),
                ..
            } => Err(Undone::Damaged(DamagedRecord { id, why })),
            Answer::Failed { failure, why, .. } => Err(Undone::Failed(failure, why)),
            answer => {
                parts.remove(0);
                Ok((answer, parts))
            }
        }
    }

    fn store_error(&self, step: &'static str, undone: Undone) -> StoreError {
        let refused = |why| StoreError::Refused {
            store: PROCESS,
            step,
            why,
        };
        match undone {
            Undone::NoAnswer(error) => self.store_unreachable(Box::new(error)),
            Undone::Failed(Failure::BadCursor, _) => StoreError::BadCursor,
            Undone::Failed(Failure::Unreachable, why) => self.store_unreachable(why.into()),
            Undone::Failed(_, why) => refused(why),
            // Which kind of record it is its id says.
            Undone::Damaged(DamagedRecord { id, why }) => StoreError::Corrupt {
                what: "record",
                id,
                why,
            },
        }
    }

    fn store_unreachable(&self, source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
        StoreError::Unreachable {
            store: PROCESS,
            address: self.directory.clone(),
            source,
        }
    }

    fn queue_error(&self, id: &str, undone: Undone) -> QueueError {
        let unreachable = |source| QueueError::Unreachable {
            queue: PROCESS,
            address: self.directory.clone(),
            source,
        };
        match undone {
            Undone::NoAnswer(error) => unreachable(Box::new(error)),
            Undone::Failed(Failure::Unreachable, why) => unreachable(why.into()),
            Undone::Failed(Failure::Unroutable, _) => QueueError::Unroutable { id: id.to_owned() },
            Undone::Failed(Failure::Closed, _) => QueueError::Closed,
            Undone::Failed(_, why) | Undone::Damaged(DamagedRecord { why, .. }) => {
                QueueError::Refused {
                    id: id.to_owned(),
                    why,
                }
            }
        }
    }

    async fn publish(&self, id: &str, call: Call, record: Bytes) -> Result<(), QueueError> {
        self.ask(call, Some(record))
            .await
            .map(|_| ())
            .map_err(|undone| self.queue_error(id, undone))
    }

    async fn store(
        &self,
        step: &'static str,
        call: Call,
        record: Option<Bytes>,
    ) -> Result<(Answer, Parts), StoreError> {
        self.ask(call, record)
            .await
            .map_err(|undone| self.store_error(step, undone))
    }

    /// The records that an answer brought, read.
    async fn records<T, E: Into<Undone>>(
        &self,
        step: &'static str,
        call: Call,
        read: impl Fn(&Bytes) -> Result<T, E>,
    ) -> Result<Page<T>, StoreError> {
        let (answer, parts) = self.store(step, call, None).await?;
        let Answer::Page { next, damaged } = answer else {
            return Err(self.unexpected(step));
        };
        let entries = parts
            .iter()
            .map(|part| read(part).map_err(Into::into))
            .collect::<Result<_, Undone>>();
        let entries = entries.map_err(|undone| self.store_error(step, undone))?;
        let damaged = damaged.into_iter();
        Ok(Page {
            entries,
            damaged: damaged.map(|(id, why)| DamagedRecord { id, why }).collect(),
            next: next.map(Cursor),
        })
    }

    fn unexpected(&self, step: &'static str) -> StoreError {
        self.store_error(
            step,
            Undone::from(Garbled("an answer to another question".into())),
        )
    }
}

fn not_here<T>() -> Result<T, QueueError> {
    let why =
        "only the process that serves the directory takes messages from its queues".to_owned();
    Err(QueueError::Refused {
        id: "consumer".into(),
        why,
    })
}

#[async_trait]
impl Queue for ControlClient {
    async fn publish_event(
        &self,
        event: &Event,
        trace: Option<&TraceContext>,
    ) -> Result<(), QueueError> {
        let id = event.id.as_str();
        let text = event::encode(event).map_err(|error| QueueError::Refused {
            id: id.to_owned(),
            why: error.to_string(),
        })?;
        self.publish(
            id,
            Call::PublishEvent {
                accepted_at: event.accepted_at,
                trace: trace.map(TraceLine::of),
            },
            text,
        )
        .await
    }

    async fn publish_raw_event(&self, bytes: Bytes) -> Result<(), QueueError> {
        self.publish("raw", Call::PublishRawEvent, bytes).await
    }

    async fn publish_delivery(
        &self,
        delivery: &Delivery,
        lane: Lane,
        wait: Option<Wait>,
    ) -> Result<(), QueueError> {
        let call = Call::PublishDelivery {
            slow: lane == Lane::Slow,
            wait: wait.map(WaitLine::of),
        };
        self.publish(delivery.id.as_str(), call, delivery::encode(delivery))
            .await
    }

    async fn consume_events(&self, _window: u16) -> Result<Box<dyn Consumer<Event>>, QueueError> {
        not_here()
    }

    async fn consume_deliveries(
        &self,
        _lane: Lane,
        _window: u16,
    ) -> Result<Box<dyn Consumer<Delivery>>, QueueError> {
        not_here()
    }

    async fn consume_parked(
        &self,
        _window: u16,
    ) -> Result<Box<dyn Consumer<ParkedMessage>>, QueueError> {
        not_here()
    }

    async fn depths(&self) -> Result<Vec<Depth>, QueueError> {
        let asked = async {
            match self.ask(Call::Depths, None).await? {
                (Answer::Depths { depths }, _) => Ok(depths
                    .into_iter()
                    .map(DepthLine::read)
                    .collect::<Result<_, _>>()?),
                _ => Err(Undone::from(Garbled(
                    "an answer to another question".into(),
                ))),
            }
        };
        asked
            .await
            .map_err(|undone| self.queue_error("depths", undone))
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.ask(Call::Ping, None)
            .await
            .map(|_| ())
            .map_err(|undone| self.queue_error("ping", undone))
    }

    async fn close(&self) {}
}

#[async_trait]
impl ClaimStore for ControlClient {
    async fn claim(&self, _request: ClaimRequest<'_>) -> Result<ClaimAnswer, StoreError> {
        Err(claims_stay("claim"))
    }

    async fn show_attempting(&self, _delivery: &Delivery) -> Result<(), StoreError> {
        Err(claims_stay("show an attempt"))
    }

    async fn show_waiting(
        &self,
        _delivery: &Delivery,
        _until: Timestamp,
    ) -> Result<(), StoreError> {
        Err(claims_stay("show a wait"))
    }

    async fn settle(&self, _settlement: Settlement<'_>) -> Result<SettleAnswer, StoreError> {
        Err(claims_stay("settle"))
    }
}

#[async_trait]
impl PaceStore for ControlClient {
    async fn reserve_turn(
        &self,
        _destination: &DestinationId,
        _per_second: NonZeroU32,
        _ahead_max: Duration,
    ) -> Result<ReservedTurn, StoreError> {
        Err(claims_stay("reserve a turn"))
    }

    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError> {
        let page = self
            .records("list breakers", Call::Breakers, |part| {
                breaker::decode(part)
            })
            .await?;
        Ok(page.entries)
    }

    async fn put_breaker(&self, _breaker: &Breaker) -> Result<WriteAnswer, StoreError> {
        Err(claims_stay("write a breaker"))
    }

    async fn remove_breaker(&self, _breaker: &Breaker) -> Result<bool, StoreError> {
        Err(claims_stay("remove a breaker"))
    }
}

fn claims_stay(step: &'static str) -> StoreError {
    let why = "claims and turns belong to the process that serves the directory".to_owned();
    StoreError::Refused {
        store: PROCESS,
        step,
        why,
    }
}

#[async_trait]
impl WebhookStore for ControlClient {
    async fn put_webhook(&self, webhook: &Webhook) -> Result<WriteAnswer, StoreError> {
        let record = Some(record::encode_webhook(webhook).into());
        match self
            .store("write a webhook", Call::PutWebhook, record)
            .await?
        {
            (Answer::Yes, _) => Ok(WriteAnswer::Written),
            _ => Ok(WriteAnswer::Conflict),
        }
    }

    async fn webhook(&self, id: &WebhookId) -> Result<Option<Webhook>, StoreError> {
        let call = Call::Webhook { id: id.to_string() };
        let page = self
            .records("read a webhook", call, |part| record::decode_webhook(part))
            .await?;
        Ok(page.entries.into_iter().next())
    }

    async fn webhooks(&self, project: &ProjectName) -> Result<Page<Webhook>, StoreError> {
        let call = Call::Webhooks {
            project: project.to_string(),
        };
        self.records("list webhooks", call, |part| record::decode_webhook(part))
            .await
    }

    async fn remove_webhook(&self, id: &WebhookId) -> Result<bool, StoreError> {
        let call = Call::RemoveWebhook { id: id.to_string() };
        Ok(matches!(
            self.store("remove a webhook", call, None).await?.0,
            Answer::Yes
        ))
    }
}

#[async_trait]
impl KeyStore for ControlClient {
    async fn put_key(&self, key: &ApiKey) -> Result<WriteAnswer, StoreError> {
        let record = Some(api_key::encode(key).into());
        match self.store("write a key", Call::PutKey, record).await? {
            (Answer::Yes, _) => Ok(WriteAnswer::Written),
            _ => Ok(WriteAnswer::Conflict),
        }
    }

    async fn key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        let call = Call::Key { id: id.to_string() };
        let page = self
            .records("read a key", call, |part| api_key::decode(part))
            .await?;
        Ok(page.entries.into_iter().next())
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let page = self
            .records("list keys", Call::Keys, |part| api_key::decode(part))
            .await?;
        Ok(page.entries)
    }

    async fn remove_key(&self, id: &ApiKeyId) -> Result<bool, StoreError> {
        let call = Call::RemoveKey { id: id.to_string() };
        Ok(matches!(
            self.store("remove a key", call, None).await?.0,
            Answer::Yes
        ))
    }
}

#[async_trait]
impl DeliveryStore for ControlClient {
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        let call = Call::Delivery { id: id.to_string() };
        Ok(self
            .records("read a delivery", call, record_of)
            .await?
            .entries
            .into_iter()
            .next())
    }

    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeliveryRecord>, StoreError> {
        let (filter, after) = (
            DeliveryFilterLine::of(filter),
            after.map(|Cursor(text)| text.clone()),
        );
        self.records(
            "list deliveries",
            Call::Deliveries {
                filter,
                after,
                limit,
            },
            record_of,
        )
        .await
    }
}

#[async_trait]
impl DeadLetterStore for ControlClient {
    async fn put_dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), StoreError> {
        let step = "store a dead letter";
        let record =
            record::encode_dead_letter(dead_letter).map_err(|error| StoreError::Refused {
                store: PROCESS,
                step,
                why: error.to_string(),
            })?;
        self.store(step, Call::PutDeadLetter, Some(record)).await?;
        Ok(())
    }

    async fn dead_letter(&self, id: &DeadLetterId) -> Result<Option<DeadLetter>, StoreError> {
        let call = Call::DeadLetter { id: id.to_string() };
        let page = self
            .records("read a dead letter", call, record::decode_dead_letter)
            .await?;
        Ok(page.entries.into_iter().next())
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<DeadLetter>, StoreError> {
        let (filter, after) = (
            DeadLetterFilterLine::of(filter),
            after.map(|Cursor(text)| text.clone()),
        );
        let call = Call::DeadLetters {
            filter,
            after,
            limit,
        };
        self.records("list dead letters", call, record::decode_dead_letter)
            .await
    }

    async fn dead_letter_count(&self, project: Option<&ProjectName>) -> Result<u64, StoreError> {
        let step = "count dead letters";
        let call = Call::DeadLetterCount {
            project: project.map(ToString::to_string),
        };
        match self.store(step, call, None).await? {
            (Answer::Count { count }, _) => Ok(count),
            _ => Err(self.unexpected(step)),
        }
    }

    async fn dispose(
        &self,
        id: &DeadLetterId,
        disposal: &Disposal,
        again: bool,
    ) -> Result<DisposeAnswer, StoreError> {
        let step = "dispose of a dead letter";
        let call = Call::Dispose {
            id: id.to_string(),
            again,
        };
        let record = Some(record::encode_disposal(disposal).into());
        match self.store(step, call, record).await? {
            (Answer::Yes, _) => Ok(DisposeAnswer::Disposed),
            (Answer::No, _) => Ok(DisposeAnswer::NotFound),
            (Answer::Already, parts) => {
                let earlier = parts.first().ok_or_else(|| self.unexpected(step))?;
                let earlier = record::decode_disposal(earlier);
                Ok(DisposeAnswer::Already(
                    earlier.map_err(|error| self.store_error(step, error.into()))?,
                ))
            }
            _ => Err(self.unexpected(step)),
        }
    }
}

#[async_trait]
impl GroupStore for ControlClient {
    async fn dead_letter_groups(
        &self,
        filter: &GroupFilter,
        limit: usize,
    ) -> Result<GroupList, StoreError> {
        let step = "list groups of dead letters";
        let call = Call::Groups {
            filter: GroupFilterLine::of(filter),
            limit,
        };
        let (answer, parts) = self.store(step, call, None).await?;
        let Answer::Groups {
            group_count,
            ungrouped_count,
            next,
        } = answer
        else {
            return Err(self.unexpected(step));
        };
        let groups = parts.iter().map(group_of).collect::<Result<_, _>>();
        Ok(GroupList {
            groups: groups.map_err(|garbled| self.store_error(step, garbled.into()))?,
            group_count,
            ungrouped_count,
            next: next.map(Cursor),
        })
    }

    async fn acknowledge_group(
        &self,
        project: Option<&ProjectName>,
        fingerprint: &str,
        acknowledgement: &Acknowledgement,
    ) -> Result<Option<DeadLetterGroup>, StoreError> {
        let step = "acknowledge a group";
        let call = Call::AcknowledgeGroup {
            project: project.map(ToString::to_string),
            fingerprint: fingerprint.to_owned(),
        };
        let record = group::encode_acknowledgement(acknowledgement).into();
        let (_, parts) = self.store(step, call, Some(record)).await?;
        let found = parts.first().map(group_of).transpose();
        found.map_err(|garbled| self.store_error(step, garbled.into()))
    }

    async fn regroup(&self, limit: usize) -> Result<u64, StoreError> {
        let step = "regroup dead letters";
        match self.store(step, Call::Regroup { limit }, None).await? {
            (Answer::Count { count }, _) => Ok(count),
            _ => Err(self.unexpected(step)),
        }
    }
}

/// Making room stays with that process, too.
#[async_trait]
impl BudgetStore for ControlClient {
    async fn dead_letter_usage(&self) -> Result<DeadLetterUsage, StoreError> {
        let step = "count dead letters";
        match self.store(step, Call::Usage, None).await? {
            (Answer::Usage { entry_count, bytes }, _) => Ok(DeadLetterUsage { entry_count, bytes }),
            _ => Err(self.unexpected(step)),
        }
    }

    async fn oldest_dead_letters(&self, _limit: usize) -> Result<OldestDeadLetters, StoreError> {
        Err(room_stays("list dead letters"))
    }

    async fn forget_dead_letters(&self, _ids: &[DeadLetterId]) -> Result<u64, StoreError> {
        Err(room_stays("forget dead letters"))
    }

    async fn claim_making_room(
        &self,
        _worker: &WorkerId,
        _lease: Duration,
    ) -> Result<bool, StoreError> {
        Err(room_stays("claim"))
    }
}

fn room_stays(step: &'static str) -> StoreError {
    let why = "the process that serves the directory makes room for dead letters".to_owned();
    StoreError::Refused {
        store: PROCESS,
        step,
        why,
    }
}

#[async_trait]
impl TrafficStore for ControlClient {
    async fn traffic(
        &self,
        of: &TrafficOf,
        step: TrafficStep,
        until: Timestamp,
    ) -> Result<Vec<TrafficPoint>, StoreError> {
        let call = Call::Traffic {
            of: TrafficOfLine::of(of),
            hours: step == TrafficStep::Hour,
            until,
        };
        let asked = "read traffic";
        let (Answer::Traffic { counts }, _) = self.store(asked, call, None).await? else {
            return Err(self.unexpected(asked));
        };
        let point = |(number, (delivered, failed_attempts, dead_lettered))| TrafficPoint {
            at: step.begin_of(number),
            traffic: Traffic {
                delivered,
                failed_attempts,
                dead_lettered,
            },
        };
        Ok(step.kept_until(until).zip(counts).map(point).collect())
    }
}

#[async_trait]
impl EventStore for ControlClient {
    async fn event_mark(
        &self,
        project: &ProjectName,
        id: &EventId,
    ) -> Result<Option<EventMark>, StoreError> {
        let step = "read an event's mark";
        let call = Call::EventMark {
            project: project.to_string(),
            id: id.to_string(),
        };
        match self.store(step, call, None).await? {
            (Answer::Mark { mark }, _) => Ok(mark.map(MarkLine::read)),
            _ => Err(self.unexpected(step)),
        }
    }

    async fn mark_event(
        &self,
        project: &ProjectName,
        id: &EventId,
        mark: EventMark,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let mark = MarkLine::of(mark);
        let call = Call::MarkEvent {
            project: project.to_string(),
            id: id.to_string(),
            mark,
            until,
        };
        self.store("mark an event", call, None).await?;
        Ok(())
    }

    async fn keep_event_known(
        &self,
        project: &ProjectName,
        id: &EventId,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let call = Call::KeepEventKnown {
            project: project.to_string(),
            id: id.to_string(),
            until,
        };
        self.store("keep an event known", call, None).await?;
        Ok(())
    }

    async fn event_moment(
        &self,
        project: &ProjectName,
        id: &EventId,
        at: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let step = "keep an event's moment";
        let call = Call::EventMoment {
            project: project.to_string(),
            id: id.to_string(),
            at,
        };
        match self.store(step, call, None).await? {
            (Answer::Moment { at }, _) => Ok(at),
            _ => Err(self.unexpected(step)),
        }
    }

    async fn health(&self) -> Result<StoreHealth, StoreError> {
        let step = "ask for the store's health";
        match self.store(step, Call::Health, None).await? {
            (Answer::Health { health }, _) => Ok(HealthLine::read(health)),
            _ => Err(self.unexpected(step)),
        }
    }
}

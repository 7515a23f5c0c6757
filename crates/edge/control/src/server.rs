//! The side that has the queue and the store.

use crate::{
    codec::{
        Answer, Call, DepthLine, Failure, Garbled, HealthLine, MarkLine, TraceLine, WaitLine,
        group_part, of_part, parse, record_part, to_part,
    },
    frame::{self, Parts},
};
use bytes::Bytes;
use ringback_delivery::port::{
    Cursor, DamagedRecord, DisposeAnswer, Lane, Queue, QueueError, Store, StoreError, WriteAnswer,
};
use ringback_domain::{Event, TrafficPoint, TrafficStep};
use ringback_wire::{api_key, breaker, delivery, event, group, record, replay_plan};
use std::{
    error::Error,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The socket's name in the directory.
pub const SOCKET_NAME: &str = "control.sock";
/// Commands served at once.
const CONNECTIONS_MAX: usize = 64;

/// Serves the queue and the store on a socket until it is stopped.
#[derive(Debug)]
pub struct ControlServer {
    socket: PathBuf,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Clone)]
struct Ports {
    queue: Arc<dyn Queue>,
    store: Arc<dyn Store>,
}

impl ControlServer {
    /// Begins to serve in a directory. The caller holds the directory: a socket left behind by a process that was killed
    /// is replaced.
    ///
    /// # Errors
    ///
    /// When the socket cannot be made.
    pub fn start(
        directory: &Path,
        queue: Arc<dyn Queue>,
        store: Arc<dyn Store>,
    ) -> io::Result<Self> {
        let socket = directory.join(SOCKET_NAME);
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&socket)?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
        let server = Self {
            socket,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let (stop, tasks) = (server.stop.clone(), server.tasks.clone());
        server
            .tasks
            .spawn(accept(listener, Ports { queue, store }, stop, tasks));
        Ok(server)
    }

    /// Answers what was asked and takes no more.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        // Gone already when the directory was removed: nothing is left to take away then.
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn accept(listener: UnixListener, ports: Ports, stop: CancellationToken, tasks: TaskTracker) {
    let slots = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = slots.clone().acquire_owned();
        let Some(slot) = stop.run_until_cancelled(slot).await else {
            return;
        };
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else {
            return;
        };
        match accepted {
            Ok((stream, _)) => {
                let (ports, stop) = (ports.clone(), stop.clone());
                tasks.spawn(async move {
                    if let Err(error) = converse(stream, &ports, &stop).await {
                        tracing::debug!(
                            error = &error as &(dyn Error + 'static),
                            "a command's connection ended early"
                        );
                    }
                    drop(slot);
                });
            }
            Err(error) => tracing::warn!(
                error = &error as &(dyn Error + 'static),
                "could not accept a command's connection"
            ),
        }
    }
}

async fn converse(
    mut stream: UnixStream,
    ports: &Ports,
    stop: &CancellationToken,
) -> io::Result<()> {
    while let Some(call) = stop.run_until_cancelled(frame::read(&mut stream)).await {
        let Some(call) = call? else { break };
        let answer = match answer(ports, &call).await {
            Ok(answer) => answer,
            Err(trouble) => vec![to_part(&trouble.tell())],
        };
        frame::write(&mut stream, &answer).await?;
    }
    Ok(())
}

/// Why a call was not done.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Garbled(#[from] Garbled),
}

impl Trouble {
    fn tell(&self) -> Answer {
        let failure = match self {
            Self::Queue(QueueError::Unroutable { .. }) => Failure::Unroutable,
            Self::Queue(QueueError::Closed) => Failure::Closed,
            Self::Queue(QueueError::Unreachable { .. } | QueueError::Unconfirmed { .. })
            | Self::Store(StoreError::Unreachable { .. }) => Failure::Unreachable,
            Self::Store(StoreError::Corrupt { .. }) => Failure::Corrupt,
            Self::Store(StoreError::BadCursor) => Failure::BadCursor,
            _ => Failure::Refused,
        };
        let mut why = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            why = format!("{why}: {error}");
            cause = error.source();
        }
        let damaged = match self {
            Self::Store(StoreError::Corrupt { id, why, .. }) => Some((id.clone(), why.clone())),
            _ => None,
        };
        Answer::Failed {
            failure,
            why,
            damaged,
        }
    }
}

impl From<ringback_wire::WireError> for Trouble {
    fn from(error: ringback_wire::WireError) -> Self {
        Self::Garbled(error.into())
    }
}

async fn answer(Ports { queue, store }: &Ports, parts: &[Bytes]) -> Result<Parts, Trouble> {
    let call: Call = of_part(parts.first())?;
    let record = || {
        parts
            .get(1)
            .ok_or_else(|| Garbled("a record is missing".into()))
    };
    let done = || vec![to_part(&Answer::Done)];
    Ok(match call {
        Call::PublishEvent { accepted_at, trace } => {
            let event =
                event::parse_accepted(record()?).map_err(|fault| Garbled(fault.to_string()))?;
            let event = Event {
                accepted_at,
                ..event
            };
            queue
                .publish_event(&event, trace.map(TraceLine::read).as_ref())
                .await?;
            done()
        }
        Call::PublishRawEvent => {
            queue.publish_raw_event(record()?.clone()).await?;
            done()
        }
        Call::PublishDelivery { slow, wait } => {
            let lane = if slow { Lane::Slow } else { Lane::Main };
            queue
                .publish_delivery(
                    &delivery::decode(record()?)?,
                    lane,
                    wait.map(WaitLine::read),
                )
                .await?;
            done()
        }
        Call::Depths => {
            let depths = queue
                .depths()
                .await?
                .into_iter()
                .map(DepthLine::of)
                .collect();
            vec![to_part(&Answer::Depths { depths })]
        }
        Call::Ping => {
            queue.ping().await?;
            done()
        }
        Call::PutWebhook => {
            let written = store
                .put_webhook(&record::decode_webhook(record()?)?)
                .await?
                == WriteAnswer::Written;
            yes_or_no(written)
        }
        Call::Webhook { id } => {
            let found = store.webhook(&parse(&id)?).await?;
            list(found.iter().map(record::encode_webhook).map(Bytes::from))
        }
        Call::Webhooks { project } => {
            let page = store.webhooks(&parse(&project)?).await?;
            let found = page.entries.iter().map(record::encode_webhook);
            piece(found.map(Bytes::from), page.damaged, page.next)
        }
        Call::RemoveWebhook { id } => yes_or_no(store.remove_webhook(&parse(&id)?).await?),
        Call::PutKey => {
            let written =
                store.put_key(&api_key::decode(record()?)?).await? == WriteAnswer::Written;
            yes_or_no(written)
        }
        Call::Key { id } => {
            let found = store.key(&parse(&id)?).await?;
            list(found.iter().map(api_key::encode).map(Bytes::from))
        }
        Call::Keys => {
            let found = store.keys().await?;
            list(found.iter().map(api_key::encode).map(Bytes::from))
        }
        Call::RemoveKey { id } => yes_or_no(store.remove_key(&parse(&id)?).await?),
        Call::Breakers => {
            let found = store.breakers().await?;
            list(found.iter().map(breaker::encode).map(Bytes::from))
        }
        Call::Delivery { id } => {
            let found = store.delivery(&parse(&id)?).await?;
            list(found.iter().map(record_part))
        }
        Call::Deliveries {
            filter,
            after,
            limit,
        } => {
            let after = after.map(Cursor);
            let page = store
                .deliveries(&filter.read()?, after.as_ref(), limit)
                .await?;
            let records = page.entries.iter().map(record_part);
            piece(records, page.damaged, page.next)
        }
        Call::PutDeadLetter => {
            store
                .put_dead_letter(&record::decode_dead_letter(record()?)?)
                .await?;
            done()
        }
        Call::DeadLetter { id } => {
            let found = store.dead_letter(&parse(&id)?).await?;
            let found = found
                .iter()
                .map(record::encode_dead_letter)
                .collect::<Result<Vec<_>, _>>()?;
            list(found.into_iter())
        }
        Call::DeadLetters {
            filter,
            after,
            limit,
        } => {
            let after = after.map(Cursor);
            let page = store
                .dead_letters(&filter.read()?, after.as_ref(), limit)
                .await?;
            let found = page
                .entries
                .iter()
                .map(record::encode_dead_letter)
                .collect::<Result<Vec<_>, _>>()?;
            piece(found.into_iter(), page.damaged, page.next)
        }
        Call::DeadLetterCount { project } => {
            let project = project.map(|project| parse(&project)).transpose()?;
            vec![to_part(&Answer::Count {
                count: store.dead_letter_count(project.as_ref()).await?,
            })]
        }
        Call::Dispose { id, again } => {
            let disposal = record::decode_disposal(record()?)?;
            match store.dispose(&parse(&id)?, &disposal, again).await? {
                DisposeAnswer::Disposed => yes_or_no(true),
                DisposeAnswer::NotFound => yes_or_no(false),
                DisposeAnswer::Already(earlier) => {
                    vec![
                        to_part(&Answer::Already),
                        record::encode_disposal(&earlier).into(),
                    ]
                }
            }
        }
        Call::Groups { filter, limit } => {
            let list = store.dead_letter_groups(&filter.read()?, limit).await?;
            let head = to_part(&Answer::Groups {
                group_count: list.group_count,
                ungrouped_count: list.ungrouped_count,
                next: list.next.map(|Cursor(text)| text),
            });
            let groups = list.groups.iter().map(group_part);
            std::iter::once(head).chain(groups).collect()
        }
        Call::AcknowledgeGroup {
            project,
            fingerprint,
        } => {
            let project = project.map(|project| parse(&project)).transpose()?;
            let acknowledgement = group::decode_acknowledgement(record()?)?;
            let found = store
                .acknowledge_group(project.as_ref(), &fingerprint, &acknowledgement)
                .await?;
            list(found.iter().map(group_part))
        }
        Call::Regroup { limit } => vec![to_part(&Answer::Count {
            count: store.regroup(limit).await?,
        })],
        Call::Usage => {
            let usage = store.dead_letter_usage().await?;
            vec![to_part(&Answer::Usage {
                entry_count: usage.entry_count,
                bytes: usage.bytes,
            })]
        }
        Call::Traffic { of, hours, until } => {
            let step = if hours {
                TrafficStep::Hour
            } else {
                TrafficStep::Minute
            };
            let points = store.traffic(&of.read()?, step, until).await?;
            let counts = points.into_iter().map(|TrafficPoint { traffic, .. }| {
                (
                    traffic.delivered,
                    traffic.failed_attempts,
                    traffic.dead_lettered,
                )
            });
            vec![to_part(&Answer::Traffic {
                counts: counts.collect(),
            })]
        }
        Call::PutPlanChunk { plan, number } => {
            let entries = replay_plan::decode_entries(record()?)?;
            store
                .put_plan_chunk(&parse(&plan)?, number, &entries)
                .await?;
            done()
        }
        Call::PlanChunk { plan, number } => {
            let found = store.plan_chunk(&parse(&plan)?, number).await?;
            let parts = found.map(|chunk| {
                [
                    replay_plan::encode_entries(&chunk.entries),
                    replay_plan::encode_marks(&chunk.marks).into_bytes(),
                ]
            });
            list(parts.into_iter().flatten().map(Bytes::from))
        }
        Call::CreatePlan => {
            let plan = replay_plan::decode(record()?)?;
            yes_or_no(store.create_plan(&plan).await? == WriteAnswer::Written)
        }
        Call::ChangePlan { id } => {
            let status = replay_plan::decode_status(record()?)?;
            let answer = store.change_plan(&parse(&id)?, &status).await?;
            yes_or_no(answer == WriteAnswer::Written)
        }
        Call::Plan { id } => {
            let found = store.plan(&parse(&id)?).await?;
            list(found.iter().map(replay_plan::encode).map(Bytes::from))
        }
        Call::Plans {
            project,
            after,
            limit,
        } => {
            let project = project.map(|project| parse(&project)).transpose()?;
            let after = after.map(Cursor);
            let page = store.plans(project.as_ref(), after.as_ref(), limit).await?;
            let found = page.entries.iter().map(replay_plan::encode);
            piece(found.map(Bytes::from), page.damaged, page.next)
        }
        Call::EventMark { project, id } => {
            let mark = store
                .event_mark(&parse(&project)?, &parse(&id)?)
                .await?
                .map(MarkLine::of);
            vec![to_part(&Answer::Mark { mark })]
        }
        Call::MarkEvent {
            project,
            id,
            mark,
            until,
        } => {
            store
                .mark_event(&parse(&project)?, &parse(&id)?, mark.read(), until)
                .await?;
            done()
        }
        Call::EventMoment { project, id, at } => {
            let at = store
                .event_moment(&parse(&project)?, &parse(&id)?, at)
                .await?;
            vec![to_part(&Answer::Moment { at })]
        }
        Call::KeepEventKnown { project, id, until } => {
            store
                .keep_event_known(&parse(&project)?, &parse(&id)?, until)
                .await?;
            done()
        }
        Call::Health => vec![to_part(&Answer::Health {
            health: HealthLine::of(store.health().await?),
        })],
    })
}

fn yes_or_no(yes: bool) -> Parts {
    vec![to_part(&if yes { Answer::Yes } else { Answer::No })]
}

/// Records that are all there is.
fn list(records: impl Iterator<Item = Bytes>) -> Parts {
    piece(records, Vec::new(), None)
}

fn piece(
    records: impl Iterator<Item = Bytes>,
    damaged: Vec<DamagedRecord>,
    next: Option<Cursor>,
) -> Parts {
    let damaged = damaged.into_iter();
    let head = to_part(&Answer::Page {
        next: next.map(|Cursor(text)| text),
        damaged: damaged.map(|record| (record.id, record.why)).collect(),
    });
    std::iter::once(head).chain(records).collect()
}

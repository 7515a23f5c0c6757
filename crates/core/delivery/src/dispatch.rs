//! Dispatching: from an event to one delivery per destination.
//!
//! A delivery's id is derived from the event and the destination, so a second dispatch of the same event (after a crash
//! between publishing and marking) yields the same deliveries, and their claims keep them from being sent twice.

use crate::{
    Context, Handled,
    callback_seal::CallbackSeal,
    direct::{Direct, Tried},
    port::{DamagedRecord, EventMark, Lane, Occurrence, Page, QueueError, StoreError, Unreadable},
    unmarked::{KNOWN_LONGER, UnmarkedEvent},
};
use bytes::Bytes;
use futures_util::future::{join_all, join3};
use ringback_domain::{
    AttemptNumber, Callback, CallbackSecret, DeadLetter, DeadLetterReason, Delivery, DeliveryId,
    Destination, Event, EventSummary, Generation, ProfileName, SealedSecret, TraceContext, Webhook,
};
use ringback_profile::{DestinationKind, Profile};
use std::{collections::HashMap, sync::Arc};

/// Turns events into deliveries.
pub struct Dispatch {
    context: Arc<Context>,
    plain_secrets: PlainSecrets,
    direct: Option<Direct>,
}

/// What to do with a callback's secret that arrives in plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainSecrets {
    /// Keep the event as a dead letter, its secret sealed: the producer should have sealed it.
    Refuse,
    /// Seal it and go on.
    Seal,
}

/// Could not be dispatched, by our own failure.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// One destination of an event, with the profile that applies to it.
struct Stop {
    destination: Destination,
    kind: DestinationKind,
    name: ProfileName,
    profile: Arc<Profile>,
}

/// Where an event goes, and what keeps it from going further.
#[derive(Default)]
struct Stops {
    known: Vec<Stop>,
    faults: Vec<String>,
}

impl Dispatch {
    /// A dispatch in this context. Without `direct`, every delivery has a message of its own.
    pub fn new(context: Arc<Context>, plain_secrets: PlainSecrets, direct: Option<Direct>) -> Self {
        Self {
            context,
            plain_secrets,
            direct,
        }
    }

    /// Handles one event message. One that was handed out before makes no direct attempts: a worker may have died of them, and
    /// which of its deliveries is to blame only messages of their own can tell.
    pub async fn handle(
        &self,
        content: Result<Event, Unreadable>,
        trace: Option<TraceContext>,
        redelivered: bool,
    ) -> Handled {
        let direct = self.direct.as_ref().filter(|_| !redelivered);
        let done = match content {
            Ok(event) => self.dispatch(event, trace, direct).await,
            Err(unreadable) => self.keep_unreadable(unreadable).await,
        };
        match done {
            Ok(()) => Handled::Acknowledge,
            Err(stuck) => {
                tracing::error!(
                    error = &stuck as &(dyn std::error::Error + 'static),
                    "could not dispatch an event, giving it back"
                );
                Handled::GiveBack
            }
        }
    }

    async fn dispatch(
        &self,
        event: Event,
        trace: Option<TraceContext>,
        direct: Option<&Direct>,
    ) -> Result<(), Stuck> {
        let store = &self.context.store;
        let read_mark = || store.event_mark(&event.project, &event.id);
        let read_webhooks = || self.context.webhooks.of_project(&event.project);
        // Together: where events are few, nothing read for the last one is fresh any more, and each question is a trip to the store.
        let (mark, webhooks, ()) = join3(
            self.context.until_done("read event mark", read_mark),
            self.context.until_done("read webhooks", read_webhooks),
            async {
                if let Some(direct) = direct {
                    direct.look_ahead().await;
                }
            },
        )
        .await;
        if mark?.is_some() {
            self.context
                .observer
                .saw(&Occurrence::EventSuppressed { event: &event });
            return Ok(());
        }
        let (event, seal) = self.context.seal_callback(event);
        if let Some(why) = self.refused(seal) {
            return self.keep_event(event, why).await;
        }
        let event = self.dated(event).await?;
        let stops = match self.stops(&event, &*webhooks?) {
            Ok(stops) => stops,
            Err(why) => return self.keep_event(event, why).await,
        };
        let _room = match direct {
            Some(direct) => Some(direct.room(stops.known.len()).await),
            None => None,
        };
        let (deliveries, faults) = self.deliveries(&event, trace.as_ref(), stops);
        let count = deliveries.len();
        let unmarked = direct.map(|direct| direct.unmarked(&deliveries));
        let on_their_way = deliveries
            .into_iter()
            .map(|delivery| self.send_off(delivery, direct));
        // All of them, whatever becomes of one: an attempt cut off would be one whose outcome nobody knows.
        let gone = join_all(on_their_way).await;
        gone.into_iter().collect::<Result<(), _>>()?;
        fault_point!(DeliveriesPublished);
        if !faults.is_empty() {
            // Not marked: once the profile or the event is put right, a replay of this dead letter reaches those left out.
            return self.keep_event(event, faults.join("; ")).await;
        }
        let mark = EventMark {
            dispatched_at: self.context.clock.now(),
            deliveries: u32::try_from(count).unwrap_or(u32::MAX),
        };
        let known_until = mark.dispatched_at + KNOWN_LONGER;
        self.context
            .until_done("mark event", || {
                store.mark_event(&event.project, &event.id, mark, known_until)
            })
            .await?;
        fault_point!(EventMarked);
        if let Some(until) = unmarked.and_then(UnmarkedEvent::marked) {
            // A direct attempt was told to come back much later, perhaps.
            self.context
                .keep_event_known(&event.project, &event.id, until)
                .await;
        }
        self.context.observer.saw(&Occurrence::EventDispatched {
            event: &event,
            deliveries: count,
        });
        Ok(())
    }

    /// Makes the direct attempt, or publishes; afterwards the delivery is safe without its event's message.
    async fn send_off(
        &self,
        delivery: Delivery,
        direct: Option<&Direct>,
    ) -> Result<(), QueueError> {
        let delivery = Arc::new(delivery);
        let (lane, wait) = match direct {
            None => (Lane::Main, None),
            Some(direct) => match direct.attempt(&delivery).await {
                Tried::Done => return Ok(()),
                Tried::Publish(lane, wait) => (lane, wait),
            },
        };
        if lane == Lane::Slow {
            let delivery = &delivery;
            self.context
                .observer
                .saw(&Occurrence::MovedToSlowLane { delivery });
        }
        let publish = || self.context.queue.publish_delivery(&delivery, lane, wait);
        self.context.until_done("publish delivery", publish).await?;
        fault_point!(DeliveryPublished);
        if let Some(wait) = wait {
            let until = self.context.clock.now() + wait.at_least;
            self.context.show_waiting(&delivery, until).await;
        }
        Ok(())
    }

    /// Why an event goes no further because of its callback's secret, if so.
    fn refused(&self, seal: CallbackSeal) -> Option<String> {
        match (seal, self.plain_secrets) {
            (CallbackSeal::Impossible(why), _) => Some(why),
            (CallbackSeal::Sealed, PlainSecrets::Refuse) => Some(
                "member `callback.secret` is in plain text (hint: publish with the producer library, which seals it, or set \
                 `secrets.allow_plain_callback_secrets`)"
                    .to_owned(),
            ),
            (CallbackSeal::Sealed, PlainSecrets::Seal) | (CallbackSeal::Unneeded, _) => None,
        }
    }

    /// The event with the moment it happened at: where it tells none, this one, or the one that an earlier dispatch kept.
    ///
    /// Bodies show that moment, so nothing is rendered before it is written down: whoever takes the event later, and however often, makes
    /// the same bytes of it. It is kept in the store, since a queue of events that is full takes no more, and only dispatch empties it.
    async fn dated(&self, event: Event) -> Result<Event, StoreError> {
        if event.occurred_at.is_some() {
            return Ok(event);
        }
        let (store, now) = (&self.context.store, self.context.clock.now());
        let keep = || store.event_moment(&event.project, &event.id, now);
        let moment = self.context.until_done("keep event's moment", keep).await?;
        fault_point!(EventDated);
        let mut event = event.dated(moment);
        event.accepted_at.get_or_insert(moment);
        Ok(event)
    }

    /// Where the event goes, or why it goes nowhere.
    fn stops(&self, event: &Event, webhooks: &Page<Webhook>) -> Result<Stops, String> {
        let profiles = &self.context.profiles;
        let found = profiles.of_project(&event.project);
        let (name, profile) = found.map_err(|unknown| unknown.to_string())?;
        let mut stops = Stops::default();
        if let Some(callback) = &event.callback {
            stops.known.push(Stop {
                destination: Destination::Callback {
                    url: callback.url.clone(),
                    secret: sealed_of(callback),
                },
                kind: DestinationKind::Callback,
                name: name.clone(),
                profile: profile.clone(),
            });
        }
        // Whether it wants the event is not known, and what is not sent must be seen.
        for DamagedRecord { id, why } in &webhooks.damaged {
            stops
                .faults
                .push(format!("webhook {id} cannot be read: {why}"));
        }
        for webhook in webhooks
            .entries
            .iter()
            .filter(|webhook| profiles.reach(webhook, &event.event_type))
        {
            let name = profiles.name_for(webhook).unwrap_or(name);
            let Some(profile) = profiles.profile(name) else {
                stops.faults.push(format!(
                    "webhook {} has profile `{name}`, which is not configured",
                    webhook.id
                ));
                continue;
            };
            stops.known.push(Stop {
                destination: Destination::Webhook {
                    id: webhook.id.clone(),
                    url: webhook.url.clone(),
                },
                kind: DestinationKind::Webhook,
                name: name.clone(),
                profile: profile.clone(),
            });
        }
        Ok(stops)
    }

    /// The deliveries, each distinct body rendered once, and what kept some from being made.
    fn deliveries(
        &self,
        event: &Event,
        trace: Option<&TraceContext>,
        stops: Stops,
    ) -> (Vec<Delivery>, Vec<String>) {
        let summary = EventSummary::of(event, self.context.clock.now());
        let Stops { known, mut faults } = stops;
        let mut bodies: HashMap<(&ProfileName, DestinationKind), Option<Bytes>> = HashMap::new();
        let mut deliveries = Vec::with_capacity(known.len());
        for Stop {
            destination,
            kind,
            name,
            profile,
        } in &known
        {
            let body =
                bodies
                    .entry((name, *kind))
                    .or_insert_with(|| match profile.render(*kind, event) {
                        Ok(rendered) => {
                            if rendered.large {
                                self.context.observer.saw(&Occurrence::BodyLarge {
                                    event,
                                    bytes: rendered.body.len(),
                                });
                            }
                            Some(rendered.body)
                        }
                        Err(fault) => {
                            faults.push(format!(
                                "profile `{name}` cannot make a body of it: {fault}"
                            ));
                            None
                        }
                    });
            let Some(body) = body else { continue };
            deliveries.push(Delivery {
                id: DeliveryId::derive(&event.project, &event.id, &destination.id()),
                event: summary.clone(),
                accepted_at: event.accepted_at.map(|at| at.min(summary.dispatched_at)),
                destination: destination.clone(),
                profile: name.clone(),
                generation: Generation::FIRST,
                attempt: AttemptNumber::FIRST,
                due_at: None,
                deferral: None,
                history: Vec::new(),
                detour: None,
                trace: trace.cloned(),
                body: body.clone(),
            });
        }
        (deliveries, faults)
    }

    async fn keep_event(&self, event: Event, why: String) -> Result<(), Stuck> {
        let reason = DeadLetterReason::Malformed;
        let died_at = self.context.clock.now();
        self.keep(DeadLetter::of_event(event, reason, why, died_at))
            .await
    }

    async fn keep_unreadable(&self, unreadable: Unreadable) -> Result<(), Stuck> {
        let Unreadable { bytes, why } = unreadable;
        self.keep(DeadLetter::of_raw(
            bytes,
            DeadLetterReason::Malformed,
            why,
            self.context.clock.now(),
        ))
        .await
    }

    async fn keep(&self, dead_letter: DeadLetter) -> Result<(), Stuck> {
        self.context.keep(&dead_letter).await?;
        Ok(())
    }
}

fn sealed_of(callback: &Callback) -> Option<SealedSecret> {
    match &callback.secret {
        Some(CallbackSecret::Sealed(sealed)) => Some(sealed.clone()),
        Some(CallbackSecret::Plain(_)) | None => None,
    }
}

//! Delivering: claim, send, decide, make the decision safe, settle.
//!
//! The order is the promise. A claim comes first, so that two workers with the same message make one request. The
//! successor of an attempt (the retry in the queue, the dead letter in the store) is safe before the claim is settled,
//! and the claim is settled before the message is acknowledged; docs/protocol.md lists what each crash in between costs.

use crate::{
    Context, Handled, Route, Share,
    attempts::{history_with, not_sent_exchange, trigger_of, unknown_attempt},
    build_request,
    judge::{excerpt_of, judge},
    moment::Moment,
    pacing::{Pacing, Seen, Turn, is_news},
    port::{
        Claim, ClaimAnswer, ClaimNonce, ClaimRequest, Exchange, ExpiredClaim, Lane, Occurrence,
        QueueError, SendFailure, SettleAnswer, SettledAs, Settlement, StoreError,
    },
    unmarked::{KNOWN_ANYWAY, Unmarked},
};
use futures_util::future::{BoxFuture, Either, select};
use ringback_domain::{
    Attempt, AttemptNumber, AttemptOutcome, BreakerRules, DeadLetter, DeadLetterReason, Deferral,
    Delivery, Destination, Detour, NextStep, NotSentReason, Timestamp, Wait, Webhook, WebhookState,
    limits, next_step,
};
use ringback_profile::{DestinationKind, Profile};
use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};
use url::Url;

/// Makes attempts at deliveries.
pub struct Deliver {
    context: Arc<Context>,
    lease_margin: Duration,
    pacing: Pacing,
    pub(crate) unmarked: Unmarked,
}

/// Could not be handled, by our own failure.
#[derive(Debug, thiserror::Error)]
enum Stuck {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The right to make an attempt, and since when: a request that begins within the margin ends within the lease.
struct Granted {
    claim: Claim,
    expired: Option<ExpiredClaim>,
    asked_at: Moment,
}

/// What a turn came to.
enum Came {
    /// Nobody was asked for anything: it is the next one's turn.
    ToNothing,
    /// The destination was asked, and what it says of it.
    ToAsk(Option<Seen>),
}

/// What came of beginning an attempt.
enum Begun<'a> {
    /// Preparing took so long that the request could outlast the lease.
    TooLate,
    NotSent(NotSentReason),
    UnderWay {
        url: Url,
        exchange: BoxFuture<'a, Exchange>,
    },
}

/// An attempt that is over, and the URL that was asked, if any was.
struct Made {
    attempt: Attempt,
    url: Option<Url>,
}

/// How long a delivery waits that was too late: to begin its request, or to settle.
const TOO_LATE_EXTRA: Duration = Duration::from_millis(250);

/// How long a request is under way before the log shows it.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// How long a delivery held by another worker waits beyond the end of that worker's lease.
const HELD_EXTRA: Duration = Duration::from_millis(250);

/// How long a retry waits at most before it asks again: what holds it is most often the attempt before it, which is safe and about
/// to be settled, later than a short schedule has the next one due.
const RETRY_HELD_MAX: Duration = Duration::from_secs(2);

/// A queue may round a wait up by one part in so many …
const LATENESS_PART: u32 = 64;
/// … which is worth another trip for who waits longer than this.
const PUNCTUAL_MAX: Duration = Duration::from_mins(2);

impl Deliver {
    /// A claim is held for the profile's time limit and this margin, which covers connecting to the store and queue. Without
    /// rules no destination is ever spared.
    pub fn new(
        context: Arc<Context>,
        lease_margin: Duration,
        breakers: Option<BreakerRules>,
    ) -> Self {
        Self {
            pacing: Pacing::new(context.clone(), breakers),
            context,
            lease_margin,
            unmarked: Unmarked::default(),
        }
    }

    /// Handles one delivery, from taking it to knowing what to do with its message.
    ///
    /// Dropped in the middle, it leaves a claim that runs out and a message that comes again.
    pub async fn handle(&self, delivery: &Delivery) -> Handled {
        self.handle_with_share(delivery, ()).await
    }

    /// The same for who holds a share of the destination: dropped as soon as the request is over, since what follows is between
    /// us and the store.
    pub async fn handle_with_share(&self, delivery: &Delivery, share: impl Share) -> Handled {
        match self.try_handle(delivery, share).await {
            Ok(()) => Handled::Acknowledge,
            Err(stuck) => {
                tracing::error!(
                    ringback.delivery.id = %delivery.id,
                    error = &stuck as &(dyn std::error::Error + 'static),
                    "could not handle a delivery, giving it back"
                );
                Handled::GiveBack
            }
        }
    }

    /// For who is about to hand over a delivery and has something else to wait for.
    pub(crate) async fn look_ahead(&self) {
        self.pacing.look_ahead().await;
    }

    /// Publishes the delivery to a lane as it is, at once or after a wait. No claim is taken and no attempt counted.
    pub async fn move_to(&self, lane: Lane, delivery: &Delivery, wait: Option<Wait>) -> Handled {
        let publish = || self.context.queue.publish_delivery(delivery, lane, wait);
        if self
            .context
            .until_done("move to lane", publish)
            .await
            .is_err()
        {
            return Handled::GiveBack;
        }
        if let Some(wait) = wait {
            let until = self.context.clock.now() + wait.at_least;
            self.context.show_waiting(delivery, until).await;
        }
        Handled::Acknowledge
    }

    /// What is large and seldom is boxed here and below: the future of each of a thousand attempts under way would have room for it.
    async fn try_handle(&self, delivery: &Delivery, mut share: impl Share) -> Result<(), Stuck> {
        let now = self.context.clock.now();
        if let Some(early) = delivery
            .due_at
            .and_then(|due_at| positive(due_at.duration_since(now)))
        {
            return Ok(self.put_off(delivery, Wait::exactly(early)).await?);
        }
        let profile = self.context.profiles.profile(&delivery.profile).cloned();
        let kind = DestinationKind::of(&delivery.destination);
        let rules = profile.as_ref().map(|profile| profile.rules(kind));
        let (mut probe, mut is_over) = (Vec::new(), false);
        match self.pacing.turn(delivery, rules).await? {
            Turn::Later {
                wait,
                spread,
                deferral,
            } => return Ok(self.defer(delivery, wait, spread, deferral).await?),
            Turn::Soon(wait) => {
                share.stands_aside();
                self.context.clock.sleep(wait).await;
            }
            Turn::Probe(of) => probe = of,
            Turn::Never => is_over = true,
            Turn::Now => {}
        }
        let work = self.claim_and_attempt(delivery, profile, kind, is_over, share);
        match work.await? {
            // Last: breakers are hints, and no hint may keep an answer from being settled within its lease.
            Came::ToAsk(Some(seen)) => self.pacing.saw(delivery, seen).await?,
            Came::ToAsk(None) => {}
            Came::ToNothing => self.pacing.give_back(&probe).await?,
        }
        Ok(())
    }

    /// What its turn is for.
    async fn claim_and_attempt(
        &self,
        delivery: &Delivery,
        profile: Option<Arc<Profile>>,
        kind: DestinationKind,
        is_over: bool,
        mut share: impl Share,
    ) -> Result<Came, Stuck> {
        let Some(granted) = self.claim(delivery).await? else {
            return Ok(Came::ToNothing);
        };
        let Granted {
            claim,
            expired,
            asked_at,
        } = granted;
        fault_point!(Claimed);
        // Without the profile there is nothing to sign by; without rules there is no retry. A person has to look.
        let Some(profile) = profile else {
            let attempt = self.not_sent(delivery, NotSentReason::ProfileUnknown);
            self.give_up(
                delivery,
                &claim,
                vec![attempt],
                DeadLetterReason::CouldNotPrepare,
            )
            .await?;
            return Ok(Came::ToNothing);
        };
        let rules = profile.rules(kind);
        let mut attempts: Vec<_> = expired
            .map(|expired| unknown_attempt(delivery, expired))
            .into_iter()
            .collect();
        if !attempts.is_empty() {
            self.context
                .observer
                .saw(&Occurrence::OutcomeUnknown { delivery });
            let step = next_step(&AttemptOutcome::Unknown, delivery.attempt, rules, 0.0);
            if let NextStep::GiveUp {
                reason: reason @ DeadLetterReason::OutcomeUnknown,
                ..
            } = step
            {
                self.give_up(delivery, &claim, attempts, reason).await?;
                return Ok(Came::ToNothing);
            }
        }
        if is_over {
            let reason = DeadLetterReason::DestinationDown;
            self.give_up(delivery, &claim, attempts, reason).await?;
            return Ok(Came::ToNothing);
        }
        let made = self
            .attempt(delivery, &profile, kind, asked_at, &mut share)
            .await?;
        let Some(Made { attempt, url }) = made else {
            self.release(delivery, &claim).await?;
            return Ok(Came::ToNothing);
        };
        drop(share);
        self.context.observer.saw(&Occurrence::AttemptMade {
            delivery,
            attempt: &attempt,
        });
        let came = match attempt.outcome {
            // Where its name leads was asked, at least.
            AttemptOutcome::NotSent(reason) if reason != NotSentReason::AddressForbidden => {
                Came::ToNothing
            }
            _ => Came::ToAsk(Seen::of(&attempt, asked_at)),
        };
        let step = next_step(
            &attempt.outcome,
            delivery.attempt,
            rules,
            self.context.entropy.draw(),
        );
        attempts.push(attempt);
        match step {
            NextStep::Complete => self.complete(delivery, &claim, &attempts).await,
            NextStep::RetryAfter(wait) => self.retry(delivery, &claim, &attempts, wait).await,
            NextStep::GiveUp {
                reason,
                disable_webhook,
            } => {
                if let Some(url) = url.filter(|_| disable_webhook) {
                    Box::pin(self.disable_webhook(delivery, &url)).await?;
                }
                self.give_up(delivery, &claim, attempts, reason).await
            }
        }?;
        Ok(came)
    }

    /// The claim to this attempt, or nothing when somebody else has it or had it.
    async fn claim(&self, delivery: &Delivery) -> Result<Option<Granted>, Stuck> {
        let request = ClaimRequest {
            delivery,
            worker: &self.context.worker,
            nonce: ClaimNonce::draw(&*self.context.entropy),
            lease: self.lease(delivery),
        };
        let ask = async || {
            // The moment *before* the question: the store's lease began no earlier.
            let asked_at = Moment::now(&*self.context.clock);
            let answer = self.context.store.claim(request).await?;
            Ok::<_, StoreError>((answer, asked_at))
        };
        let (answer, asked_at) = self.context.until_done("claim", ask).await?;
        match answer {
            ClaimAnswer::Granted { claim, expired } => {
                self.context.observer.saw(&Occurrence::ClaimGranted {
                    claim: &claim,
                    lease: request.lease,
                });
                Ok(Some(Granted {
                    claim,
                    expired,
                    asked_at,
                }))
            }
            ClaimAnswer::Held { remaining } => {
                let until = self.context.clock.now() + remaining;
                self.context
                    .observer
                    .saw(&Occurrence::ClaimHeld { delivery, until });
                // Whoever holds it may be gone, and then nobody else tells of it until the lease is over.
                self.show(delivery).await;
                let lease_over = remaining + HELD_EXTRA;
                let wait = match delivery.attempt {
                    AttemptNumber::FIRST => lease_over,
                    _ => lease_over.min(RETRY_HELD_MAX),
                };
                self.put_off(delivery, Wait::exactly(wait)).await?;
                Ok(None)
            }
            ClaimAnswer::Settled => {
                self.context
                    .observer
                    .saw(&Occurrence::DuplicateSuppressed { delivery });
                Ok(None)
            }
        }
    }

    /// The lease covers everything up to the settlement: the request's whole time limit and the margin.
    fn lease(&self, delivery: &Delivery) -> Duration {
        let time_limit = match self.context.profiles.profile(&delivery.profile) {
            Some(profile) => {
                profile
                    .rules(DestinationKind::of(&delivery.destination))
                    .time_limit
            }
            None => Duration::ZERO,
        };
        time_limit + self.lease_margin
    }

    /// A message of its own for an attempt that goes on after so long: it comes when the attempt's lease is over. A second
    /// message to whoever is done by then, which is dropped.
    pub(crate) async fn guard(
        &self,
        delivery: &Delivery,
        after: Duration,
    ) -> Result<(), QueueError> {
        self.context.clock.sleep(after).await;
        let lease_over = Wait::exactly(self.lease(delivery) + HELD_EXTRA);
        if let Err(failure) = self.put_off(delivery, lease_over).await {
            tracing::warn!(
                ringback.delivery.id = %delivery.id,
                error = &failure as &(dyn std::error::Error + 'static),
                "could not queue a delivery whose attempt takes long, waiting for the attempt"
            );
            return Err(failure);
        }
        fault_point!(AttemptGuarded);
        Ok(())
    }

    /// Publishes the same attempt again for later. No attempt is counted.
    ///
    /// A clock that was set back makes a wait longer than any: who comes too early then is put off again.
    async fn put_off(&self, delivery: &Delivery, wait: Wait) -> Result<(), QueueError> {
        let wait = Wait {
            at_least: wait.at_least.min(limits::DELAY_MAX),
            at_most: wait.at_most.min(limits::DELAY_MAX),
        };
        self.context
            .until_done("put off", || {
                self.context
                    .queue
                    .publish_delivery(delivery, Lane::Main, Some(wait))
            })
            .await
    }

    /// Publishes the same attempt for when its turn may come. No attempt is counted.
    ///
    /// Half of the spread is drawn, half is the queue's to use: whoever is put off comes by the hundred, and a wait that may be
    /// rounded costs the queue less.
    async fn defer(
        &self,
        delivery: &Delivery,
        wait: Duration,
        spread: Duration,
        deferral: Deferral,
    ) -> Result<(), QueueError> {
        let (wait, due_at) = match deferral.turn_at {
            // Rather too early, and put off once more, than late together with all whose turns are near it.
            Some(turn_at) if wait > PUNCTUAL_MAX => {
                let early = wait / LATENESS_PART;
                let wait = Wait {
                    at_least: wait.saturating_sub(early),
                    at_most: wait,
                };
                (wait, turn_at)
            }
            _ => {
                let wait = Wait {
                    at_least: wait + (spread / 2).mul_f64(self.context.entropy.draw()),
                    at_most: wait + spread,
                };
                (wait, self.context.clock.now() + wait.at_least)
            }
        };
        let deferred = Box::new(Delivery {
            due_at: Some(due_at),
            deferral: Some(deferral),
            ..delivery.clone()
        });
        self.put_off(&deferred, wait).await?;
        if is_news(delivery, due_at) {
            self.context.show_waiting(&deferred, due_at).await;
        }
        // A breaker may put it off for as long as its schedule is.
        self.keep_event_known(&deferred, due_at).await;
        self.context.observer.saw(&Occurrence::Deferred {
            delivery: &deferred,
            wait: wait.at_least,
        });
        Ok(())
    }

    /// Takes the claim back, as if it had never been, and publishes the same attempt again. No attempt is counted.
    async fn release(&self, delivery: &Delivery, claim: &Claim) -> Result<(), Stuck> {
        self.settle(delivery, claim, &[], &SettledAs::Released)
            .await?;
        Ok(self
            .put_off(delivery, Wait::exactly(TOO_LATE_EXTRA))
            .await?)
    }

    /// Makes the attempt: prepares, sends, judges. Nothing, when preparing took so long that the request could outlast
    /// the lease: by then another worker may be at it; and when the sender had no room for it.
    async fn attempt(
        &self,
        delivery: &Delivery,
        profile: &Profile,
        kind: DestinationKind,
        asked_at: Moment,
        share: &mut impl Share,
    ) -> Result<Option<Made>, StoreError> {
        let started_at = self.context.clock.now();
        let begun = self
            .begin(delivery, profile, started_at, asked_at, share)
            .await?;
        let (exchange, url) = match begun {
            Begun::TooLate => return Ok(None),
            Begun::NotSent(reason) => (not_sent_exchange(reason), None),
            Begun::UnderWay { url, exchange } => {
                let exchange = self.shown_when_slow(delivery, exchange).await;
                fault_point!(RequestSent);
                (exchange, Some(url))
            }
        };
        if matches!(exchange.result, Err(SendFailure::NoRoom)) {
            return Ok(None);
        }
        let outcome = judge(&exchange, profile.rules(kind), self.context.clock.now());
        let attempt = self.record_of(delivery, started_at, &exchange, outcome);
        Ok(Some(Made { attempt, url }))
    }

    /// Prepares, and sends. Apart from the wait for the answer, in whose future the request would stay: a thousand may wait.
    async fn begin(
        &self,
        delivery: &Delivery,
        profile: &Profile,
        started_at: Timestamp,
        asked_at: Moment,
        share: &mut impl Share,
    ) -> Result<Begun<'_>, StoreError> {
        let request = match self.prepare(delivery, profile, started_at).await? {
            Ok(request) => request,
            Err(reason) => return Ok(Begun::NotSent(reason)),
        };
        if asked_at.elapsed(&*self.context.clock) > self.lease_margin {
            return Ok(Begun::TooLate);
        }
        share.used_from_now();
        Ok(Begun::UnderWay {
            url: request.url.clone(),
            exchange: self.context.sender.send(request),
        })
    }

    /// Has the log show the attempt once it takes longer than a moment. Never waited for: the store may be slow, too.
    async fn shown_when_slow(
        &self,
        delivery: &Delivery,
        sending: impl Future<Output = Exchange>,
    ) -> Exchange {
        let show = async {
            self.context.clock.sleep(SHOWN_AFTER).await;
            self.show(delivery).await;
            std::future::pending::<Infallible>().await
        };
        match select(pin!(sending), pin!(show)).await {
            Either::Left((exchange, _)) => exchange,
            Either::Right((never, _)) => match never {},
        }
    }

    /// The log only informs: no delivery waits for it or fails by it.
    async fn show(&self, delivery: &Delivery) {
        if let Err(failure) = self.context.store.show_attempting(delivery).await {
            tracing::debug!(
                ringback.delivery.id = %delivery.id,
                error = &failure as &(dyn std::error::Error + 'static),
                "could not show an attempt in the log"
            );
        }
    }

    async fn prepare(
        &self,
        delivery: &Delivery,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<Result<crate::port::Request, NotSentReason>, StoreError> {
        let webhook = match &delivery.destination {
            Destination::Callback { .. } => None,
            Destination::Webhook { id, .. } => {
                let project = &delivery.event.project;
                let read = || self.context.webhooks.webhook(project, id);
                match self.context.until_done("read webhook", read).await? {
                    Some(webhook) if webhook.is_enabled() => Some(webhook),
                    _ => return Ok(Err(NotSentReason::DestinationGone)),
                }
            }
        };
        let route = match Route::open(
            delivery,
            webhook.as_deref(),
            profile,
            &self.context.keys,
            now,
        ) {
            Ok(route) => route,
            Err(reason) => return Ok(Err(reason)),
        };
        Ok(build_request(delivery, profile, &route, now))
    }

    fn record_of(
        &self,
        delivery: &Delivery,
        started_at: Timestamp,
        exchange: &Exchange,
        outcome: AttemptOutcome,
    ) -> Attempt {
        Attempt {
            generation: delivery.generation,
            number: delivery.attempt,
            trigger: trigger_of(delivery),
            started_at,
            worker: self.context.worker.clone(),
            phases: exchange.phases,
            address: exchange.address,
            outcome,
            cut_off: exchange.cut_off,
            excerpt: excerpt_of(exchange),
        }
    }

    fn not_sent(&self, delivery: &Delivery, reason: NotSentReason) -> Attempt {
        let outcome = AttemptOutcome::NotSent(reason);
        self.record_of(
            delivery,
            self.context.clock.now(),
            &not_sent_exchange(reason),
            outcome,
        )
    }

    async fn complete(
        &self,
        delivery: &Delivery,
        claim: &Claim,
        attempts: &[Attempt],
    ) -> Result<(), Stuck> {
        match self
            .settle(delivery, claim, attempts, &SettledAs::Delivered)
            .await?
        {
            SettleAnswer::Settled => {
                fault_point!(SettledDelivered);
                let attempt = attempts.last().expect("an attempt was made");
                self.context
                    .observer
                    .saw(&Occurrence::Delivered { delivery, attempt });
                Ok(())
            }
            SettleAnswer::Stale => self.leave_to_the_newer_claim(delivery).await,
        }
    }

    async fn retry(
        &self,
        delivery: &Delivery,
        claim: &Claim,
        attempts: &[Attempt],
        wait: Wait,
    ) -> Result<(), Stuck> {
        let due_at = self.context.clock.now() + wait.at_least;
        let next = Box::new(Delivery {
            attempt: delivery.attempt.next(),
            due_at: Some(due_at),
            deferral: None,
            history: history_with(delivery, attempts),
            ..delivery.clone()
        });
        self.context
            .until_done("publish retry", || {
                self.context
                    .queue
                    .publish_delivery(&next, Lane::Main, Some(wait))
            })
            .await?;
        fault_point!(RetryPublished);
        self.context.observer.saw(&Occurrence::RetryPlanned {
            delivery: &next,
            wait,
        });
        self.settle(delivery, claim, attempts, &SettledAs::Retrying { due_at })
            .await?;
        fault_point!(SettledRetrying);
        Ok(())
    }

    async fn give_up(
        &self,
        delivery: &Delivery,
        claim: &Claim,
        attempts: Vec<Attempt>,
        reason: DeadLetterReason,
    ) -> Result<(), Stuck> {
        let dead = Delivery {
            history: history_with(delivery, &attempts),
            due_at: None,
            deferral: None,
            ..delivery.clone()
        };
        let dead_letter = DeadLetter::of_delivery(dead, reason, self.context.clock.now());
        let settled_as = SettledAs::DeadLettered(Box::new(dead_letter));
        if self.settle(delivery, claim, &attempts, &settled_as).await? == SettleAnswer::Stale {
            return self.leave_to_the_newer_claim(delivery).await;
        }
        if let SettledAs::DeadLettered(dead_letter) = &settled_as {
            fault_point!(SettledDeadLettered);
            self.context
                .observer
                .saw(&Occurrence::DeadLettered { dead_letter });
        }
        Ok(())
    }

    /// Nothing of the outcome was kept. Whoever claimed since may hold no message (its connection was lost, and the message
    /// came here) and may vanish: this message may be the last, and has to live on until something is kept. When the newer
    /// claim is settled, it is dropped as a duplicate.
    async fn leave_to_the_newer_claim(&self, delivery: &Delivery) -> Result<(), Stuck> {
        Ok(self
            .put_off(delivery, Wait::exactly(TOO_LATE_EXTRA))
            .await?)
    }

    async fn settle(
        &self,
        delivery: &Delivery,
        claim: &Claim,
        attempts: &[Attempt],
        settled_as: &SettledAs,
    ) -> Result<SettleAnswer, StoreError> {
        let settlement = Settlement {
            claim,
            delivery,
            attempts,
            settled_as,
            at: self.context.clock.now(),
        };
        let answer = self
            .context
            .until_done("settle", || self.context.store.settle(settlement))
            .await?;
        self.context
            .observer
            .saw(&Occurrence::ClaimSettled { claim });
        let until = match settled_as {
            SettledAs::Retrying { due_at } => Some(*due_at),
            SettledAs::Delivered | SettledAs::DeadLettered(_) => Some(settlement.at),
            SettledAs::Released => None,
        };
        if let Some(until) = until {
            self.keep_event_known(delivery, until).await;
        }
        if answer == SettleAnswer::Stale {
            let Claim {
                delivery: id,
                generation,
                attempt,
                ..
            } = claim;
            let (generation, attempt) = (*generation, *attempt);
            self.context.observer.saw(&Occurrence::SettledTooLate {
                id,
                generation,
                attempt,
            });
        }
        Ok(answer)
    }

    /// An event stays known as long as any claim of its deliveries does: published again under the same id, it would be
    /// dispatched, and its deliveries taken for duplicates. Never waited for twice: what is safe is not to be delayed.
    async fn keep_event_known(&self, delivery: &Delivery, until: Timestamp) {
        let event = &delivery.event;
        // What was repeated until the store came back is kept from then on.
        let until = until.max(self.context.clock.now());
        let late = Duration::try_from(until.duration_since(event.dispatched_at));
        if late.unwrap_or_default() < KNOWN_ANYWAY || self.unmarked.remembers(&delivery.id, until) {
            return;
        }
        self.context
            .keep_event_known(&event.project, &event.id, until)
            .await;
    }

    /// 410: the receiver says it is gone for good. The webhook gets nothing more until a person enables it.
    ///
    /// Unless it is elsewhere by now: what answered was the URL it had before, and what is gone is only that.
    async fn disable_webhook(&self, delivery: &Delivery, answered: &Url) -> Result<(), StoreError> {
        let Destination::Webhook { id, .. } = &delivery.destination else {
            return Ok(());
        };
        if delivery.detour == Some(Detour::OriginalUrl) {
            return Ok(());
        }
        let store = &self.context.store;
        let Some(webhook) = self
            .context
            .until_done("read webhook", || store.webhook(id))
            .await?
        else {
            return Ok(());
        };
        if webhook.is_enabled() && webhook.url == *answered {
            let at = self.context.clock.now();
            let disabled = Webhook {
                state: WebhookState::Disabled {
                    at,
                    reason: "answered 410 Gone".into(),
                },
                updated_at: at,
                revision: webhook.revision + 1,
                ..webhook
            };
            // A conflict means a person changed it this very moment: theirs stands.
            self.context
                .until_done("disable webhook", || store.put_webhook(&disabled))
                .await?;
            self.context.webhooks.forget(&disabled.project);
        }
        Ok(())
    }
}

fn positive(difference: jiff::SignedDuration) -> Option<Duration> {
    Duration::try_from(difference)
        .ok()
        .filter(|wait| !wait.is_zero())
}

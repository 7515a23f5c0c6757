//! A project in which much has happened: two hours of traffic, a receiver in maintenance, one with a wrong secret.

use crate::scene::Scene;
use futures_util::future::join_all;
use ringback_delivery::{
    PlanRequest,
    port::{ClaimAnswer, ClaimRequest, DeadLetterFilter, SettledAs, Settlement, WriteAnswer},
};
use ringback_domain::{
    Attempt, AttemptNumber, AttemptOutcome, Breaker, BreakerState, DeadLetter, DeadLetterReason,
    Delivery, Destination, DestinationId, EventSummary, Excerpt, Phases, PlanId, Timestamp,
    Trigger, UnreachableCause, Webhook,
    replay_plan::{Pacing, ReplayTarget, StopRule},
};
use ringback_testkit::samples;
use ringback_worker::webhooks::NewWebhook;
use std::time::Duration;

const TYPES: [&str; 3] = ["render.completed", "render.failed", "import.completed"];

/// What happens to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Delivered,
    DeliveredLate,
    Waiting,
    Dead,
}

/// Numbers that repeat from run to run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_micros(from * 1_000 + self.below((to - from) * 1_000))
    }
}

pub(crate) struct Busy {
    pub(crate) webhook: Webhook,
    pub(crate) letter: DeadLetter,
    pub(crate) plan: PlanId,
}

/// Lets all of it have happened.
pub(crate) async fn happen(scene: &Scene) -> Busy {
    let now = scene.services.context.clock.now();
    let orders = webhook(
        scene,
        "https://api.northwind.example/webhooks/orders",
        "Orders, for the warehouse",
    )
    .await;
    let billing = webhook(
        scene,
        "https://billing.contoso.example/hooks/ringback?token=x",
        "Invoices",
    )
    .await;
    let crm = webhook(scene, "https://hooks.fabrikam.example/crm", "").await;
    let mut dice = Dice(7);
    let mut all = Vec::new();
    for minute in 1..118_u64 {
        let at = before(now, Duration::from_secs(minute * 60 + dice.below(50)));
        let busy = 1 + dice.below(3) + u64::from(minute % 40 < 14) * 2;
        for _ in 0..busy {
            let fate = if dice.below(12) == 0 {
                Fate::DeliveredLate
            } else {
                Fate::Delivered
            };
            all.push((delivery(scene, &crm, dice.below(3)), fate, at));
        }
        // Since the last hour, orders' receiver is in maintenance.
        let fate = match minute {
            ..9 => Fate::Waiting,
            9..52 if minute % 2 == 0 => Fate::Dead,
            _ => Fate::Delivered,
        };
        all.push((delivery(scene, &orders, dice.below(3)), fate, at));
        if minute % 7 == 0 {
            let fate = if minute < 70 {
                Fate::Dead
            } else {
                Fate::Delivered
            };
            all.push((delivery(scene, &billing, 0), fate, at));
        }
    }
    let mut settled = Vec::new();
    for (delivery, fate, at) in all {
        let is_billing = delivery.destination.url().path().starts_with("/hooks");
        let attempts = attempts(&delivery, fate, is_billing, at, &mut dice);
        settled.push(settle(scene, delivery, fate, attempts, at, now));
    }
    join_all(settled).await;
    spare(scene, &orders, now).await;
    let letters = scene.dead_letters("acme", 30).await;
    let of_orders = |letter: &&DeadLetter| {
        let delivery = letter.delivery().unwrap();
        delivery.destination.id().as_str() == orders.id.as_str()
    };
    let letter = letters.iter().find(of_orders).unwrap().clone();
    let plan = plan(scene).await;
    Busy {
        webhook: orders,
        letter,
        plan,
    }
}

/// Nothing but probes goes there, as after failures in a row.
async fn spare(scene: &Scene, webhook: &Webhook, now: Timestamp) {
    let breaker = Breaker {
        destination: DestinationId::webhook(&webhook.id),
        state: BreakerState::Open {
            probes: 12,
            next_probe_at: now.saturating_add(Duration::from_secs(40)).unwrap(),
        },
        opened_at: before(now, Duration::from_mins(9)),
        revision: 1,
    };
    let store = &scene.services.context.store;
    let answer = store.put_breaker(&breaker).await.unwrap();
    assert_eq!(answer, WriteAnswer::Written);
}

async fn plan(scene: &Scene) -> PlanId {
    let request = PlanRequest {
        filter: DeadLetterFilter {
            project: Some("acme".parse().unwrap()),
            ..DeadLetterFilter::default()
        },
        text: None,
        reason: "the warehouse is back, billing has its secret".to_owned(),
        by: "key 4f1c (on call)".to_owned(),
        pacing: Pacing::default(),
        target: ReplayTarget::Current,
        stop_rule: StopRule::default(),
        sends_stale: false,
    };
    let plan = scene.services.plans.plan(&request, &|_| {}).await.unwrap();
    plan.id().clone()
}

fn before(moment: Timestamp, length: Duration) -> Timestamp {
    moment.saturating_sub(length).unwrap()
}

async fn webhook(scene: &Scene, url: &str, description: &str) -> Webhook {
    let new = NewWebhook {
        project: "acme".parse().unwrap(),
        url: url.to_owned(),
        events: TYPES[..2]
            .iter()
            .map(|event_type| event_type.parse().unwrap())
            .collect(),
        profile: None,
        secret: None,
        headers: Vec::new(),
        description: Some(description.to_owned()).filter(|text| !text.is_empty()),
        rate_limit: None,
    };
    scene.services.webhooks.add(new).await.unwrap().webhook
}

fn delivery(scene: &Scene, webhook: &Webhook, kind: u64) -> Delivery {
    let mut event = samples::event_of(&webhook.project);
    event.event_type = TYPES[usize::try_from(kind).unwrap()].parse().unwrap();
    let now = scene.services.context.clock.now();
    event.occurred_at = Some(now);
    let destination = Destination::Webhook {
        id: webhook.id.clone(),
        url: webhook.url.clone(),
    };
    Delivery {
        profile: "quick".parse().unwrap(),
        event: EventSummary::of(&event, now),
        ..samples::delivery_of(&event, destination)
    }
}

fn attempts(
    delivery: &Delivery,
    fate: Fate,
    is_billing: bool,
    at: Timestamp,
    dice: &mut Dice,
) -> Vec<Attempt> {
    let refused = |status, body: &str| {
        let outcome = AttemptOutcome::Refused {
            status,
            retry_after: None,
        };
        (outcome, Excerpt::new(body.as_bytes(), false))
    };
    let maintenance = || {
        refused(
            503,
            "{\"error\":\"maintenance\",\"detail\":\"the warehouse is back at 14:00\"}",
        )
    };
    let time_limit = || {
        (
            AttemptOutcome::Unreachable(UnreachableCause::TimeLimit),
            Excerpt::default(),
        )
    };
    let accepted = || {
        (
            AttemptOutcome::Accepted { status: 200 },
            Excerpt::new(b"{\"ok\":true}", false),
        )
    };
    let outcomes = match fate {
        Fate::Delivered => vec![accepted()],
        Fate::DeliveredLate => vec![time_limit(), accepted()],
        Fate::Waiting => vec![maintenance(), maintenance()],
        Fate::Dead if is_billing => vec![refused(401, "signature does not match")],
        Fate::Dead => vec![time_limit(), maintenance(), maintenance(), maintenance()],
    };
    let count = outcomes.len();
    let each = outcomes
        .into_iter()
        .enumerate()
        .map(|(index, (outcome, excerpt))| {
            let waits = [0, 5, 65, 365, 900];
            let back: u64 = waits[count - 1] - waits[index];
            let is_late = matches!(outcome, AttemptOutcome::Unreachable(_));
            let (dns, connect, tls) = (dice.ms(1, 6), dice.ms(8, 24), dice.ms(14, 40));
            let first = dns + connect + tls + dice.ms(20, 110);
            Attempt {
                generation: delivery.generation,
                number: AttemptNumber::try_new(u16::try_from(index + 1).unwrap()).unwrap(),
                trigger: Trigger::Schedule,
                started_at: before(at, Duration::from_secs(back)),
                worker: "wrk_5d1c22a90b7e4f10".parse().unwrap(),
                phases: Phases {
                    // Some connections come from the pool.
                    dns: (index % 2 == 0).then_some(dns),
                    connect: (index % 2 == 0).then_some(connect),
                    tls: (index % 2 == 0).then_some(tls),
                    first_byte: (!is_late).then_some(first),
                    total: if is_late {
                        Duration::from_millis(412)
                    } else {
                        first + dice.ms(1, 9)
                    },
                },
                address: Some(([203, 0, 113, 24], 443).into()),
                outcome,
                cut_off: None,
                excerpt,
            }
        });
    each.collect()
}

async fn settle(
    scene: &Scene,
    mut delivery: Delivery,
    fate: Fate,
    attempts: Vec<Attempt>,
    at: Timestamp,
    now: Timestamp,
) {
    let store = &scene.services.context.store;
    delivery.attempt = attempts.last().unwrap().number;
    let claim = ClaimRequest {
        delivery: &delivery,
        worker: &scene.services.context.worker,
        nonce: samples::claim_nonce(),
        lease: Duration::from_mins(1),
    };
    let ClaimAnswer::Granted { claim, .. } = store.claim(claim).await.unwrap() else {
        panic!("nobody else claims it");
    };
    let settled_as = match fate {
        Fate::Delivered | Fate::DeliveredLate => SettledAs::Delivered,
        Fate::Waiting => SettledAs::Retrying {
            due_at: now.saturating_add(Duration::from_mins(4)).unwrap(),
        },
        Fate::Dead => {
            let mut given_up = delivery.clone();
            given_up.history.clone_from(&attempts);
            let reason = DeadLetterReason::AttemptsExhausted;
            SettledAs::DeadLettered(Box::new(DeadLetter::of_delivery(given_up, reason, at)))
        }
    };
    let settlement = Settlement {
        claim: &claim,
        delivery: &delivery,
        attempts: &attempts,
        settled_as: &settled_as,
        at,
    };
    store.settle(settlement).await.unwrap();
}

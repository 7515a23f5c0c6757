//! Steps that go to the server together: each is done and answered for itself.

use crate::{claim, raw, settings, store};
use futures_util::future::join_all;
use ringback_delivery::port::{
    Claim, ClaimAnswer, ClaimStore, DeliveryStore, EventMark, EventStore, FencingToken,
    SettleAnswer, SettledAs, Settlement, StoreError, TrafficStore,
};
use ringback_domain::{Delivery, DeliveryState, Traffic, TrafficOf, TrafficStep};
use ringback_store_redis::RedisStore;
use ringback_testkit::{
    samples,
    servers::{RedisOptions, RedisServer},
};
use sha2::Digest;

const MANY: usize = 80;
/// 80 steps, 32 at most together.
const CALLS: u64 = 3;

fn deliveries() -> Vec<Delivery> {
    let project = samples::project();
    let delivery =
        |_| samples::delivery_of(&samples::event_of(&project), samples::webhook_destination());
    (0..MANY).map(delivery).collect()
}

async fn settle(store: &RedisStore, claim: &Claim, delivery: &Delivery) -> SettleAnswer {
    let settlement = Settlement {
        claim,
        delivery,
        attempts: &[samples::attempt_of(delivery)],
        settled_as: &SettledAs::Delivered,
        at: samples::moment(9),
    };
    store.settle(settlement).await.unwrap()
}

fn granted(answer: ClaimAnswer) -> Claim {
    match answer {
        ClaimAnswer::Granted { claim, .. } => claim,
        other => panic!("{other:?}"),
    }
}

/// How many scripts the server was asked to run.
async fn calls(server: &RedisServer) -> u64 {
    let mut raw = raw(&server.url()).await;
    let mut info = redis::cmd("INFO");
    let stats: String = info
        .arg("commandstats")
        .query_async(&mut raw)
        .await
        .unwrap();
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    let count = line.and_then(|line| line.split(',').next());
    count.map_or(0, |count| count.parse().unwrap())
}

// One thread: all of them wait in the line before the first goes.
#[tokio::test]
async fn each_of_those_that_go_together_is_answered_for_itself() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let (store, deliveries) = (store(settings(&server.url())), deliveries());
    granted(claim(&store, &samples::delivery()).await.unwrap());
    let before = calls(&server).await;
    let answers = join_all(deliveries.iter().map(|delivery| claim(&store, delivery))).await;
    let claims: Vec<_> = answers
        .into_iter()
        .map(|answer| granted(answer.unwrap()))
        .collect();
    assert_eq!(calls(&server).await - before, CALLS);
    for (claim, delivery) in claims.iter().zip(&deliveries) {
        assert_eq!(claim.delivery, delivery.id);
    }

    let late = Claim {
        token: FencingToken(claims[7].token.0 - 1),
        ..claims[7].clone()
    };
    let with_late =
        claims
            .iter()
            .zip(&deliveries)
            .enumerate()
            .map(|(number, (claim, delivery))| {
                settle(&store, if number == 7 { &late } else { claim }, delivery)
            });
    for (number, answer) in join_all(with_late).await.into_iter().enumerate() {
        let expected = match number {
            7 => SettleAnswer::Stale,
            _ => SettleAnswer::Settled,
        };
        assert_eq!(answer, expected, "{number}");
    }
    // Again, as after an answer that got lost: what is settled is not counted twice.
    let again = claims
        .iter()
        .zip(&deliveries)
        .map(|(claim, delivery)| settle(&store, claim, delivery));
    assert!(
        join_all(again)
            .await
            .into_iter()
            .all(|answer| answer == SettleAnswer::Settled)
    );
    for of in [
        TrafficOf::Everything,
        TrafficOf::Project(deliveries[0].event.project.clone()),
    ] {
        for step in [TrafficStep::Minute, TrafficStep::Hour] {
            let points = store.traffic(&of, step, samples::moment(9)).await.unwrap();
            let mut counted = Traffic::default();
            for point in &points {
                counted += point.traffic;
            }
            assert_eq!(counted.delivered, MANY as u64, "{of} {step:?}");
        }
    }
}

#[tokio::test]
async fn waits_that_are_shown_together_are_each_in_the_log() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let (store, deliveries) = (store(settings(&server.url())), deliveries());
    granted(claim(&store, &deliveries[7]).await.unwrap());
    let until = |number: usize| samples::moment(i64::try_from(number).unwrap());
    let first = samples::delivery();
    store.show_waiting(&first, until(0)).await.unwrap();
    let before = calls(&server).await;
    let shows = deliveries.iter().enumerate();
    let shows = shows.map(|(number, delivery)| store.show_waiting(delivery, until(number)));
    join_all(shows).await.into_iter().for_each(Result::unwrap);
    assert_eq!(calls(&server).await - before, CALLS);
    for (number, delivery) in deliveries.iter().enumerate() {
        let found = store.delivery(&delivery.id).await.unwrap();
        let state = found.map(|record| record.state);
        // Somebody is at that one.
        let waits = (number != 7).then(|| DeliveryState::Waiting {
            until: until(number),
        });
        assert_eq!(state, waits, "{number}");
    }
}

/// Every second event is marked, each with a count of its own.
#[tokio::test]
async fn marks_read_together_are_those_of_their_events() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let store = store(settings(&server.url()));
    let events: Vec<_> = (0..MANY).map(|_| samples::event()).collect();
    let mark = |number: usize| EventMark {
        dispatched_at: samples::moment(1),
        deliveries: u32::try_from(number).unwrap(),
    };
    let marking = events.iter().enumerate().step_by(2);
    let marking = marking.map(|(number, event)| {
        store.mark_event(&event.project, &event.id, mark(number), samples::moment(1))
    });
    join_all(marking).await.into_iter().for_each(Result::unwrap);
    let reading = events
        .iter()
        .map(|event| store.event_mark(&event.project, &event.id));
    for (number, found) in join_all(reading).await.into_iter().enumerate() {
        let expected = (number % 2 == 0).then(|| mark(number));
        assert_eq!(found.unwrap(), expected, "{number}");
    }
}

#[tokio::test]
async fn one_that_the_server_refuses_does_not_hold_up_the_others() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let settings = settings(&server.url());
    let (store, deliveries) = (store(settings.clone()), deliveries());
    let id = deliveries[3].id.as_str();
    let shard = sha2::Sha256::digest(id)[0] % 16;
    // A text where a claim should be.
    let () = redis::cmd("SET")
        .arg(format!("{{{}:{shard:02}}}:claim:{id}", settings.prefix))
        .arg("damaged")
        .query_async(&mut raw(&server.url()).await)
        .await
        .unwrap();
    let answers = join_all(deliveries.iter().map(|delivery| claim(&store, delivery))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        match answer {
            Err(StoreError::Refused { why, .. }) => assert_eq!(number, 3, "{why}"),
            answer => assert_eq!(granted(answer.unwrap()).delivery, deliveries[number].id),
        }
    }
}

/// Of many callers that give up while they wait, none keeps the others from being answered.
#[tokio::test]
async fn who_no_longer_waits_is_left_out() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let (store, deliveries) = (store(settings(&server.url())), deliveries());
    let gone = deliveries[1..]
        .iter()
        .map(|delivery| Box::pin(claim(&store, delivery)));
    let mut gone: Vec<_> = gone.collect();
    for waiting in &mut gone {
        assert!(futures_util::poll!(waiting).is_pending());
    }
    drop(gone);
    granted(claim(&store, &deliveries[0]).await.unwrap());
    let again = join_all(
        deliveries[1..]
            .iter()
            .map(|delivery| claim(&store, delivery)),
    )
    .await;
    for answer in again {
        granted(answer.unwrap());
    }
}

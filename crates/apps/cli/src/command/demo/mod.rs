//! `ringback demo`: the whole story in one terminal.
//!
//! Receivers for every profile are started on this machine, a webhook is registered with each, an event of each platform is
//! published, and a worker delivers. One receiver fails twice; one is down, until its delivery has become a dead letter; then it
//! is repaired and the dead letter is replayed. At the end the receivers' logs and the store tell whether all of it happened.

mod cast;
mod proof;
mod stage;
mod timeline;

use crate::{
    args::DemoArgs,
    failure::{Failure, Outcome},
    session::Session,
    view::{DeadLetterView, dead_letter_facts},
};
use cast::{Behaviour, EVENTS, PARTS, with_callback};
use proof::Proof;
use ringback_delivery::{
    ProfileBook, Replay, ReplayRequest, WebhookCache,
    port::{DeadLetterFilter, Observer},
};
use ringback_domain::{DeadLetter, DeliveryId};
use ringback_profile::{DestinationKind, Profile};
use ringback_sender_http::HttpSender;
use ringback_signing::Secret;
use ringback_worker::{
    Backend, Opener, Role, Service, SystemEntropy,
    config::Config,
    context_with,
    observe::{LogObserver, Observers},
    publish::Publisher,
    webhooks::{NewWebhook, Webhooks},
};
use stage::{Player, Stage, player, players};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use timeline::{Timeline, Turn, timeline};
use tokio::time::{Instant, timeout};

/// How much longer the waits are in real life: a schedule of 21 minutes passes in 4 seconds.
const STRETCH: f64 = 300.0;
/// How long the whole may take before it counts as failed.
const TIME_LIMIT: Duration = Duration::from_secs(55);
/// What the callback's receiver and the platform agreed on when the job was started.
const CALLBACK_SECRET: &str = "a secret of this one job";

pub(crate) async fn run(session: &Session, args: DemoArgs) -> Outcome {
    let stage = Stage::build(session, args.broker, args.store)?;
    let playing = timeout(TIME_LIMIT, play(session, &stage.config));
    let played = tokio::select! {
        played = playing => played.unwrap_or_else(|_| Err(Failure::failed(format!("not all of it happened within {} s", TIME_LIMIT.as_secs())))),
        _ = tokio::signal::ctrl_c() => Err(Failure::failed("stopped before the end")),
    };
    let struck = stage.strike().await;
    let proof = played?;
    session.terminal.data(&proof, Proof::show)?;
    struck?;
    if proof.holds() {
        Ok(())
    } else {
        Err(Failure::failed("not all of it happened"))
    }
}

/// What was agreed with each webhook's receiver.
type Secrets = BTreeMap<&'static str, Vec<Secret>>;

async fn play(session: &Session, config: &Config) -> Outcome<Proof> {
    let say = |line: String| session.terminal.say(&line);
    let began_at = Instant::now();
    let mut players = players().await?;
    let backend = Backend::open(config, Opener::Service).await?;
    let (watcher, mut timeline) = timeline(STRETCH);
    let observer: Arc<dyn Observer> =
        Arc::new(Observers(vec![Arc::new(watcher), Arc::new(LogObserver)]));
    let http = config
        .http_config()
        .map_err(|failure| Failure::failed("could not set up sending").because(failure))?;
    let sender = HttpSender::try_new(&http)
        .map_err(|failure| Failure::failed("could not set up sending").because(failure))?;
    let context = context_with(
        &backend,
        observer.clone(),
        Arc::new(sender),
        hurried(config),
    );
    let profiles = context.profiles.clone();
    let service = Service::start(
        context,
        &config.service_settings([Role::Dispatch, Role::Deliver]),
    )
    .await?;

    let webhooks = Webhooks {
        store: backend.store.clone(),
        keys: backend.keys.clone(),
        profiles: profiles.clone(),
        urls: config.http.url_policy(),
        clock: backend.clock.clone(),
        entropy: Arc::new(SystemEntropy),
    };
    let (ids, secrets) = register(&webhooks, &players).await?;
    say(timeline.line_now(&format!(
        "{} webhooks registered, one for each profile",
        ids.len()
    )));
    say(timeline.line_now(&format!("publishing {} events", EVENTS.len())));
    publish(config, &backend, &profiles, &players).await?;

    let dead = watch(session, &mut timeline, PARTS.len()).await;
    let found = find_dead_letter(&backend).await?;
    say(format!(
        "\n{}\n",
        indent(&dead_letter_facts(&DeadLetterView::of(
            &found,
            &profiles,
            backend.clock.now()
        )))
    ));
    player(&players, "hooked", DestinationKind::Webhook).repair();
    say(timeline.line_now("somebody repairs the receiver, and replays the dead letter"));
    let replay = Replay {
        queue: backend.queue.clone(),
        store: backend.store.clone(),
        profiles: profiles.clone(),
        clock: backend.clock.clone(),
        observer,
    };
    let request = ReplayRequest {
        id: found.id.clone(),
        by: "the demonstration".to_owned(),
        again: false,
        // The page's own event, which is years old.
        sends_stale: true,
    };
    replay.replay(&request).await?;
    watch(session, &mut timeline, 1).await;

    let mut proof = Proof {
        broker: config.broker.describe(),
        store: backend.health.product.clone(),
        took_ms: 0,
        deliveries: Vec::new(),
        claims: Vec::new(),
    };
    proof.claim(
        "one delivery, and no other, became a dead letter",
        dead.len() == 1,
    );
    let now = backend.clock.now();
    for player in &mut players {
        let profile = profile(&profiles, player.part.profile);
        let secrets = match player.part.kind {
            DestinationKind::Callback => vec![callback_secret()],
            DestinationKind::Webhook => secrets[player.part.profile].clone(),
        };
        proof
            .examine(player, profile, secrets, &*backend.store, now)
            .await?;
    }
    let broken = PARTS
        .iter()
        .find(|part| part.behaviour == Behaviour::IsBroken)
        .expect("the cast has one");
    let retries = profile(&profiles, broken.profile)
        .rules(broken.kind)
        .retry
        .delays()
        .len();
    let after = backend.store.dead_letter(&found.id).await?;
    proof.examine_dead_letter(&found, after.as_ref(), broken.requests(retries));

    for id in &ids {
        webhooks.remove(id).await?;
    }
    service.stop().await;
    backend.close().await;
    for player in players {
        player.receiver.close().await;
    }
    proof.took_ms = u64::try_from(began_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    session.terminal.say("");
    Ok(proof)
}

/// The profiles with their waits shortened; all else is theirs.
fn hurried(config: &Config) -> ProfileBook {
    let hurry =
        |name: &str| Profile::builtin(name).map(|profile| profile.with_waits_scaled(1.0 / STRETCH));
    let profiles = ringback_profile::builtin_names().filter_map(hurry);
    let profiles = profiles.map(|profile| (profile.name().clone(), Arc::new(profile)));
    let projects = config
        .projects
        .iter()
        .map(|(name, project)| (name.clone(), project.profile.clone()));
    ProfileBook::new(profiles, projects)
}

fn profile<'a>(profiles: &'a ProfileBook, name: &str) -> &'a Profile {
    let name = name.parse().expect("a profile's name");
    profiles
        .profile(&name)
        .expect("all built-in profiles are there")
}

fn callback_secret() -> Secret {
    Secret::try_new(CALLBACK_SECRET).expect("it is not empty")
}

async fn register(
    webhooks: &Webhooks,
    players: &[Player],
) -> Outcome<(Vec<ringback_domain::WebhookId>, Secrets)> {
    let (mut ids, mut secrets) = (Vec::new(), Secrets::new());
    for player in players
        .iter()
        .filter(|player| player.part.kind == DestinationKind::Webhook)
    {
        let added = webhooks
            .add(NewWebhook {
                project: player.part.profile.parse().expect("a project's name"),
                url: player.url(),
                events: BTreeSet::new(),
                profile: None,
                secret: None,
                headers: Vec::new(),
                description: Some(player.part.behaviour.describe().to_owned()),
                rate_limit: None,
            })
            .await?;
        ids.push(added.webhook.id);
        secrets.insert(player.part.profile, added.secret.into_iter().collect());
    }
    Ok((ids, secrets))
}

/// One event of each platform, with the callback its job named.
async fn publish(
    config: &Config,
    backend: &Backend,
    profiles: &Arc<ProfileBook>,
    players: &[Player],
) -> Outcome {
    let publisher = Publisher {
        queue: backend.queue.clone(),
        store: backend.store.clone(),
        webhooks: WebhookCache::new(backend.store.clone(), backend.clock.clone()),
        profiles: profiles.clone(),
        keys: backend.keys.clone(),
        urls: config.http.url_policy(),
        clock: backend.clock.clone(),
        entropy: Arc::new(SystemEntropy),
    };
    for (name, event) in EVENTS {
        let callback = players.iter().find(|player| {
            player.part.profile == name && player.part.kind == DestinationKind::Callback
        });
        let text = match callback {
            Some(player) => with_callback(event, &player.url(), CALLBACK_SECRET),
            None => event.to_owned(),
        };
        let confirmed = publisher.publish(&text.into()).await;
        confirmed.map_err(|error| {
            Failure::failed(format!("could not publish the event of `{name}`")).because(error)
        })?;
    }
    Ok(())
}

/// Shows what happens until so many deliveries came to an end; those that became dead letters.
async fn watch(session: &Session, timeline: &mut Timeline, ends: usize) -> BTreeSet<DeliveryId> {
    let (mut ended, mut dead) = (0, BTreeSet::new());
    while ended < ends {
        let happening = timeline.next().await;
        session.terminal.say(&timeline.line(&happening));
        match happening.turn {
            Turn::Delivered => ended += 1,
            Turn::DeadLettered(id) => {
                ended += 1;
                dead.insert(id);
            }
            Turn::Other => {}
        }
    }
    // An end may be told of before what led to it: a worker is faster than who published the replay.
    while let Some(happening) = timeline.at_hand() {
        session.terminal.say(&timeline.line(&happening));
    }
    dead
}

async fn find_dead_letter(backend: &Backend) -> Outcome<DeadLetter> {
    let filter = DeadLetterFilter {
        project: "hooked".parse().ok(),
        ..DeadLetterFilter::default()
    };
    let page = backend.store.dead_letters(&filter, None, 10).await?;
    let found = page.entries.into_iter().next();
    found
        .ok_or_else(|| Failure::failed("the store has no dead letter of the receiver that is down"))
}

fn indent(text: &str) -> String {
    text.lines()
        .map(|line| format!("        {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

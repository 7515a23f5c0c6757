//! `ringback doctor`: configuration, broker and store against the promises, and what to change.

use crate::{
    failure::{Exit, Failure, Outcome},
    session::Session,
    terminal::behind,
};
use owo_colors::OwoColorize;
use ringback_delivery::{
    check_sealed,
    port::{Clock, DamagedRecord, Queue, QueueName, Store, StoreError, StoreHealth},
};
use ringback_domain::{BudgetState, DeadLetterBudget, DeadLetterUsage, Webhook};
use ringback_profile::DestinationKind;
use ringback_queue_rabbitmq::{
    Exposure, Greeting, Problem, RabbitConfig, RabbitQueue, Scope, greetings,
};
use ringback_sender_http::AllowedNetwork;
use ringback_signing::KeyRing;
use ringback_worker::{
    Part, Parts, SystemClock,
    config::{Broker, Config, StoreAt, show_duration},
};
use serde::Serialize;
use std::{num::NonZeroU16, time::Duration};

/// How far the store's clock may be off ours before leases and signatures suffer.
const CLOCK_SKEW_MS_MAX: i64 = 1000;
/// Below it, requests of a busy worker begin too late for their claim.
const LEASE_MARGIN_MIN: Duration = Duration::from_secs(5);
/// Below it, a rollout that goes wrong a few times parks messages.
const DELIVERY_LIMIT_MIN: NonZeroU16 = NonZeroU16::new(10).expect("not zero");

/// What stands before a finding: how it is, and what.
const HEAD_WIDTH: usize = 6 + 2 + 12 + 2;

pub(crate) async fn run(session: &Session) -> Outcome {
    session.log_quietly()?;
    let mut checks = Vec::new();
    let reached = examine(session, &mut checks).await;
    session.terminal.data(&checks, |checks| {
        checks
            .iter()
            .map(Check::line)
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    reached?;
    let count = checks
        .iter()
        .filter(|check| matches!(check.state, State::Weak | State::Broken))
        .count();
    match count {
        0 => Ok(()),
        1 => Err(Failure::failed("one thing should be changed")),
        many => Err(Failure::failed(format!("{many} things should be changed"))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    #[serde(rename = "ok")]
    Well,
    Weak,
    Broken,
    /// Nothing shows it to us: the finding says how to look.
    Unseen,
}

#[derive(Serialize)]
struct Check {
    what: &'static str,
    state: State,
    finding: String,
}

impl Check {
    fn well(what: &'static str, finding: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Well,
            finding: finding.into(),
        }
    }

    fn weak(what: &'static str, finding: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Weak,
            finding: finding.into(),
        }
    }

    fn broken(what: &'static str, finding: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Broken,
            finding: finding.into(),
        }
    }

    fn unseen(what: &'static str, finding: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Unseen,
            finding: finding.into(),
        }
    }

    fn line(&self) -> String {
        let mark = match self.state {
            State::Well => "ok    ".green().to_string(),
            State::Weak => "weak  ".yellow().to_string(),
            State::Broken => "broken".red().to_string(),
            State::Unseen => "unseen".cyan().to_string(),
        };
        format!(
            "{mark}  {:<12}  {}",
            self.what,
            behind(HEAD_WIDTH, &self.finding)
        )
    }
}

/// Every check that can be made; an error when broker or store could not be reached at all.
async fn examine(session: &Session, checks: &mut Vec<Check>) -> Outcome {
    let config = match session.try_config(&[]) {
        Ok(config) => config,
        Err(error) => {
            checks.extend(
                error
                    .faults
                    .iter()
                    .map(|fault| Check::broken("config", fault.to_string())),
            );
            return Ok(());
        }
    };
    check_config(&config, checks);
    check_broker(&config, checks).await;
    check_topology(&config, checks).await;
    // Each on its own: while one is away, the other's state is worth the more.
    let parts = Parts::open(&config).await;
    let mut is_unreachable = false;
    for (part, error) in parts.faults {
        let failure = Failure::from(error);
        is_unreachable |= failure.exit() == Exit::Unreachable;
        let what = match part {
            Part::Directory => "data dir",
            Part::Broker => "broker",
            Part::Store => "store",
            Part::Keys => "keys",
        };
        let report = failure.report();
        checks.push(Check::broken(what, report.trim_start_matches("error: ")));
    }
    if let Some((store, health)) = &parts.store {
        check_store(&config, health, checks);
        check_dead_letters(&config, &**store, checks).await;
        check_webhooks(&config, &**store, parts.keys.as_ref(), checks).await;
    }
    if let Some(queue) = &parts.queue {
        check_queue(&config, &**queue, checks).await;
        queue.close().await;
    }
    if is_unreachable {
        let said = "broker or store could not be reached";
        return Err(Failure::new(Exit::Unreachable, said));
    }
    Ok(())
}

fn check_config(config: &Config, checks: &mut Vec<Check>) {
    let file = config.file.as_ref();
    checks.push(Check::well(
        "config",
        file.map_or("no file, the default applies".to_owned(), |file| {
            file.display().to_string()
        }),
    ));
    let used = config
        .projects
        .values()
        .filter_map(|project| config.profiles.get(&project.profile));
    let limits = used.flat_map(|profile| {
        [DestinationKind::Webhook, DestinationKind::Callback]
            .map(|kind| profile.rules(kind).time_limit)
    });
    let longest = limits.max().unwrap_or_default();
    if config.deliver.shutdown_grace < longest {
        checks.push(Check::weak(
            "grace",
            format!(
                "`deliver.shutdown_grace` ({}) is shorter than an attempt may take ({}): stopping may cut attempts off, which are then sent twice",
                show_duration(config.deliver.shutdown_grace),
                show_duration(longest)
            ),
        ));
    }
    check_lease(config, longest, checks);
    let is_of_one_machine =
        matches!(config.broker, Broker::Embedded) && matches!(config.store, StoreAt::Embedded);
    checks.extend(judge_networks(
        &config.http.allow_networks,
        is_of_one_machine,
    ));
    if config.secrets.allow_plain_callback_secrets {
        checks.push(Check::weak(
            "secrets",
            "`secrets.allow_plain_callback_secrets` lets secrets into the broker unsealed",
        ));
    }
}

/// What is opened is open to every URL that is registered. One port of one address is what a receiver needs; all of this machine is
/// what somebody needs who tries things out on it, with queue and store embedded.
fn judge_networks(opened: &[AllowedNetwork], is_of_one_machine: bool) -> Option<Check> {
    const NAME: &str = "networks";
    let in_words = |networks: &[&AllowedNetwork]| {
        let words: Vec<_> = networks.iter().map(ToString::to_string).collect();
        words.join(", ")
    };
    let is_fine = |network: &&AllowedNetwork| {
        network.is_one_port() || is_of_one_machine && network.is_loopback()
    };
    let (fine, wide): (Vec<_>, Vec<_>) = opened.iter().partition(is_fine);
    if !wide.is_empty() {
        return Some(Check::weak(
            NAME,
            format!(
                "`http.allow_networks` opens {}: every URL that a customer registers can reach what is there. Name the receivers' \
                 addresses and ports, such as \"10.20.0.7/32:443\", or leave it out",
                in_words(&wide)
            ),
        ));
    }
    (!fine.is_empty()).then(|| {
        Check::well(
            NAME,
            format!(
                "`http.allow_networks` opens {}: leave it out where others register URLs and have no receiver there",
                in_words(&fine)
            ),
        )
    })
}

/// A claim outlasts its request by the margin; a request that does not begin within it is put off.
fn check_lease(config: &Config, longest: Duration, checks: &mut Vec<Check>) {
    let margin = config.deliver.lease_margin;
    let held = show_duration(longest + margin);
    let longest_shown = show_duration(longest);
    checks.push(if margin < LEASE_MARGIN_MIN {
        Check::weak(
            "lease",
            format!(
                "`deliver.lease_margin` ({}) is short: on a busy worker requests do not begin within it and are put off again and \
                 again; {} or more is better",
                show_duration(margin),
                show_duration(LEASE_MARGIN_MIN)
            ),
        )
    } else {
        Check::well(
            "lease",
            format!("an attempt may take {longest_shown}, its claim is held {held}"),
        )
    });
    let connect = config.http.connect_timeout;
    if connect >= longest && longest > Duration::ZERO {
        checks.push(Check::weak(
            "lease",
            format!(
                "`http.connect_timeout` ({}) is not shorter than an attempt may take ({longest_shown}): connecting alone uses it up",
                show_duration(connect)
            ),
        ));
    }
}

/// What can be told of the broker without logging in, and what cannot be told at all.
async fn check_broker(config: &Config, checks: &mut Vec<Check>) {
    let Broker::RabbitMq { urls, .. } = &config.broker else {
        return;
    };
    let rabbit = config.rabbit_config();
    checks.extend(urls.exposures().iter().map(judge_exposure));
    if rabbit.delivery_limit < DELIVERY_LIMIT_MIN {
        checks.push(Check::weak(
            "parking",
            format!(
                "the delivery limit is {}: every stop of a worker counts, so a rollout may park messages in good health; {DELIVERY_LIMIT_MIN} \
                 or more is better, and needs new queues",
                rabbit.delivery_limit
            ),
        ));
    }
    // Where that fails, or nobody is there, opening it says why.
    let Ok(greeted) = greetings(urls, &rabbit).await else {
        return;
    };
    if greeted.iter().all(|(_, said)| said.is_err()) {
        return;
    }
    let nodes = greeted.len();
    for (address, said) in greeted {
        checks.push(match said {
            Ok(greeting) => judge_version(address, &greeting, nodes),
            Err(error) => Check::broken("version", format!("{address} does not greet us: {error}")),
        });
    }
    checks.push(Check::unseen(
        "dead letters",
        "AMQP does not show how the broker passes delayed retries on. On every node,\n\
         `rabbitmqctl eval 'application:get_env(rabbit, dead_letter_worker_publisher_confirm_timeout).'`\n\
         should print {ok,5000}, not {ok,180000}: set it in advanced.config, or retries wait three minutes after a node was lost;\n\
         and `rabbitmqctl list_feature_flags` should show `stream_queue` enabled, without which they may be lost",
    ));
    let (prefix, vhost) = (rabbit.prefix.as_str(), urls.vhost());
    checks.push(Check::unseen(
        "policies",
        format!(
            "AMQP does not show policies, which may shorten what our queues' arguments say or bound what these leave open:\n\
             `rabbitmqctl list_policies -p {vhost}` and `rabbitmqctl list_operator_policies -p {vhost}`\n\
             should show nothing for queues that begin with `{prefix}.` that sets message-ttl, expires, max-length, max-in-memory-length\n\
             or delivery-limit; of max-length-bytes only what deploy/rabbitmq/definitions.json sets for {prefix}.events. Else messages\n\
             are dropped, are parked or come early: `rabbitmqctl clear_policy -p {vhost} NAME`"
        ),
    ));
}

fn judge_exposure(exposure: &Exposure) -> Check {
    match exposure {
        Exposure::Guest { .. } => Check::broken(
            "user",
            format!(
                "{exposure}: `rabbitmqctl add_user`, `set_permissions`, then `delete_user guest`"
            ),
        ),
        Exposure::PlainText { .. } => Check::weak(
            "encryption",
            format!(
                "{exposure}; use amqps:// (and `rabbitmq.ca_file` for an authority of your own)"
            ),
        ),
    }
}

fn judge_version(address: &str, greeting: &Greeting, nodes: usize) -> Check {
    let Greeting { product, version } = greeting;
    let shown = format!("{product} {version} at {address}");
    if product != "RabbitMQ" {
        return Check::weak(
            "version",
            format!(
                "{shown}: queues, delays and dead-lettering are those of RabbitMQ, and tested with nothing else"
            ),
        );
    }
    let mut numbers = version.split(['.', '-', '+']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(3)), Some(Ok(10..))) if nodes > 1 => Check::weak(
            "version",
            format!(
                "{shown}: in a cluster of this release, retries may stand still from the loss of a node to its return; upgrade to 4.x"
            ),
        ),
        (Some(Ok(3)), Some(Ok(10..))) | (Some(Ok(4)), _) => Check::well("version", shown),
        (Some(Ok(0..=3)), _) => Check::broken(
            "version",
            format!("{shown}: before 3.10 delayed retries get lost; upgrade to 3.10 or later"),
        ),
        _ => Check::weak(
            "version",
            format!("{shown}: tested are RabbitMQ 3.10 to 4.x"),
        ),
    }
}

async fn check_topology(config: &Config, checks: &mut Vec<Check>) {
    let Broker::RabbitMq { urls, .. } = &config.broker else {
        return;
    };
    let quiet = RabbitConfig {
        declare: false,
        ..config.rabbit_config()
    };
    let Ok(queue) = RabbitQueue::connect(urls.clone(), quiet, Scope::Whole).await else {
        // Opening it says why.
        return;
    };
    match queue.check_topology().await {
        Ok(drifts) if drifts.is_empty() => checks.push(Check::well("topology", "as it should be")),
        Ok(drifts) => {
            let (hidden, drifts): (Vec<_>, Vec<_>) = drifts
                .into_iter()
                .partition(|drift| matches!(drift.problem, Problem::Forbidden(_)));
            checks.extend(
                drifts
                    .iter()
                    .map(|drift| Check::broken("topology", format!("{drift}: {}", drift.advice()))),
            );
            if !hidden.is_empty() {
                checks.push(Check::unseen(
                    "topology",
                    "this user may not make queues and so not compare those that are there: run `ringback topology check` as one who may",
                ));
            }
        }
        Err(error) => checks.push(Check::broken("topology", error.to_string())),
    }
    queue.close().await;
}

fn check_store(config: &Config, health: &StoreHealth, checks: &mut Vec<Check>) {
    checks.push(Check::well(
        "store",
        format!("{}, {}", config.store.describe(), health.product),
    ));
    checks.extend(
        health
            .findings
            .iter()
            .map(|finding| Check::weak("store", finding.clone())),
    );
    if let StoreAt::Redis(url) = &config.store
        && !url.is_encrypted()
        && !url.is_loopback()
    {
        checks.push(Check::weak(
            "encryption",
            format!(
                "the store at {url} is spoken to in plain text: the password and all records can be read on the way; use rediss:// \
                 (and `redis.ca_file` for an authority of your own)"
            ),
        ));
    }
    if let Some(skew) = health
        .clock_skew_ms
        .filter(|skew| skew.abs() > CLOCK_SKEW_MS_MAX)
    {
        checks.push(Check::weak("clock", format!("the store's clock is {skew} ms off ours: set both by NTP, or leases end early and timestamps are refused")));
    }
}

async fn check_dead_letters(config: &Config, store: &dyn Store, checks: &mut Vec<Check>) {
    const NAME: &str = "dead letters";
    let budget = DeadLetterBudget {
        entries_max: config.dead_letters.entries_max,
        bytes_max: config.dead_letters.bytes_max,
    };
    let counted = async {
        let open = store.dead_letter_count(None).await?;
        let usage = store.dead_letter_usage().await?;
        Ok::<_, StoreError>((usage, open))
    };
    checks.push(match counted.await {
        Ok((usage, open)) => {
            let kept = kept_words(open, usage);
            match budget.judge(usage) {
                BudgetState::Roomy => Check::well(NAME, kept),
                BudgetState::Near | BudgetState::Over => Check::weak(
                    NAME,
                    format!(
                        "{kept}; `dead_letters.entries_max` is {} and `bytes_max` {}: replay or discard them; none is dropped to make room",
                        budget.entries_max, budget.bytes_max
                    ),
                ),
            }
        }
        Err(error) => Check::broken(NAME, error.to_string()),
    });
}

/// The two are counted one after the other, and some may be forgotten in between: no more are open than are kept.
fn kept_words(open: u64, usage: DeadLetterUsage) -> String {
    let DeadLetterUsage { entry_count, bytes } = usage;
    let open = open.min(entry_count);
    format!("{open} open, {entry_count} kept, {bytes} bytes")
}

async fn check_webhooks(
    config: &Config,
    store: &dyn Store,
    keys: Option<&KeyRing>,
    checks: &mut Vec<Check>,
) {
    let (mut all, mut damaged) = (Vec::new(), Vec::new());
    for project in config.projects.keys() {
        match store.webhooks(project).await {
            Ok(webhooks) => {
                all.extend(webhooks.entries);
                damaged.extend(webhooks.damaged);
            }
            Err(error) => return checks.push(Check::broken("webhooks", error.to_string())),
        }
    }
    // Neither sent to nor forgotten.
    checks.extend(damaged.into_iter().map(|DamagedRecord { id, why }| {
        Check::broken(
            "webhooks",
            format!(
                "{id} cannot be read: {why}\n\
                 what is under way to it waits, and each event of its project becomes a dead letter for it; where it is of a later\n\
                 release, start that everywhere, else `ringback webhooks remove {id}` and register it anew"
            ),
        )
    }));
    if let Some(keys) = keys {
        checks.push(judge_secrets(&all, keys));
    }
    checks.extend(judge_profiles(config, &all));
}

/// A delivery to a webhook whose secret does not open is given up without an attempt.
fn judge_secrets(webhooks: &[Webhook], keys: &KeyRing) -> Check {
    const NAME: &str = "secrets";
    let count = webhooks.len();
    let now = SystemClock.now();
    let mut shut = webhooks
        .iter()
        .filter_map(|webhook| Some((&webhook.id, check_sealed(webhook, keys, now).err()?)));
    let Some((id, why)) = shut.next() else {
        return Check::well(
            NAME,
            format!("the keys at hand open those of all webhooks: {count}"),
        );
    };
    Check::broken(
        NAME,
        format!(
            "the keys at hand do not open those of {} of {count} webhooks, and what is for them becomes dead letters\n\
             `secret_unreadable`; of {id}: {why}",
            1 + shut.count()
        ),
    )
}

/// What is for a webhook whose profile is not there becomes a dead letter of each event.
fn judge_profiles(config: &Config, webhooks: &[Webhook]) -> Option<Check> {
    let mut without = webhooks.iter().filter_map(|webhook| {
        let name = webhook.profile.as_ref()?;
        (!config.profiles.contains_key(name)).then_some((&webhook.id, name))
    });
    let (id, name) = without.next()?;
    Some(Check::broken(
        "profiles",
        format!(
            "the profiles of {} of {} webhooks are not configured, and events for them become dead letters `malformed`;\n\
             of {id}: `{name}`",
            1 + without.count(),
            webhooks.len()
        ),
    ))
}

async fn check_queue(config: &Config, queue: &dyn Queue, checks: &mut Vec<Check>) {
    if let Err(error) = queue.ping().await {
        checks.push(Check::broken("broker", error.to_string()));
        return;
    }
    checks.push(Check::well("broker", config.broker.describe()));
    let depths = match queue.depths().await {
        Ok(depths) => depths,
        Err(error) => {
            checks.push(Check::broken("queues", error.to_string()));
            return;
        }
    };
    for depth in depths {
        let name = depth.queue.as_str().replace('_', " ");
        let nobody = depth.consumers == Some(0) && depth.queue != QueueName::Delayed;
        if nobody && depth.waiting > 0 {
            checks.push(Check::weak(
                "queues",
                format!(
                    "{name}: {} waiting and nobody takes them; is `ringback serve` running?",
                    depth.waiting
                ),
            ));
        } else {
            checks.push(Check::well(
                "queues",
                format!("{name}: {} waiting", depth.waiting),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_judged_by_what_they_keep() {
        let state = |version: &str, nodes| {
            let (product, version) = ("RabbitMQ".to_owned(), version.to_owned());
            judge_version("broker:5672", &Greeting { product, version }, nodes).state
        };
        for (version, nodes, expected) in [
            ("3.9.29", 1, State::Broken),
            ("3.10.8", 1, State::Well),
            ("3.10.8", 3, State::Weak),
            ("3.13.7", 1, State::Well),
            ("4.0.5", 3, State::Well),
            ("4.2.0-rc.1", 1, State::Well),
            ("5.0.0", 1, State::Weak),
            ("unknown", 1, State::Weak),
        ] {
            assert_eq!(state(version, nodes), expected, "{version} on {nodes}");
        }
    }

    #[test]
    fn networks_are_judged_by_what_they_open_and_where() {
        let judged = |networks: &[&str], is_of_one_machine| {
            let opened: Vec<AllowedNetwork> =
                networks.iter().map(|text| text.parse().unwrap()).collect();
            judge_networks(&opened, is_of_one_machine).map(|check| (check.state, check.finding))
        };
        assert!(judged(&[], false).is_none());
        for (networks, is_of_one_machine, expected) in [
            (&["127.0.0.1/32"][..], true, State::Well),
            (&["127.0.0.1/32"], false, State::Weak),
            (&["127.0.0.1/32:9000", "10.20.0.7:443"], false, State::Well),
            (&["10.20.0.0/16"], true, State::Weak),
        ] {
            let (state, finding) = judged(networks, is_of_one_machine).unwrap();
            assert_eq!(state, expected, "{networks:?}: {finding}");
            assert!(finding.contains(networks[0]), "{finding}");
        }
        let (_, mixed) = judged(&["127.0.0.1:9000", "10.20.0.0/16"], false).unwrap();
        assert!(mixed.contains("opens 10.20.0.0/16:"), "{mixed}");
        assert!(mixed.contains("Name the receivers'"), "{mixed}");
    }

    #[test]
    fn no_more_are_open_than_are_kept() {
        let usage = DeadLetterUsage {
            entry_count: 74,
            bytes: 9,
        };
        assert_eq!(kept_words(75, usage), "74 open, 74 kept, 9 bytes");
    }

    #[test]
    fn a_known_password_is_worse_than_plain_text() {
        let urls: ringback_queue_rabbitmq::BrokerUrls = "amqp://far".parse().unwrap();
        let states: Vec<_> = urls
            .exposures()
            .iter()
            .map(|exposure| judge_exposure(exposure).state)
            .collect();
        assert_eq!(states, [State::Broken, State::Weak]);
    }
}

//! `ringback webhooks check`: whether a receiver suits what it will be sent.
//!
//! Everything goes through the sender that deliveries go through, under the same address policy. [`judge`] says what was
//! seen means.

mod judge;
mod show;

use super::webhooks::{read_secret, webhooks_of};
use crate::{
    args::WebhookCheckArgs,
    failure::{Exit, Failure, Outcome},
    session::Session,
};
use bytes::Bytes;
use judge::{Encryption, Negative, Observations, Probe, Signing, Verdict};
use ringback_delivery::{
    Route, build_request, judge as outcome_of,
    port::{Clock, Entropy, Request},
};
use ringback_domain::{
    AttemptOutcome, Delivery, EventFilter, ProfileName, ProjectName, Timestamp, Webhook, WebhookId,
    WebhookState, limits::BODY_BYTES_WARN,
};
use ringback_profile::{DestinationKind, Profile};
use ringback_sender_http::{HandshakeFailure, HttpSender, Observed};
use ringback_signing::{KeyRing, Secret};
use ringback_worker::{SystemClock, SystemEntropy, config::Config, webhooks::test_delivery};
use show::{ReportView, lines};
use std::{sync::Arc, time::Duration};

/// How old the timestamp is that a receiver must refuse: far more than any of them allows.
const STALE: Duration = Duration::from_hours(1);

pub(crate) async fn run(session: &Session, config: &Config, args: WebhookCheckArgs) -> Outcome {
    match args.receiver.parse::<WebhookId>() {
        Ok(id) if args.receiver.starts_with("whk_") => registered(session, config, args, id).await,
        _ => unregistered(session, config, args).await,
    }
}

/// A webhook as it is registered, with its own secret and headers.
async fn registered(
    session: &Session,
    config: &Config,
    args: WebhookCheckArgs,
    id: WebhookId,
) -> Outcome {
    if args.profile.is_some() || args.secret_file.is_some() {
        return Err(Failure::usage(
            "a webhook has a profile and a secret of its own: leave --profile and --secret-file out",
        ));
    }
    let desk = session.desk_of(config).await?;
    let webhooks = webhooks_of(config, &desk);
    let found = webhooks.get(&id).await;
    let keys = desk.keys.clone();
    desk.close().await;
    let webhook = found?;
    let (name, profile) = webhooks.profile_of(&webhook)?;
    let signing = match profile.signature(DestinationKind::Webhook) {
        Some(_) => Signing::Real,
        None => Signing::Unsigned,
    };
    let way = Way::Registered(keys);
    check(
        session,
        config,
        &args,
        Receiver {
            webhook,
            name,
            profile,
            signing,
            way,
        },
    )
    .await
}

/// A URL that nobody has registered yet.
async fn unregistered(session: &Session, config: &Config, args: WebhookCheckArgs) -> Outcome {
    session.log_quietly()?;
    let book = config.profile_book();
    let project: ProjectName = "default".parse().expect("a name");
    let (name, profile) = if let Some(name) = &args.profile {
        (name.clone(), book.profile(name))
    } else {
        let own = book.of_project(&project).map_err(|_| {
            Failure::usage("there is no project `default` whose profile could be taken")
                .hint("--profile NAME")
        });
        let (name, profile) = own?;
        (name.clone(), Some(profile))
    };
    let profile = profile.cloned().ok_or_else(|| {
        Failure::not_found(format!("there is no profile `{name}`"))
            .hint("`ringback profiles list` shows all")
    })?;
    let url = config
        .http
        .url_policy()
        .parse(&args.receiver)
        .map_err(|fault| Failure::refused("the URL is not accepted").because(fault))?;
    let secret = args.secret_file.as_deref().map(read_secret).transpose()?;
    let scheme = profile.signature(DestinationKind::Webhook);
    let (signing, secret) = match (scheme, secret) {
        (None, None) => (Signing::Unsigned, None),
        (None, Some(_)) => {
            return Err(Failure::usage(format!(
                "profile `{name}` does not sign webhooks, so there is no use for a secret"
            )));
        }
        (Some(scheme), Some(secret)) => {
            let checked = scheme.check_secret(&secret);
            checked.map_err(|refused| Failure::of(Exit::Usage, &refused))?;
            (Signing::Real, Some(secret))
        }
        (Some(scheme), None) => (Signing::MadeUp, Some(scheme.new_secret(&random()))),
    };
    let now = SystemClock.now();
    let webhook = Webhook {
        id: WebhookId::from_random(random()),
        project,
        url,
        events: EventFilter::All,
        profile: Some(name.clone()),
        secrets: Vec::new(),
        headers: Vec::new(),
        description: None,
        rate_limit: None,
        state: WebhookState::Enabled,
        created_at: now,
        updated_at: now,
        revision: 1,
    };
    let way = Way::Unregistered(secret);
    check(
        session,
        config,
        &args,
        Receiver {
            webhook,
            name,
            profile,
            signing,
            way,
        },
    )
    .await
}

async fn check(
    session: &Session,
    config: &Config,
    args: &WebhookCheckArgs,
    receiver: Receiver,
) -> Outcome {
    let http = config
        .http_config()
        .map_err(|failure| Failure::usage("could not read `http.ca_file`").because(failure))?;
    let sender = HttpSender::try_new(&http).map_err(|error| Failure::of(Exit::Usage, &error))?;
    let seen = observe(&sender, &receiver, args.negative).await?;
    let is_forbidden = matches!(seen.first.outcome, AttemptOutcome::NotSent(_));
    let findings = judge::judge(&seen);
    let problems = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Problem);
    let problems = problems.count();
    let view = ReportView {
        receiver: receiver.webhook.display_url(),
        profile: receiver.name.to_string(),
        findings,
    };
    session.terminal.data(&view, lines)?;
    match problems {
        0 => Ok(()),
        _ if is_forbidden => Err(Failure::refused("the receiver may not be sent to")),
        1 => Err(Failure::failed(
            "one thing keeps deliveries from being right",
        )),
        many => Err(Failure::failed(format!(
            "{many} things keep deliveries from being right"
        ))),
    }
}

struct Receiver {
    webhook: Webhook,
    name: ProfileName,
    profile: Arc<Profile>,
    signing: Signing,
    way: Way,
}

/// Where secrets come from.
enum Way {
    Registered(Arc<KeyRing>),
    Unregistered(Option<Secret>),
}

/// Sends what there is to send, each thing only where its answer would mean something.
async fn observe(
    sender: &HttpSender,
    receiver: &Receiver,
    negative: bool,
) -> Outcome<Observations> {
    let encryption = match sender.look_at_handshake(&receiver.webhook.url).await {
        Ok(handshake) => Encryption::Seen(handshake),
        Err(HandshakeFailure::NotTls) => Encryption::None,
        Err(why) => Encryption::Unseen(why.to_string()),
    };
    let event = receiver.event()?;
    let first = receiver
        .probe(sender, receiver.signed(&event, SystemClock.now())?)
        .await;
    let is_accepted = matches!(first.outcome, AttemptOutcome::Accepted { .. });
    let mut large = None;
    if is_accepted {
        let mut event = receiver.event()?;
        event.body = padded(&event.body);
        large = Some(
            receiver
                .probe(sender, receiver.signed(&event, SystemClock.now())?)
                .await,
        );
    }
    let mut again = None;
    if let Some(large) = &large
        && !negative
        && !first.closes
        && !large.used_an_open_connection()
    {
        let repeated = receiver.signed(&event, SystemClock.now())?;
        again = Some(receiver.probe(sender, repeated).await);
    }
    let mut refusals = negative.then(Negative::default);
    if let Some(refusals) = refusals
        .as_mut()
        .filter(|_| is_accepted && receiver.signing == Signing::Real)
    {
        receiver.send_negative(sender, &event, refusals).await?;
    }
    Ok(Observations {
        rules: receiver.profile.rules(DestinationKind::Webhook).clone(),
        now: SystemClock.now(),
        encryption,
        signing: receiver.signing,
        first,
        large,
        again,
        negative: refusals,
    })
}

impl Receiver {
    /// A new test event on its way.
    fn event(&self) -> Outcome<Delivery> {
        let name = self.name.clone();
        Ok(test_delivery(
            &self.webhook,
            name,
            &self.profile,
            random(),
            SystemClock.now(),
        )?)
    }

    /// Its request, as of this moment.
    fn signed(&self, event: &Delivery, at: Timestamp) -> Outcome<Request> {
        let route = match &self.way {
            Way::Registered(keys) => Route::open(
                event,
                Some(&self.webhook),
                &self.profile,
                keys,
                SystemClock.now(),
            ),
            Way::Unregistered(secret) => Ok(Route::unregistered(
                &self.webhook.url,
                secret.iter().cloned().collect(),
            )),
        };
        let built = route.and_then(|route| build_request(event, &self.profile, &route, at));
        built.map_err(|reason| {
            let reason = AttemptOutcome::NotSent(reason);
            Failure::failed(format!("no request could be made: {reason}"))
        })
    }

    async fn probe(&self, sender: &HttpSender, request: Request) -> Probe {
        let Observed {
            exchange,
            location,
            closes,
        } = sender.observe(request).await;
        let rules = self.profile.rules(DestinationKind::Webhook);
        Probe {
            outcome: outcome_of(&exchange, rules, SystemClock.now()),
            phases: exchange.phases,
            address: exchange.address,
            cut_off: exchange.cut_off,
            location,
            closes,
        }
    }

    /// What a receiver must refuse, each with an event of its own; and then the first event once more.
    async fn send_negative(
        &self,
        sender: &HttpSender,
        first: &Delivery,
        refusals: &mut Negative,
    ) -> Outcome {
        let Some(scheme) = self.profile.signature(DestinationKind::Webhook) else {
            return Ok(());
        };
        let is_signature = |name: &str| name.eq_ignore_ascii_case(scheme.header());
        let now = SystemClock.now();

        let mut forged = self.signed(&self.event()?, now)?;
        for (name, value) in &mut forged.headers {
            if is_signature(name) {
                *value = altered(value);
            }
        }
        refusals.forged = Some(self.probe(sender, forged).await);

        let mut unsigned = self.signed(&self.event()?, now)?;
        unsigned.headers.retain(|(name, _)| !is_signature(name));
        refusals.unsigned = Some(self.probe(sender, unsigned).await);

        if scheme.signed().has_timestamp() {
            let stale = self.signed(&self.event()?, now.checked_sub(STALE).unwrap_or(now))?;
            refusals.stale = Some(self.probe(sender, stale).await);
        }
        let repeated = self.signed(first, SystemClock.now())?;
        refusals.repeated = Some(self.probe(sender, repeated).await);
        Ok(())
    }
}

/// A signature of the right form that is wrong: one of its characters is another.
fn altered(value: &str) -> String {
    /// Well within the digest, which stands at the end: the last characters of base64 are padding.
    const FROM_END: usize = 10;
    let at = value.len().saturating_sub(FROM_END);
    let replace = |(index, c): (usize, char)| match c {
        '0' if index == at => '1',
        _ if index == at => '0',
        c => c,
    };
    value.char_indices().map(replace).collect()
}

/// The body with one more member, so long that together they have [`BODY_BYTES_WARN`] bytes.
fn padded(body: &Bytes) -> Bytes {
    const MEMBER: &str = r#","padding":""#;
    const END: &str = r#""}"#;
    let Some(open) = body.strip_suffix(b"}") else {
        return body.clone();
    };
    let room = BODY_BYTES_WARN.saturating_sub(open.len() + MEMBER.len() + END.len());
    let padding = vec![b'x'; room];
    [open, MEMBER.as_bytes(), &padding, END.as_bytes()]
        .concat()
        .into()
}

fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut random = [0; BYTES];
    SystemEntropy.fill(&mut random);
    random
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_body_is_json_of_the_length_that_receivers_stop_at() {
        let padded = padded(&Bytes::from_static(br#"{"id":"evt_1"}"#));
        assert_eq!(padded.len(), BODY_BYTES_WARN);
        let read: serde_json::Value = serde_json::from_slice(&padded).unwrap();
        assert_eq!(read["id"], "evt_1");
    }

    #[test]
    fn an_altered_signature_keeps_its_form() {
        for value in [
            "sha256=00112233445566778899aabbccddeeff",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ] {
            let altered = altered(value);
            assert_eq!(altered.len(), value.len());
            let differing = altered.chars().zip(value.chars()).filter(|(a, b)| a != b);
            assert_eq!(differing.count(), 1, "{altered}");
        }
    }
}

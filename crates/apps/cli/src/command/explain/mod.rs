//! `ringback explain-signature`: why a signature does not match, from what the receiver has in hand.

mod request;
mod show;

use crate::{
    args::ExplainArgs,
    failure::{Exit, Failure, Outcome},
    session::Session,
    verifier::carriers,
};
use jiff::Timestamp;
use request::{Request, read_bytes};
use ringback_delivery::port::Clock;
use ringback_profile::{DestinationKind, Profile};
use ringback_signing::{Evidence, NamedScheme, Secret, Verdict, explain, known_schemes};
use ringback_worker::{SystemClock, config::Config};
use show::{ExplanationView, Reference, paragraphs};
use std::path::Path;

pub(crate) fn run(session: &Session, args: &ExplainArgs) -> Outcome {
    let config = session.config()?;
    let secrets = secrets(&args.secret_file)?;
    let Request { headers, body } = request::read(args)?;
    let original = args.original.as_deref().map(read_bytes).transpose()?;
    let schemes = schemes(&config);
    let expected = expected(&config, args, &schemes, &headers)?;
    let now = SystemClock.now();
    let came_at = args.at.map(|moment| moment.resolve(now));
    let evidence = Evidence {
        headers: &headers,
        body: &body,
        original: original.as_deref(),
        computed: args.computed.as_deref(),
        received_at_seconds: came_at.map(Timestamp::as_second),
    };
    let explanation = explain(&expected, &schemes, &secrets, &evidence);
    // What our code computed is one question, whether the request is right another.
    let came = args.computed.as_ref().map(|_| {
        let computed = None;
        let evidence = Evidence {
            computed,
            ..evidence
        };
        explain(&expected, &schemes, &secrets, &evidence).verdict
    });
    let is_right = matches!(explanation.verdict, Verdict::Right { .. });
    let is_unsigned = explanation.verdict == Verdict::Unsigned;
    let is_explained = matches!(explanation.verdict, Verdict::Explained { .. });
    let clock = came_at.map_or(Reference::Now(now), Reference::Arrival);
    let view = ExplanationView::of(&expected, secrets.len(), explanation, came.as_ref(), clock);
    session.terminal.data(&view, paragraphs)?;
    if is_right {
        return Ok(());
    }
    if is_unsigned {
        return Err(Failure::failed("there is no signature"));
    }
    let failure = Failure::failed("the signature does not match");
    Err(
        match (
            is_explained,
            args.original.is_some(),
            args.computed.is_some(),
        ) {
            (true, ..) => Failure::failed("the signature is not what the receiver expects"),
            (false, false, _) => {
                failure.hint("--original FILE, the body as it was sent, shows what was changed")
            }
            (false, true, false) => {
                failure.hint("--computed SIGNATURE, what your code computed, shows what it did")
            }
            (false, true, true) => {
                failure.hint("compare the secret with the one that was shown when it was made")
            }
        },
    )
}

/// Each line is a secret. Blanks stay: they may be the mistake.
fn secrets(file: &Path) -> Outcome<Vec<Secret>> {
    let bytes = read_bytes(file)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Failure::usage(format!("the secrets in `{}` are not UTF-8", file.display()))
    })?;
    let lines = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .filter(|line| !line.is_empty());
    let secrets: Result<Vec<_>, _> = lines.map(Secret::try_new).collect();
    let secrets = secrets.map_err(|refused| Failure::of(Exit::Usage, &refused))?;
    if secrets.is_empty() {
        return Err(Failure::usage(format!(
            "there is no secret in `{}`",
            file.display()
        )));
    }
    Ok(secrets)
}

/// Every scheme at hand: those of the profiles, then those of platforms that many people know.
fn schemes(config: &Config) -> Vec<NamedScheme> {
    let kinds = [DestinationKind::Webhook, DestinationKind::Callback];
    let profiles = config.profiles.values();
    let own = profiles.flat_map(|profile| kinds.map(|kind| named(profile, kind)));
    own.flatten().chain(known_schemes()).collect()
}

fn named(profile: &Profile, kind: DestinationKind) -> Option<NamedScheme> {
    let (id_header, timestamp_header) = carriers(profile, kind);
    Some(NamedScheme {
        name: format!("{kind}s of profile `{}`", profile.name()),
        scheme: profile.signature(kind)?.clone(),
        id_header,
        timestamp_header,
    })
}

/// The scheme that was asked for, or the first whose header came.
fn expected(
    config: &Config,
    args: &ExplainArgs,
    schemes: &[NamedScheme],
    headers: &[(String, String)],
) -> Outcome<NamedScheme> {
    let Some(name) = &args.profile else {
        let came = |scheme: &&NamedScheme| {
            let header = scheme.scheme.header();
            headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(header))
        };
        let found = schemes.iter().find(came).cloned();
        return found.ok_or_else(|| {
            Failure::usage("none of the headers is one that a profile signs with").hint(
                "--profile NAME says what the receiver expects; `ringback profiles list` shows all",
            )
        });
    };
    let profile = config.profiles.get(name).ok_or_else(|| {
        Failure::not_found(format!("there is no profile `{name}`"))
            .hint("`ringback profiles list` shows all")
    })?;
    let (asked, other) = if args.callback {
        (DestinationKind::Callback, DestinationKind::Webhook)
    } else {
        (DestinationKind::Webhook, DestinationKind::Callback)
    };
    named(profile, asked).ok_or_else(|| {
        let unsigned = Failure::usage(format!("profile `{name}` does not sign {asked}s"));
        match (profile.signature(other), args.callback) {
            (Some(_), false) => unsigned.hint("it signs callbacks: --callback"),
            (Some(_), true) => unsigned.hint("it signs webhooks: leave --callback out"),
            (None, _) => unsigned,
        }
    })
}

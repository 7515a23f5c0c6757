//! What was seen of a receiver, and what it means for deliveries. Decides only; sends nothing.

use crate::view::took;
use jiff::Timestamp;
use ringback_domain::{
    AttemptOutcome, DeliveryRules, NotSentReason, Phases, UnreachableCause, limits::BODY_BYTES_WARN,
};
use ringback_sender_http::Handshake;
use serde::Serialize;
use std::{net::SocketAddr, time::Duration};

/// A certificate that ends sooner is worth a word: renewals that work happen 30 days before.
const CERTIFICATE_DAYS_MIN: i64 = 14;
/// The part of the time limit that an answer to a small event may take.
const TIME_LIMIT_PART: u32 = 4;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Everything that was tried, and what came of it. What was not tried is absent.
pub(super) struct Observations {
    pub(super) rules: DeliveryRules,
    pub(super) now: Timestamp,
    pub(super) encryption: Encryption,
    pub(super) signing: Signing,
    /// A signed test event.
    pub(super) first: Probe,
    /// One of [`BODY_BYTES_WARN`] bytes.
    pub(super) large: Option<Probe>,
    /// The first once more, when nothing went over its connection so far.
    pub(super) again: Option<Probe>,
    /// What a receiver must refuse; absent when it was not asked for.
    pub(super) negative: Option<Negative>,
}

pub(super) enum Encryption {
    /// `http`.
    None,
    /// What a handshake showed.
    Seen(Handshake),
    /// Why there was none.
    Unseen(String),
}

/// What the requests were signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signing {
    /// The profile does not sign.
    Unsigned,
    /// With a secret made up for this: the receiver cannot know it.
    MadeUp,
    /// With the receiver's secret.
    Real,
}

#[derive(Default)]
pub(super) struct Negative {
    pub(super) forged: Option<Probe>,
    pub(super) unsigned: Option<Probe>,
    /// Signed an hour ago.
    pub(super) stale: Option<Probe>,
    /// The first once more, signed anew.
    pub(super) repeated: Option<Probe>,
}

/// A request, and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) outcome: AttemptOutcome,
    pub(super) phases: Phases,
    pub(super) address: Option<SocketAddr>,
    /// The status of an answer of which the rest did not come.
    pub(super) cut_off: Option<u16>,
    pub(super) location: Option<String>,
    pub(super) closes: bool,
}

impl Observations {
    /// What was sent after the first.
    fn later(&self) -> impl Iterator<Item = &Probe> {
        let negative = self
            .negative
            .iter()
            .flat_map(|sent| [&sent.forged, &sent.unsigned, &sent.stale, &sent.repeated]);
        [&self.large, &self.again]
            .into_iter()
            .chain(negative)
            .flatten()
    }
}

impl Probe {
    pub(super) fn used_an_open_connection(&self) -> bool {
        self.phases.connect.is_none() && self.phases.first_byte.is_some()
    }

    /// The outcome, and how far an answer came that was cut off.
    fn came_to(&self) -> String {
        let outcome = &self.outcome;
        self.cut_off.map_or_else(
            || outcome.to_string(),
            |status| format!("{outcome}, cut off after {status}"),
        )
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    /// What it is, and what it means for deliveries.
    pub(super) says: String,
    pub(super) to_do: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    NotTried,
    Ok,
    Warning,
    Problem,
}

impl Finding {
    fn new(name: &'static str, verdict: Verdict, says: impl Into<String>) -> Self {
        Self {
            name,
            verdict,
            says: says.into(),
            to_do: None,
        }
    }

    fn ok(name: &'static str, says: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, says)
    }

    fn warning(name: &'static str, says: impl Into<String>) -> Self {
        Self::new(name, Verdict::Warning, says)
    }

    fn problem(name: &'static str, says: impl Into<String>) -> Self {
        Self::new(name, Verdict::Problem, says)
    }

    fn not_tried(name: &'static str, says: impl Into<String>) -> Self {
        Self::new(name, Verdict::NotTried, says)
    }

    fn advised(mut self, what: impl Into<String>) -> Self {
        self.to_do = Some(what.into());
        self
    }
}

/// What the observations mean, one finding for each thing that is looked at.
pub(super) fn judge(seen: &Observations) -> Vec<Finding> {
    let mut findings = vec![
        reach(&seen.first),
        encryption(&seen.encryption, seen.now),
        answer(seen),
        content_type(&seen.first),
        time(&seen.first, &seen.rules),
        large(seen.large.as_ref()),
        connection(seen),
    ];
    findings.extend(negative(seen));
    findings
}

fn reach(first: &Probe) -> Finding {
    const NAME: &str = "reach";
    match &first.outcome {
        AttemptOutcome::NotSent(NotSentReason::AddressForbidden) => Finding::problem(
            NAME,
            "the address is not one that may be sent to: every delivery becomes a dead letter",
        )
        .advised("use a public address, or open its network with `http.allow_networks`"),
        AttemptOutcome::NotSent(_) | AttemptOutcome::Unknown => {
            Finding::problem(NAME, format!("not sent: {}", first.outcome))
        }
        AttemptOutcome::Unreachable(cause) => {
            let (says, to_do) = first
                .cut_off
                .map_or_else(|| unreachable(*cause), |status| cut_off(*cause, status));
            Finding::problem(
                NAME,
                format!("{says}: every delivery is retried, and then a dead letter"),
            )
            .advised(to_do)
        }
        AttemptOutcome::Accepted { .. } | AttemptOutcome::Refused { .. } => {
            let from = first.address.map(|address| format!(" from {address}"));
            Finding::ok(NAME, format!("an answer came{}", from.unwrap_or_default()))
        }
    }
}

fn unreachable(cause: UnreachableCause) -> (String, &'static str) {
    let (says, to_do) = match cause {
        UnreachableCause::NameLookup => (
            "the name has no address",
            "look at the name, and at the DNS",
        ),
        UnreachableCause::ConnectionRefused => {
            ("nothing listens there", "start it, or correct the port")
        }
        UnreachableCause::ConnectTimeout => (
            "no connection within the limit",
            "let the workers' addresses through the firewall",
        ),
        UnreachableCause::Tls => ("the TLS handshake failed", "see `tls` below"),
        UnreachableCause::TimeLimit => (
            "no answer within the time limit",
            "answer first, work afterwards",
        ),
        UnreachableCause::ConnectionLost => (
            "the connection ended before the answer",
            "look at the receiver's log: it may have crashed",
        ),
        UnreachableCause::NotHttp => (
            "what came back is not HTTP/1.1",
            "correct the port, or the proxy before it",
        ),
    };
    (says.to_owned(), to_do)
}

/// Of an answer that began, and did not come whole.
fn cut_off(cause: UnreachableCause, status: u16) -> (String, &'static str) {
    match cause {
        UnreachableCause::TimeLimit => (
            format!("{status}, but the rest of the answer did not come within the time limit"),
            "end the answer at once, work afterwards",
        ),
        UnreachableCause::NotHttp => (
            format!("{status}, but what followed is not HTTP/1.1"),
            "look at the body's length and chunks, and at the proxy before it",
        ),
        _ => (
            format!("{status}, but the connection ended within the answer"),
            "send as many bytes as `Content-Length` says, and look at the proxy before it",
        ),
    }
}

fn encryption(encryption: &Encryption, now: Timestamp) -> Finding {
    const NAME: &str = "tls";
    const RENEW: &str = "renew the certificate, and see that it is renewed by itself";
    let handshake = match encryption {
        Encryption::None => {
            return Finding::warning(
                NAME,
                "no encryption: whoever is on the way reads bodies and can replace them",
            )
            .advised("serve `https`");
        }
        Encryption::Unseen(why) => {
            return Finding::not_tried(NAME, format!("no handshake to look at: {why}"));
        }
        Encryption::Seen(handshake) => handshake,
    };
    let version = handshake.version;
    if let Some(fault) = &handshake.fault {
        return Finding::problem(NAME, format!("{version}, but {fault}: no delivery is sent"))
            .advised(
                "serve a certificate of a public authority for this name, with its intermediates",
            );
    }
    let Some(not_after) = handshake.not_after else {
        return Finding::ok(NAME, format!("{version}, a trusted certificate"));
    };
    let days = (not_after.as_second() - now.as_second()) / DAY_SECONDS;
    let until = not_after.strftime("%Y-%m-%d");
    let says = format!("{version}, certificate until {until} ({days} days)");
    if days < CERTIFICATE_DAYS_MIN {
        Finding::warning(NAME, format!("{says}: after that no delivery is sent")).advised(RENEW)
    } else {
        Finding::ok(NAME, says)
    }
}

fn answer(seen: &Observations) -> Finding {
    const NAME: &str = "answer";
    let success = &seen.rules.success;
    let status = match seen.first.outcome {
        AttemptOutcome::Accepted { status } if seen.signing == Signing::MadeUp => {
            return Finding::problem(
                NAME,
                format!("{status} to a signature it cannot know: it does not check, and takes events from anybody"),
            )
            .advised("verify the signature: docs/verifying.md has code; --secret-file tries the real secret");
        }
        AttemptOutcome::Accepted { status } => {
            return Finding::ok(NAME, format!("{status}: delivered"));
        }
        AttemptOutcome::Refused { status, .. } => status,
        _ => {
            let says = seen.first.cut_off.map_or_else(
                || "no answer came".to_owned(),
                |status| format!("{status}, but the answer was cut off, and counts as none"),
            );
            return Finding::not_tried(NAME, says);
        }
    };
    let refused = |says: &str| format!("{status}: {says}");
    match status {
        200..=299 => Finding::problem(
            NAME,
            refused(&format!(
                "this profile counts {success} as delivered, so each event is sent again although it arrived"
            )),
        )
        .advised(format!("answer {success}")),
        301 | 302 | 303 | 307 | 308 => redirect(status, seen.first.location.as_deref()),
        401 | 403 if seen.signing == Signing::MadeUp => Finding::not_tried(
            NAME,
            refused("it refuses a signature it cannot know, as it should"),
        )
        .advised("--secret-file FILE tries the secret that it has"),
        401 | 403 if seen.signing == Signing::Unsigned => Finding::problem(
            NAME,
            refused("it wants credentials, and this profile signs nothing"),
        )
        .advised("let unsigned requests in, or add a header to the webhook: `webhooks update --header`"),
        401 | 403 => Finding::problem(NAME, refused("it refuses a right signature: no event is taken"))
            .advised("save the request it got, and ask `ringback explain-signature`"),
        404 | 405 => Finding::problem(NAME, refused("nothing takes a POST at this path"))
            .advised("correct the path, or the route"),
        410 if seen.rules.gone_disables => {
            Finding::problem(NAME, refused("it wants no more: the first delivery disables the webhook"))
                .advised("answer 410 only for good")
        }
        413 => Finding::problem(NAME, refused("it refuses even a small body"))
            .advised("raise its limit for bodies to 256 KiB"),
        415 => Finding::problem(NAME, refused("it does not take `application/json`"))
            .advised("take `Content-Type: application/json`, without a charset"),
        429 => Finding::warning(NAME, refused("it takes fewer requests than it gets"))
            .advised("`webhooks update --rate-limit` sends fewer"),
        500..=599 if seen.signing == Signing::MadeUp => Finding::warning(
            NAME,
            refused("it may fail on a signature it cannot know, rather than refuse it"),
        )
        .advised("--secret-file FILE tries the secret that it has; answer 401 to a wrong signature"),
        500..=599 if seen.signing == Signing::Unsigned => Finding::problem(
            NAME,
            refused("it fails, perhaps for want of a signature, and this profile signs nothing here"),
        )
        .advised("let unsigned requests in, and look at the receiver's log"),
        500..=599 => Finding::problem(NAME, refused("it fails on a right event: each is retried, and then a dead letter"))
            .advised("look at the receiver's log"),
        _ => Finding::problem(
            NAME,
            refused(&format!("not delivered; this profile counts {success}")),
        )
        .advised(format!("answer {success}")),
    }
}

fn redirect(status: u16, location: Option<&str>) -> Finding {
    let says = match location {
        Some(location) => {
            format!("{status}: a redirect to `{location}`, and none is followed: no event is taken")
        }
        None => format!("{status}: a redirect, and none is followed: no event is taken"),
    };
    Finding::problem("answer", says)
        .advised("register the URL that it leads to; often only a slash or `https` is missing")
}

fn content_type(first: &Probe) -> Finding {
    const NAME: &str = "content type";
    match first.outcome {
        AttemptOutcome::Accepted { .. } => Finding::ok(NAME, "takes `application/json`"),
        AttemptOutcome::Refused { status: 415, .. } => {
            Finding::problem(NAME, "refuses `application/json`")
                .advised("take it, without a charset")
        }
        _ => Finding::not_tried(NAME, "the event was not accepted, so nothing shows"),
    }
}

fn time(first: &Probe, rules: &DeliveryRules) -> Finding {
    const NAME: &str = "time";
    let Some(first_byte) = first.phases.first_byte else {
        return Finding::not_tried(NAME, "no answer came");
    };
    let limit = rules.time_limit;
    let says = format!(
        "{} of {} allowed{}",
        took(first_byte),
        took(limit),
        phases(first.phases)
    );
    if first_byte > limit / TIME_LIMIT_PART {
        Finding::warning(
            NAME,
            format!("{says}: under load, deliveries will be cut off and sent again"),
        )
        .advised("answer first, work afterwards")
    } else {
        Finding::ok(NAME, says)
    }
}

fn phases(phases: Phases) -> String {
    let parts = [
        ("lookup", phases.dns),
        ("connect", phases.connect),
        ("handshake", phases.tls),
    ];
    let parts = parts
        .into_iter()
        .filter_map(|(name, spent)| Some(format!("{name} {}", took(spent?))));
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(" ({})", parts.join(", "))
    }
}

fn large(large: Option<&Probe>) -> Finding {
    const NAME: &str = "large body";
    const LIMIT: &str = "raise its limit for bodies to 256 KiB: `express.json({ limit: \"256kb\" })`, `client_max_body_size`";
    let size = format!("{} KiB", BODY_BYTES_WARN / 1024);
    let Some(large) = large else {
        return Finding::not_tried(NAME, "the small event was not accepted");
    };
    match large.outcome {
        AttemptOutcome::Accepted { .. } => Finding::ok(NAME, format!("takes {size}")),
        AttemptOutcome::Refused { status: 413, .. } => Finding::problem(
            NAME,
            format!("413 to {size}: events with much data become dead letters"),
        )
        .advised(LIMIT),
        _ => Finding::problem(
            NAME,
            format!("{size} were not accepted: {}", large.came_to()),
        )
        .advised(LIMIT),
    }
}

/// One later request over an open connection shows that they stay open. That one opened its own shows nothing yet: it may
/// have been there before the open one was ready for it.
fn connection(seen: &Observations) -> Finding {
    const NAME: &str = "connection";
    const KEEP: &str = "let connections stay open for some seconds";
    let first = &seen.first;
    let opening: Duration = [first.phases.connect, first.phases.tls]
        .into_iter()
        .flatten()
        .sum();
    let cost = || format!("each delivery opens one anew ({})", took(opening));
    if first.closes {
        return Finding::warning(NAME, format!("closed after each answer: {}", cost()))
            .advised(KEEP);
    }
    let mut later = seen.later().peekable();
    if later.peek().is_none() {
        Finding::not_tried(NAME, "there was no second request")
    } else if later.any(Probe::used_an_open_connection) {
        Finding::ok(NAME, "stays open for the next delivery")
    } else {
        Finding::warning(NAME, format!("did not stay open: {}", cost())).advised(KEEP)
    }
}

fn negative(seen: &Observations) -> Vec<Finding> {
    let names = ["forged", "unsigned", "stale", "repeated"];
    let Some(negative) = &seen.negative else {
        let says = "what it must refuse was not sent";
        return vec![Finding::not_tried("must refuse", says).advised("--negative sends it")];
    };
    let why_not = match seen.signing {
        Signing::Unsigned => Some("the profile does not sign, so there is nothing to refuse"),
        Signing::MadeUp => Some("without its secret nothing it refuses means anything"),
        Signing::Real => None,
    };
    let probes = [
        &negative.forged,
        &negative.unsigned,
        &negative.stale,
        &negative.repeated,
    ];
    let findings = names
        .into_iter()
        .zip(probes)
        .map(|(name, probe)| match (name, probe) {
            ("stale", None) if why_not.is_none() && negative.forged.is_some() => {
                Finding::not_tried(
                    name,
                    "the profile signs no timestamp, so only its id tells a copy",
                )
            }
            (_, None) => Finding::not_tried(
                name,
                why_not.unwrap_or("the event was not accepted, so a refusal means nothing"),
            ),
            ("repeated", Some(probe)) => repeated(probe),
            (_, Some(probe)) => must_refuse(name, probe),
        });
    findings.collect()
}

fn must_refuse(name: &'static str, probe: &Probe) -> Finding {
    let (what, danger, to_do) = match name {
        "forged" => (
            "a wrong signature",
            "whoever knows the URL can make up events",
            "compare the signature, in constant time, and answer 401 when it differs",
        ),
        "unsigned" => (
            "no signature",
            "whoever knows the URL can make up events",
            "answer 401 when the header is not there",
        ),
        _ => (
            "a request signed an hour ago",
            "whoever captured one can send it again, at any time",
            "refuse timestamps that are more than five minutes off, both ways",
        ),
    };
    match probe.outcome {
        AttemptOutcome::Accepted { status } => {
            Finding::problem(name, format!("{status} to {what}: {danger}")).advised(to_do)
        }
        AttemptOutcome::Refused { status, .. } if status >= 500 => Finding::warning(
            name,
            format!("{status} to {what}: refused, but as a failure of its own"),
        )
        .advised("check lengths and presence first, and answer 401"),
        AttemptOutcome::Refused { status, .. } => {
            Finding::ok(name, format!("{status} to {what}: refused"))
        }
        _ => Finding::warning(name, format!("no answer to {what}: {}", probe.came_to()))
            .advised("answer 401"),
    }
}

fn repeated(probe: &Probe) -> Finding {
    const NAME: &str = "repeated";
    match probe.outcome {
        AttemptOutcome::Accepted { status } => Finding::ok(
            NAME,
            format!("{status} to an event it has seen; whether it acts on it twice, only it knows"),
        ),
        _ => Finding::warning(
            NAME,
            format!(
                "{} to an event it has seen: one that is sent again after a crash then becomes a dead letter although it arrived",
                probe.came_to()
            ),
        )
        .advised("remember ids, and answer what it has seen like what it takes"),
    }
}

#[cfg(test)]
mod tests;

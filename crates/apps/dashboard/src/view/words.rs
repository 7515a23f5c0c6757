//! Numbers, times and classes in words.

use jiff::Timestamp;
use ringback_domain::{AttemptOutcome, DeadLetterReason, NotSentReason, UnreachableCause};
use std::time::Duration;

/// How long ago, or how long until then.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let apart = now.duration_since(at);
    let length = apart.unsigned_abs();
    if length < Duration::from_secs(1) {
        "now".to_owned()
    } else if apart.is_negative() {
        format!("in {}", distance(length))
    } else {
        format!("{} ago", distance(length))
    }
}

/// From when the next probe of a breaker may be made.
pub(crate) fn next_probe(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("next probe {}", ago(at, now))
    } else {
        "the next that comes is a probe".to_owned()
    }
}

/// A length of time in one unit.
pub(crate) fn distance(length: Duration) -> String {
    let seconds = length.as_secs();
    let (number, unit) = match seconds {
        0..100 => (seconds, "s"),
        100..6_000 => (seconds / 60, "min"),
        6_000..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{number} {unit}")
}

/// How long something took.
pub(crate) fn took(length: Duration) -> String {
    let ms = length.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 10_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}

/// A whole number with its thousands apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// So many of something, in words that fit one as well.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{} {many}", count(number)),
    }
}

/// A share in percent. All and nothing are said only when they are exact.
pub(crate) fn share(share: f64) -> String {
    let percent = share * 100.0;
    if share < 1.0 && percent > 99.9 {
        "> 99.9 %".to_owned()
    } else if share > 0.0 && percent < 0.1 {
        "< 0.1 %".to_owned()
    } else if percent.fract() < 0.05 || percent >= 99.95 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// What an outcome means, for one who did not write the receiver.
pub(crate) fn explain(outcome: &AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Accepted { .. } => "The destination accepted it.",
        AttemptOutcome::Refused { status, .. } => match status {
            300..=399 => {
                "The destination answered with a redirect. Redirects are not followed: register the URL it leads to."
            }
            401 | 403 => {
                "The destination did not let us in: its check of the signature or of a header failed."
            }
            404 | 405 => {
                "Nothing at the destination takes this request: the path may have changed."
            }
            410 => "The destination says that it is gone for good.",
            413 => "The destination finds the body too large.",
            429 => "The destination asks us to be slower.",
            500..=599 => "The destination failed while it handled the request.",
            _ => {
                "The destination answered with a status that its profile does not count as delivered."
            }
        },
        AttemptOutcome::Unreachable(cause) => match cause {
            UnreachableCause::NameLookup => "The name has no address, or looking it up failed.",
            UnreachableCause::ConnectionRefused => "Nothing listens at this address and port.",
            UnreachableCause::ConnectTimeout => "No connection came about within the limit.",
            UnreachableCause::Tls => "The TLS handshake failed, or the certificate is not trusted.",
            UnreachableCause::TimeLimit => {
                "Connected, but no whole answer came within the profile's time limit."
            }
            UnreachableCause::ConnectionLost => "The connection ended before the answer did.",
            UnreachableCause::NotHttp => "What came back is not HTTP, or breaks its limits.",
        },
        AttemptOutcome::NotSent(reason) => match reason {
            NotSentReason::AddressForbidden => {
                "Not sent: the name leads to an address inside our network or otherwise not allowed."
            }
            NotSentReason::UrlForbidden => "Not sent: the URL is not one that may be sent to.",
            NotSentReason::SecretUnreadable => {
                "Not sent: the secret could not be opened with the keys at hand (`secrets.keys`)."
            }
            NotSentReason::ProfileUnknown => "Not sent: its profile is not configured here.",
            NotSentReason::DestinationGone => {
                "Not sent: the webhook was deleted or disabled after the event was dispatched."
            }
        },
        AttemptOutcome::Unknown => {
            "A worker vanished between sending and recording: the request may have arrived."
        }
    }
}

/// What a reason means.
pub(crate) fn explain_reason(reason: DeadLetterReason) -> &'static str {
    match reason {
        DeadLetterReason::AttemptsExhausted => "Every attempt of the retry schedule failed.",
        DeadLetterReason::RefusedForGood => {
            "The destination answered with a status that its profile takes as final."
        }
        DeadLetterReason::NotAllowed => "The address or URL policy forbids the destination.",
        DeadLetterReason::OutcomeUnknown => {
            "Whether an attempt arrived is not known, and the profile wants a person to decide."
        }
        DeadLetterReason::DestinationGone => "The webhook was deleted or disabled.",
        DeadLetterReason::DestinationDown => {
            "It waited as long as it may for a destination that kept failing."
        }
        DeadLetterReason::CouldNotPrepare => {
            "It could not be signed, or its profile is not configured."
        }
        DeadLetterReason::Malformed => {
            "The event could not be read, or no body could be made of it."
        }
        DeadLetterReason::Poison => "The broker gave the message up after its delivery limit.",
    }
}

/// What to do about a dead letter: whose turn it is, and what comes after.
pub(crate) fn advise(reason: DeadLetterReason, last: Option<&AttemptOutcome>) -> &'static str {
    match reason {
        DeadLetterReason::AttemptsExhausted | DeadLetterReason::RefusedForGood => {
            last.map_or(TELL_OWNER, advise_after)
        }
        DeadLetterReason::NotAllowed => {
            "Ask for a public URL. Where it is a network of yours that may be reached, add it to `http.allow_networks`."
        }
        DeadLetterReason::OutcomeUnknown => ASK_RECEIVER,
        DeadLetterReason::DestinationGone => {
            "Nothing, if that was meant: discard it. Else enable the webhook, or replay to another one."
        }
        DeadLetterReason::DestinationDown => {
            "Tell the receiver's owner. When a test event is accepted, plan the replay of the whole group."
        }
        DeadLetterReason::CouldNotPrepare => {
            "Put back the key that is missing in `secrets.keys`, or the profile: `ringback doctor` names it. Then replay."
        }
        DeadLetterReason::Malformed => {
            "Look at what the producer changed, and publish it anew when it is mended. Bytes that are no event cannot be replayed."
        }
        DeadLetterReason::Poison => {
            "Look into the workers' logs of that time for why they ended, before it is replayed."
        }
    }
}

const TELL_OWNER: &str =
    "Tell the receiver's owner what is shown here. When a test event is accepted, plan the replay.";

const ASK_RECEIVER: &str =
    "Ask the receiver for the event's id: replay it if it never came, discard it if it did.";

/// What to do about the last outcome of a delivery that was given up.
fn advise_after(outcome: &AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Refused { status, .. } => match status {
            300..=399 => {
                "Give the webhook the URL that the redirect leads to, send a test event, then replay."
            }
            401 | 403 => {
                "Compare the secret with the receiver's, or rotate it and hand over the new one. When a test event is accepted, replay."
            }
            404 | 405 => {
                "Ask the receiver's owner for the path, change the webhook's URL, send a test event, then replay."
            }
            410 => {
                "Ask the receiver's owner whether that was meant. If so, delete the webhook and discard these."
            }
            413 => "The receiver has to take bodies of this size, at its proxy too. Then replay.",
            429 => {
                "Give the webhook a rate that the receiver bears, then replay at no more than that."
            }
            500..=599 => TELL_OWNER,
            _ => {
                "If the receiver took the event by this answer, its profile's `success` should have the status; else tell its owner."
            }
        },
        AttemptOutcome::Unreachable(cause) => match cause {
            UnreachableCause::NameLookup => {
                "Check the name in the URL. Where many destinations fail so, it is the way to the name server of ours."
            }
            UnreachableCause::ConnectionRefused | UnreachableCause::ConnectTimeout => {
                "Tell the receiver's owner the address below: its server or firewall. Where many destinations fail so, it is our own way out."
            }
            UnreachableCause::Tls => {
                "The receiver's owner renews or completes the certificate. For a private authority, see `http.ca_file`."
            }
            UnreachableCause::TimeLimit => {
                "The receiver should answer first and work afterwards. It may have done the work: it knows the event by its id."
            }
            UnreachableCause::ConnectionLost => {
                "Tell the receiver's owner: something there, often a proxy, ends connections. It may have done the work."
            }
            UnreachableCause::NotHttp => {
                "Check scheme and port of the URL: what listens there is no HTTP server."
            }
        },
        AttemptOutcome::NotSent(_) | AttemptOutcome::Unknown | AttemptOutcome::Accepted { .. } => {
            ASK_RECEIVER
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_shares_say_no_more_than_is_true() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(counted(1, "is stale", "are stale"), "1 is stale");
        assert_eq!(counted(0, "is stale", "are stale"), "0 are stale");
        assert_eq!(counted(1_000, "group", "groups"), "1\u{202f}000 groups");
        for (value, text) in [
            (1.0, "100 %"),
            (0.999_99, "> 99.9 %"),
            (0.9876, "98.8 %"),
            (0.5, "50 %"),
            (0.000_01, "< 0.1 %"),
            (0.0, "0 %"),
        ] {
            assert_eq!(share(value), text);
        }
    }

    #[test]
    fn times_are_near_or_far_in_one_unit() {
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
        for (at, text) in [
            ("2026-06-01T11:59:59.5Z", "now"),
            ("2026-06-01T11:59:15Z", "45 s ago"),
            ("2026-06-01T11:15:00Z", "45 min ago"),
            ("2026-06-01T09:00:00Z", "3 h ago"),
            ("2026-05-28T12:00:00Z", "4 days ago"),
            ("2026-06-01T12:05:00Z", "in 5 min"),
        ] {
            assert_eq!(ago(at.parse().unwrap(), now), text);
        }
        assert_eq!(took(Duration::from_micros(1_234)), "1.2 ms");
        assert_eq!(took(Duration::from_millis(1_234)), "1234 ms");
        assert_eq!(took(Duration::from_secs(31)), "31.0 s");
    }
}

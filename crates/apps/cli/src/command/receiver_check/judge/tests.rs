use super::*;
use ringback_profile::{DestinationKind, Profile};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// An answer on a new connection.
fn answered(outcome: AttemptOutcome) -> Probe {
    Probe {
        outcome,
        phases: Phases {
            dns: Some(ms(1)),
            connect: Some(ms(10)),
            tls: Some(ms(20)),
            first_byte: Some(ms(50)),
            total: ms(51),
        },
        address: "198.51.100.1:443".parse().ok(),
        cut_off: None,
        location: None,
        closes: false,
    }
}

/// An answer on the connection that was there.
fn again(outcome: AttemptOutcome) -> Probe {
    let mut probe = answered(outcome);
    (probe.phases.dns, probe.phases.connect, probe.phases.tls) = (None, None, None);
    probe
}

fn accepted(status: u16) -> AttemptOutcome {
    AttemptOutcome::Accepted { status }
}

fn refused(status: u16) -> AttemptOutcome {
    AttemptOutcome::Refused {
        status,
        retry_after: None,
    }
}

fn handshake(not_after: &str, fault: Option<&str>) -> Encryption {
    Encryption::Seen(Handshake {
        version: "TLS 1.3",
        not_after: not_after.parse().ok(),
        fault: fault.map(str::to_owned),
    })
}

/// A receiver with nothing to say against.
fn right(profile: &str) -> Observations {
    let rules = Profile::builtin(profile).unwrap();
    Observations {
        rules: rules.rules(DestinationKind::Webhook).clone(),
        now: "2026-06-01T10:00:00Z".parse().unwrap(),
        encryption: handshake("2026-08-30T00:00:00Z", None),
        signing: Signing::Real,
        first: answered(accepted(200)),
        large: Some(again(accepted(200))),
        again: None,
        negative: Some(Negative {
            forged: Some(again(refused(401))),
            unsigned: Some(again(refused(401))),
            stale: Some(again(refused(400))),
            repeated: Some(again(accepted(200))),
        }),
    }
}

fn finding(seen: &Observations, name: &str) -> Finding {
    let findings = judge(seen);
    let found = findings.iter().find(|finding| finding.name == name);
    found
        .unwrap_or_else(|| panic!("no `{name}` among {findings:?}"))
        .clone()
}

#[test]
fn a_right_receiver_is_right_in_every_respect() {
    let findings = judge(&right("standard"));
    let lines = findings.iter().map(|finding| {
        assert_eq!(finding.to_do, None);
        format!("{:?} {}: {}", finding.verdict, finding.name, finding.says)
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    Ok reach: an answer came from 198.51.100.1:443
    Ok tls: TLS 1.3, certificate until 2026-08-30 (89 days)
    Ok answer: 200: delivered
    Ok content type: takes `application/json`
    Ok time: 50 ms of 20.0 s allowed (lookup 1.0 ms, connect 10 ms, handshake 20 ms)
    Ok large body: takes 100 KiB
    Ok connection: stays open for the next delivery
    Ok forged: 401 to a wrong signature: refused
    Ok unsigned: 401 to no signature: refused
    Ok stale: 400 to a request signed an hour ago: refused
    Ok repeated: 200 to an event it has seen; whether it acts on it twice, only it knows
    ");
}

#[test]
fn every_answer_is_judged_by_the_profile() {
    use Verdict::{NotTried, Ok, Problem, Warning};
    let table = [
        (
            "hooked",
            accepted(200),
            Signing::Unsigned,
            Ok,
            "200: delivered",
        ),
        (
            "hooked",
            refused(204),
            Signing::Unsigned,
            Problem,
            "this profile counts 200 as delivered, so each event is sent again although it arrived",
        ),
        (
            "standard",
            accepted(204),
            Signing::Real,
            Ok,
            "204: delivered",
        ),
        (
            "standard",
            accepted(200),
            Signing::MadeUp,
            Problem,
            "takes events from anybody",
        ),
        (
            "standard",
            refused(401),
            Signing::MadeUp,
            NotTried,
            "as it should",
        ),
        (
            "standard",
            refused(401),
            Signing::Real,
            Problem,
            "it refuses a right signature",
        ),
        (
            "hooked",
            refused(403),
            Signing::Unsigned,
            Problem,
            "it wants credentials",
        ),
        (
            "standard",
            refused(404),
            Signing::Real,
            Problem,
            "nothing takes a POST at this path",
        ),
        (
            "standard",
            refused(410),
            Signing::Real,
            Problem,
            "the first delivery disables the webhook",
        ),
        (
            "hooked",
            refused(410),
            Signing::Unsigned,
            Problem,
            "not delivered; this profile counts 200",
        ),
        (
            "standard",
            refused(415),
            Signing::Real,
            Problem,
            "it does not take `application/json`",
        ),
        (
            "standard",
            refused(429),
            Signing::Real,
            Warning,
            "fewer requests",
        ),
        (
            "standard",
            refused(500),
            Signing::Real,
            Problem,
            "it fails on a right event",
        ),
        (
            "hinto",
            refused(500),
            Signing::Unsigned,
            Problem,
            "for want of a signature",
        ),
        (
            "standard",
            refused(500),
            Signing::MadeUp,
            Warning,
            "rather than refuse it",
        ),
        (
            "standard",
            AttemptOutcome::Unreachable(UnreachableCause::Tls),
            Signing::Real,
            NotTried,
            "no answer came",
        ),
    ];
    for (profile, outcome, signing, verdict, says) in table {
        let mut seen = right(profile);
        seen.first = answered(outcome.clone());
        seen.signing = signing;
        let finding = finding(&seen, "answer");
        assert_eq!(finding.verdict, verdict, "{profile} {outcome}");
        assert!(
            finding.says.contains(says),
            "{profile} {outcome}: {}",
            finding.says
        );
        let wants_a_deed = matches!(verdict, Warning | Problem);
        assert!(
            !wants_a_deed || finding.to_do.is_some(),
            "{profile} {outcome}"
        );
    }
    for status in [301, 302, 303, 307, 308] {
        let mut seen = right("standard");
        seen.first = answered(refused(status));
        seen.first.location = Some("https://a.example/hook/".to_owned());
        let finding = finding(&seen, "answer");
        assert_eq!(
            finding.says,
            format!(
                "{status}: a redirect to `https://a.example/hook/`, and none is followed: no event is taken"
            )
        );
    }
}

#[test]
fn what_keeps_an_answer_from_coming_is_a_problem_with_a_next_move() {
    for cause in UnreachableCause::ALL {
        let mut seen = right("standard");
        seen.first = answered(AttemptOutcome::Unreachable(cause));
        seen.first.phases.first_byte = None;
        let finding = finding(&seen, "reach");
        assert_eq!(finding.verdict, Verdict::Problem, "{cause:?}");
        assert!(finding.to_do.is_some(), "{cause:?}");
        assert_eq!(
            super::time(&seen.first, &seen.rules).verdict,
            Verdict::NotTried
        );
    }
    let mut seen = right("standard");
    seen.first = answered(AttemptOutcome::NotSent(NotSentReason::AddressForbidden));
    assert!(
        finding(&seen, "reach")
            .to_do
            .unwrap()
            .contains("http.allow_networks")
    );
}

#[test]
fn an_answer_that_was_cut_off_shows_its_status() {
    let mut seen = right("standard");
    for cause in UnreachableCause::ALL {
        seen.first = answered(AttemptOutcome::Unreachable(cause));
        seen.first.cut_off = Some(202);
        let reach = finding(&seen, "reach");
        assert_eq!(reach.verdict, Verdict::Problem, "{cause:?}");
        assert!(reach.says.starts_with("202, but "), "{}", reach.says);
        let answer = finding(&seen, "answer");
        assert_eq!(answer.verdict, Verdict::NotTried);
        assert!(answer.says.starts_with("202, but "), "{}", answer.says);
    }
    let mut cut_off = seen.first;
    cut_off.outcome = AttemptOutcome::Unreachable(UnreachableCause::ConnectionLost);
    seen = right("standard");
    let negative = seen.negative.as_mut().unwrap();
    negative.forged = Some(cut_off.clone());
    negative.repeated = Some(cut_off.clone());
    seen.large = Some(cut_off);
    for name in ["large body", "forged", "repeated"] {
        let says = finding(&seen, name).says;
        assert!(says.contains("cut off after 202"), "{name}: {says}");
    }
}

#[test]
fn a_certificate_is_judged_by_what_is_held_against_it_and_by_its_days() {
    use Verdict::{NotTried, Ok, Problem, Warning};
    for (encryption, verdict) in [
        (Encryption::None, Warning),
        (Encryption::Unseen("no connection".to_owned()), NotTried),
        (handshake("2026-06-15T10:00:00Z", None), Ok),
        (handshake("2026-06-15T09:59:59Z", None), Warning),
        (
            handshake("2026-05-31T00:00:00Z", Some("the certificate has expired")),
            Problem,
        ),
        (handshake("not read", None), Ok),
    ] {
        let mut seen = right("standard");
        seen.encryption = encryption;
        let finding = finding(&seen, "tls");
        assert_eq!(finding.verdict, verdict, "{}", finding.says);
    }
}

#[test]
fn slow_answers_small_limits_and_closed_connections_are_noticed() {
    let mut slow = right("standard");
    slow.first.phases.first_byte = Some(ms(5001));
    assert_eq!(finding(&slow, "time").verdict, Verdict::Warning);

    let mut small = right("standard");
    small.large = Some(again(refused(413)));
    let large = finding(&small, "large body");
    assert_eq!(large.verdict, Verdict::Problem);
    assert!(large.says.starts_with("413 to 100 KiB"), "{}", large.says);

    let mut closing = right("standard");
    closing.first.closes = true;
    let connection = finding(&closing, "connection");
    assert_eq!(connection.verdict, Verdict::Warning);
    assert_eq!(
        connection.says,
        "closed after each answer: each delivery opens one anew (30 ms)"
    );

    let mut silently = right("standard");
    silently.large = Some(answered(accepted(200)));
    assert_eq!(finding(&silently, "connection").verdict, Verdict::Ok);
    silently.negative = None;
    assert_eq!(finding(&silently, "connection").verdict, Verdict::Warning);
    silently.again = Some(again(accepted(200)));
    assert_eq!(finding(&silently, "connection").verdict, Verdict::Ok);
    (silently.large, silently.again) = (None, None);
    assert_eq!(finding(&silently, "connection").verdict, Verdict::NotTried);
    assert_eq!(finding(&silently, "large body").verdict, Verdict::NotTried);
}

#[test]
fn a_receiver_that_takes_what_it_must_refuse_is_a_problem() {
    type Change = fn(&mut Negative);
    let table: [(&str, Change, Verdict); 6] = [
        (
            "forged",
            |n| n.forged = Some(again(accepted(200))),
            Verdict::Problem,
        ),
        (
            "unsigned",
            |n| n.unsigned = Some(again(accepted(200))),
            Verdict::Problem,
        ),
        (
            "stale",
            |n| n.stale = Some(again(accepted(200))),
            Verdict::Problem,
        ),
        (
            "unsigned",
            |n| n.unsigned = Some(again(refused(500))),
            Verdict::Warning,
        ),
        (
            "repeated",
            |n| n.repeated = Some(again(refused(409))),
            Verdict::Warning,
        ),
        ("stale", |n| n.stale = None, Verdict::NotTried),
    ];
    for (name, change, verdict) in table {
        let mut seen = right("standard");
        change(seen.negative.as_mut().unwrap());
        assert_eq!(finding(&seen, name).verdict, verdict, "{name}");
    }
    let mut unasked = right("standard");
    unasked.negative = None;
    assert_eq!(
        finding(&unasked, "must refuse").to_do.as_deref(),
        Some("--negative sends it")
    );

    for (signing, why) in [
        (Signing::Unsigned, "does not sign"),
        (Signing::MadeUp, "without its secret"),
        (Signing::Real, "not accepted"),
    ] {
        let mut nothing = right("standard");
        (nothing.signing, nothing.negative) = (signing, Some(Negative::default()));
        let forged = finding(&nothing, "forged");
        assert_eq!(forged.verdict, Verdict::NotTried);
        assert!(forged.says.contains(why), "{}", forged.says);
    }
}

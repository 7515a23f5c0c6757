//! Every scheme against the answers of other people's programs.

use crate::{
    DigestEncoding::{self, Base64, LowerHex},
    Received, SchemeError, SchemeParts, Secret, SecretEncoding, SignError, Signable,
    SignatureScheme, TimeWindow, Verified, VerifyError,
};
use proptest::prelude::*;

fn scheme(header: &str, signed: &str, value: &str, digest: DigestEncoding) -> SchemeParts {
    SchemeParts {
        header: header.to_owned(),
        signed: signed.parse().unwrap(),
        value: value.to_owned(),
        digest,
        secret: SecretEncoding::Utf8,
        several: None,
    }
}

fn parts(name: &str) -> SchemeParts {
    match name {
        "hinto" => scheme("X-Hinto-Signature", "{body}", "{signature}", LowerHex),
        "modelhunter" => scheme(
            "X-Webhook-Signature",
            "{timestamp}.{body}",
            "sha256={signature}",
            LowerHex,
        ),
        "videopilot" => scheme(
            "X-VideoPilot-Signature",
            "{body}",
            "sha256={signature}",
            LowerHex,
        ),
        "github" => scheme(
            "X-Hub-Signature-256",
            "{body}",
            "sha256={signature}",
            LowerHex,
        ),
        "slack" => scheme(
            "X-Slack-Signature",
            "v0:{timestamp}:{body}",
            "v0={signature}",
            LowerHex,
        ),
        "shopify" => scheme("X-Shopify-Hmac-SHA256", "{body}", "{signature}", Base64),
        "stripe" => SchemeParts {
            several: Some(",".into()),
            ..scheme(
                "Stripe-Signature",
                "{timestamp}.{body}",
                "t={timestamp},v1={signature}",
                LowerHex,
            )
        },
        "standard" => SchemeParts {
            secret: SecretEncoding::Base64After("whsec_".into()),
            several: Some(" ".into()),
            ..scheme(
                "webhook-signature",
                "{id}.{timestamp}.{body}",
                "v1,{signature}",
                Base64,
            )
        },
        other => panic!("no scheme `{other}`"),
    }
}

const NAMES: [&str; 8] = [
    "hinto",
    "modelhunter",
    "videopilot",
    "github",
    "slack",
    "shopify",
    "stripe",
    "standard",
];

fn named(name: &str) -> SignatureScheme {
    SignatureScheme::try_new(parts(name)).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::try_new(text).unwrap()
}

struct Answer {
    scheme: &'static str,
    secret: &'static str,
    id: &'static str,
    timestamp: i64,
    body: &'static str,
    value: &'static str,
}

const ANSWERS: [Answer; 13] = [
    Answer {
        scheme: "github",
        secret: "It's a Secret to Everybody",
        id: "",
        timestamp: 0,
        body: "Hello, World!",
        value: "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    },
    Answer {
        scheme: "standard",
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp: 1_614_265_330,
        body: r#"{"test": 2432232314}"#,
        value: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    Answer {
        scheme: "standard",
        secret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        id: "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        timestamp: 1_649_367_553,
        body: r#"{"email":"test@example.com","username":"test_user"}"#,
        value: "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    },
    Answer {
        scheme: "modelhunter",
        secret: "whk_test_secret",
        id: "",
        timestamp: 1_705_312_800,
        body: r#"{"id":"evt_abc123","type":"task.completed","created_at":"2025-01-15T10:00:45Z","data":{"task":{"id":"task_abc123","status":"succeeded"}}}"#,
        value: "sha256=77649671428cf3513abab1931c27966c62f4fe84e9936b649e16a103fcd19c09",
    },
    Answer {
        scheme: "modelhunter",
        secret: "mh-secret-1",
        id: "",
        timestamp: 1_767_225_600,
        body: r#"{"id":"evt_t1","type":"task.completed","created_at":"2026-01-01T00:00:00Z","data":{"task":{"id":"task_t1","type":"video","status":"succeeded","provider":"p","model":"m","result":[{"url":"https://cdn.example/r.mp4?a=1&b=2","duration":4,"format":"mp4","size_bytes":12582912}],"created_at":"2025-12-31T23:59:00Z","completed_at":"2026-01-01T00:00:00Z","metadata":{"z":1,"a":0.5}}}}"#,
        value: "sha256=f81c1416593be58ba81ebd47ad783a47008cac3a67156152cfb2260688ab6a83",
    },
    Answer {
        scheme: "hinto",
        secret: "your-secret",
        id: "",
        timestamp: 0,
        body: r#"{"jobId":"3f2c1a80-0d0b-4a6e-9d3e-1f2b3c4d5e6f","type":"generate","status":"completed","output":{"title":"Café 😀"},"error":null,"createdAt":"2026-06-01T10:00:00Z","completedAt":"2026-06-01T10:01:30Z"}"#,
        value: "5ae7c8fc984aca0ba9b4decaa245c4ae255053cf5b86236e184e9e884df4ed18",
    },
    Answer {
        scheme: "hinto",
        secret: "cb-secret-1",
        id: "",
        timestamp: 0,
        body: r#"{"jobId":"5f0c2c1e-6d7b-4b7a-9a51-2f1d0c9b8a77","type":"generate","status":"completed","output":{"ref":"é/1"},"error":null,"createdAt":"2026-06-01T10:00:00Z","completedAt":"2026-06-01T10:01:30Z"}"#,
        value: "ff90500d44bb8a2fe32506929010708295f4d797d5f528c909d3bccc7c438b50",
    },
    Answer {
        scheme: "videopilot",
        secret: "whk_test_secret",
        id: "",
        timestamp: 0,
        body: r#"{"event":"render.completed","data":{"render_job_id":"render_789xyz","video_id":"video_123abc","status":"completed","duration":87.5,"file_size":25690112,"quality":"high"},"timestamp":"2024-01-15T10:43:30.000Z"}"#,
        value: "sha256=952e2ebd71d58dc8089cf46c87dc2e9ee413d3c8ae60153775f27eb002fb5d00",
    },
    Answer {
        scheme: "videopilot",
        secret: "vp-secret-1",
        id: "",
        timestamp: 0,
        body: r#"{"event":"render.completed","data":{"render_job_id":"render_t1","video_id":"video_t1","status":"completed","output_url":"https://cdn.example/v.mp4","duration":87.5,"file_size":25690112,"quality":"high"},"timestamp":"2024-01-15T10:43:30.000Z"}"#,
        value: "sha256=bc05508150813d6355e8d48bacb0c12dbd392eb54cd15917423f62eb88377af6",
    },
    Answer {
        scheme: "stripe",
        secret: "whsec_test_secret",
        id: "",
        timestamp: 1_492_774_577,
        body: r#"{"id":"evt_1","object":"event"}"#,
        value: "t=1492774577,v1=654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543",
    },
    Answer {
        scheme: "slack",
        secret: "8f742231b10e8888abcd99yyyzzz85a5",
        id: "",
        timestamp: 1_531_420_618,
        body: r#"{"a":1}"#,
        value: "v0=9bd39e31413c635ee3162653e2574bcbe07d23f0b386e9a46e1abd6ea3d91133",
    },
    Answer {
        scheme: "shopify",
        secret: "shpss_test",
        id: "",
        timestamp: 0,
        body: r#"{"id":820982911946154508}"#,
        value: "3JxXO8Lul52iD5+qb1FHtoXK8vDwPbXpi8eB+yETk5I=",
    },
    // RFC 4231, test case 2.
    Answer {
        scheme: "hinto",
        secret: "Jefe",
        id: "",
        timestamp: 0,
        body: "what do ya want for nothing?",
        value: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    },
];

#[test]
fn every_scheme_gives_the_published_answers() {
    for answer in ANSWERS {
        let Answer {
            id,
            timestamp,
            body,
            value,
            ..
        } = answer;
        let scheme = named(answer.scheme);
        let what = Signable {
            id,
            timestamp_seconds: timestamp,
            body: body.as_bytes(),
        };
        assert_eq!(
            scheme.sign(&[secret(answer.secret)], what).unwrap(),
            value,
            "{}",
            answer.scheme
        );

        let stamp = timestamp.to_string();
        let received = Received {
            signature: Some(value),
            id: Some(id),
            timestamp: Some(&stamp),
            body: body.as_bytes(),
        };
        scheme
            .verify(&[secret(answer.secret)], received, None)
            .unwrap();
    }
}

const WHAT: Signable<'static> = Signable {
    id: "evt_1",
    timestamp_seconds: 1_700_000_000,
    body: b"{}",
};

fn received(signature: &str) -> Received<'_> {
    Received {
        signature: Some(signature),
        id: Some("evt_1"),
        timestamp: Some("1700000000"),
        body: b"{}",
    }
}

#[test]
fn a_rotation_sends_several_signatures_only_where_receivers_accept_them() {
    let secrets = [secret("bmV3ZXItc2VjcmV0"), secret("b2xkZXItc2VjcmV0")];
    for name in NAMES {
        let scheme = named(name);
        let both = scheme.sign(&secrets, WHAT).unwrap();
        let newest = scheme.sign(&secrets[..1], WHAT).unwrap();
        if scheme.allows_several() {
            assert!(
                both.starts_with(&newest) && both.len() > newest.len(),
                "{name}: {both}"
            );
            scheme.verify(&secrets[1..], received(&both), None).unwrap();
        } else {
            assert_eq!(both, newest, "{name}");
            assert_eq!(
                scheme
                    .verify(&secrets[1..], received(&both), None)
                    .unwrap_err(),
                VerifyError::Mismatch
            );
        }
        scheme.verify(&secrets[..1], received(&both), None).unwrap();
    }
    let standard = named("standard").sign(&secrets, WHAT).unwrap();
    let entries: Vec<_> = standard.split(' ').collect();
    assert_eq!(entries.len(), 2);
    assert!(
        entries
            .iter()
            .all(|entry| entry.starts_with("v1,") && entry.len() == 47),
        "{standard}"
    );
    let stripe = named("stripe").sign(&secrets, WHAT).unwrap();
    assert_eq!(stripe.matches("t=").count(), 1);
    assert_eq!(stripe.matches(",v1=").count(), 2);
}

#[test]
fn a_wrong_signature_is_refused_with_its_reason() {
    let secrets = [secret("s3cret")];
    let modelhunter = named("modelhunter");
    let value = modelhunter.sign(&secrets, WHAT).unwrap();
    let digest = value.strip_prefix("sha256=").unwrap();
    let verify = |received: Received<'_>| modelhunter.verify(&secrets, received, None).unwrap_err();
    let form = VerifyError::Form {
        header: "X-Webhook-Signature".into(),
        expected: "sha256={signature}".into(),
    };
    let base = received(&value);
    assert_eq!(
        verify(Received {
            body: b"{ }",
            ..base
        }),
        VerifyError::Mismatch
    );
    assert_eq!(
        verify(Received {
            timestamp: Some("1700000001"),
            ..base
        }),
        VerifyError::Mismatch
    );
    assert_eq!(
        verify(Received {
            timestamp: None,
            ..base
        }),
        VerifyError::TimestampMissing
    );
    assert_eq!(
        verify(Received {
            timestamp: Some("2026-01-01"),
            ..base
        }),
        VerifyError::TimestampForm("2026-01-01".into())
    );
    assert_eq!(
        verify(Received {
            signature: None,
            ..base
        }),
        VerifyError::SignatureMissing {
            header: "X-Webhook-Signature".into()
        }
    );
    assert_eq!(verify(received(digest)), form);
    assert_eq!(verify(received("sha256=")), form);
    assert_eq!(
        verify(received(&format!("{value}, {value}"))),
        VerifyError::Several(2)
    );
    assert_eq!(
        verify(received(&format!("sha256={}", digest.to_uppercase()))),
        VerifyError::UpperCase
    );
    assert_eq!(verify(received("sha256=00")), VerifyError::Mismatch);
    assert_eq!(
        modelhunter.verify(&[], base, None).unwrap_err(),
        VerifyError::Secret(SignError::NoSecret)
    );

    let standard = named("standard");
    let secrets = [secret("whsec_c2VjcmV0")];
    let value = standard.sign(&secrets, WHAT).unwrap();
    let without_id = Received {
        id: None,
        ..received(&value)
    };
    assert_eq!(
        standard.verify(&secrets, without_id, None).unwrap_err(),
        VerifyError::IdMissing
    );
    let other_version = format!("v1a,AAAA {value}");
    standard
        .verify(&secrets, received(&other_version), None)
        .unwrap();
}

#[test]
fn a_timestamp_outside_the_window_is_refused_both_ways() {
    let secrets = [secret("s3cret")];
    for name in ["modelhunter", "stripe", "slack"] {
        let scheme = named(name);
        let value = scheme.sign(&secrets, WHAT).unwrap();
        let at = |now_seconds| {
            scheme.verify(
                &secrets,
                received(&value),
                Some(TimeWindow {
                    now_seconds,
                    tolerance_seconds: 300,
                }),
            )
        };
        assert_eq!(
            at(1_700_000_300),
            Ok(Verified {
                timestamp_seconds: Some(1_700_000_000)
            }),
            "{name}"
        );
        assert_eq!(at(1_700_000_301), Err(VerifyError::TooOld(301)), "{name}");
        assert_eq!(at(1_699_999_699), Err(VerifyError::TooNew(301)), "{name}");
    }
}

#[test]
fn the_same_prefix_means_another_key_in_another_scheme() {
    let text = secret("whsec_c2VjcmV0");
    let raw = SignatureScheme::try_new(SchemeParts {
        secret: SecretEncoding::Utf8,
        ..parts("standard")
    })
    .unwrap();
    let decoded = named("standard");
    assert_ne!(
        raw.sign(std::slice::from_ref(&text), WHAT).unwrap(),
        decoded.sign(std::slice::from_ref(&text), WHAT).unwrap()
    );
    let plain = secret("secret");
    assert_eq!(
        raw.sign(&[plain], WHAT).unwrap(),
        decoded.sign(&[text], WHAT).unwrap()
    );
}

#[test]
fn secrets_are_checked_when_they_are_registered() {
    let standard = named("standard");
    let refused = standard
        .check_secret(&secret("whsec_not base64"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        "the secret is not base64 (hint: this scheme expects `whsec_` and then base64)"
    );
    assert!(standard.check_secret(&secret("whsec_")).is_err());
    assert!(
        standard
            .sign(&[secret("whsec_c2VjcmV0"), secret("whsec_!")], WHAT)
            .is_err()
    );
    assert!(
        standard
            .check_secret(&secret("whsec_c2VjcmV0"))
            .unwrap()
            .unwrap()
            .starts_with("the secret has 6 bytes")
    );
    assert_eq!(
        named("github")
            .check_secret(&secret(&"x".repeat(24)))
            .unwrap(),
        None
    );
    assert_eq!(
        named("github").sign(&[], WHAT).unwrap_err(),
        SignError::NoSecret
    );
}

#[test]
fn new_secrets_suit_their_scheme() {
    for name in NAMES {
        let scheme = named(name);
        let new = scheme.new_secret(&[0xa5; 32]);
        assert_eq!(scheme.check_secret(&new).unwrap(), None, "{name}");
        assert!(
            new.expose().bytes().all(|byte| byte.is_ascii_graphic()),
            "{name}"
        );
    }
    assert!(
        named("standard")
            .new_secret(&[1; 32])
            .expose()
            .starts_with("whsec_")
    );
    assert_eq!(named("stripe").new_secret(&[1; 32]).expose().len(), 64);
}

#[test]
fn a_scheme_no_receiver_could_read_is_refused() {
    let with = |change: fn(&mut SchemeParts)| {
        let mut parts = parts("stripe");
        change(&mut parts);
        SignatureScheme::try_new(parts).unwrap_err().to_string()
    };
    assert_eq!(
        with(|parts| parts.header = "X Sig".into()),
        "`X Sig` is not a header name"
    );
    assert_eq!(
        with(|parts| parts.header = String::new()),
        "`` is not a header name"
    );
    assert_eq!(
        with(|parts| parts.value = "{signature};".into()),
        "`{signature};` must end in `{signature}`"
    );
    assert_eq!(
        with(|parts| parts.value = "v1=\r\n{signature}".into()),
        "the signature's value cannot be used"
    );
    assert_eq!(
        with(|parts| parts.value = "v1=".into()),
        "the signature's value cannot be used"
    );
    assert_eq!(
        with(|parts| parts.several = Some("\t".into())),
        "`\t` cannot separate signatures; use visible ASCII or one space"
    );
    assert!(matches!(
        SignatureScheme::try_new(SchemeParts {
            several: Some(" ".into()),
            ..parts("stripe")
        }),
        Err(SchemeError::RepeatedTimestamp(_))
    ));
}

proptest! {
    #[test]
    fn what_was_signed_verifies_and_nothing_else_does(
        name in proptest::sample::select(&NAMES[..]),
        key: [u8; 32],
        id in "[a-z0-9_]{1,20}",
        timestamp in 0i64..4_000_000_000,
        body: Vec<u8>,
        at: proptest::sample::Index,
    ) {
        let scheme = named(name);
        let secrets = [scheme.new_secret(&key)];
        let value = scheme.sign(&secrets, Signable { id: &id, timestamp_seconds: timestamp, body: &body }).unwrap();
        let stamp = timestamp.to_string();
        let received = Received { signature: Some(&value), id: Some(&id), timestamp: Some(&stamp), body: &body };
        let expected = scheme.signed().has_timestamp().then_some(timestamp);
        prop_assert_eq!(scheme.verify(&secrets, received, None), Ok(Verified { timestamp_seconds: expected }));

        let mut changed = body.clone();
        if changed.is_empty() { changed.push(0) } else { let at = at.index(changed.len()); changed[at] ^= 1 }
        prop_assert_eq!(scheme.verify(&secrets, Received { body: &changed, ..received }, None), Err(VerifyError::Mismatch));
        let other = [scheme.new_secret(&key.map(|byte| !byte))];
        prop_assert_eq!(scheme.verify(&other, received, None), Err(VerifyError::Mismatch));
    }
}

use crate::{
    assert_only, members,
    support::{body, event_text, header, headers, profile, signature},
};
use ringback_profile::DestinationKind::{Callback, Webhook};

const COMPLETED: &str = include_str!("../golden/hinto-vector-1.event.json");
const FAILED: &str = include_str!("../golden/hinto-failed.event.json");
const VECTOR_1: &str = "ff90500d44bb8a2fe32506929010708295f4d797d5f528c909d3bccc7c438b50";

#[test]
fn hi_1_there_are_two_states_and_no_other() {
    let hinto = profile("hinto");
    let types: Vec<_> = hinto
        .event_types()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(types, ["job.completed", "job.failed"]);
    let started = support_event("job.started");
    let refused = hinto.render(Callback, &started).unwrap_err();
    assert_eq!(refused.member(), Some("type"));
}

fn support_event(event_type: &str) -> ringback_domain::Event {
    crate::support::event(&event_text(event_type, r#""kind":"generate""#, "{}"))
}

#[test]
fn hi_5_the_body_has_exactly_seven_members() {
    for event in [COMPLETED, FAILED] {
        for kind in [Webhook, Callback] {
            let names = members(&body(&profile("hinto"), kind, event));
            assert_eq!(
                names,
                [
                    "jobId",
                    "type",
                    "status",
                    "output",
                    "error",
                    "createdAt",
                    "completedAt"
                ]
            );
        }
    }
}

#[test]
fn hi_6_completed_has_an_output_object_and_a_null_error() {
    let leftover = r#""kind":"generate","output":{"ref":1},"error":"of an earlier run""#;
    let body = body(
        &profile("hinto"),
        Callback,
        &event_text("job.completed", leftover, "{}"),
    );
    assert!(
        body.contains(r#""status":"completed","output":{"ref":1},"error":null"#),
        "{body}"
    );
}

#[test]
fn hi_7_failed_has_an_error_string_and_a_null_output() {
    for (error, expected) in [
        (r#""the video is too long""#, r#""the video is too long""#),
        (r#"{"code":7,"message":"too long"}"#, r#""too long""#),
        (r#"{"code":7}"#, r#""{\"code\":7}""#),
        ("null", r#""no reason given""#),
    ] {
        let job = format!(r#""kind":"generate","output":{{"part":1}},"error":{error}"#);
        let body = body(
            &profile("hinto"),
            Callback,
            &event_text("job.failed", &job, "{}"),
        );
        let expected = format!(r#""status":"failed","output":null,"error":{expected}"#);
        assert!(body.contains(&expected), "{body}");
    }
}

#[test]
fn hi_8_times_have_seconds_and_z_in_both_states() {
    let job =
        r#""created_at":"2026-06-01T12:00:00.999+02:00","completed_at":"2026-06-01T10:01:30.5Z""#;
    for event_type in ["job.completed", "job.failed"] {
        let body = body(
            &profile("hinto"),
            Callback,
            &event_text(event_type, job, "{}"),
        );
        let times = r#""createdAt":"2026-06-01T10:00:00Z","completedAt":"2026-06-01T10:01:30Z"}"#;
        assert!(body.ends_with(times), "{body}");
    }
}

#[test]
fn hi_9_every_attempt_at_a_callback_is_signed_alike() {
    let first = signature(&profile("hinto"), Callback, COMPLETED, "cb-secret-1", 1);
    let later = signature(
        &profile("hinto"),
        Callback,
        COMPLETED,
        "cb-secret-1",
        2_000_000_000,
    );
    assert_eq!(first, later, "the signature depends on the body alone");
    assert_eq!(first.0, "X-Hinto-Signature");
}

#[test]
fn hi_10_the_signature_is_bare_lower_case_hex_over_the_body() {
    let (_, value) = signature(&profile("hinto"), Callback, COMPLETED, "cb-secret-1", 0);
    assert_eq!(value, VECTOR_1);
    assert!(
        !profile("hinto")
            .signature(Callback)
            .unwrap()
            .allows_several()
    );
}

#[test]
fn hi_11_nothing_but_the_scheme_brings_a_signature_header() {
    assert_only(&headers(&profile("hinto"), Callback, COMPLETED, 1, 0), &[]);
}

#[test]
fn hi_12_the_project_webhook_is_never_signed() {
    assert!(profile("hinto").signature(Webhook).is_none());
    assert_only(&headers(&profile("hinto"), Webhook, COMPLETED, 1, 0), &[]);
}

#[test]
fn hi_15_any_2xx_is_success_and_retries_follow_the_common_schedule() {
    for kind in [Webhook, Callback] {
        let hinto = profile("hinto");
        let rules = hinto.rules(kind);
        assert!(
            [200, 204, 299]
                .into_iter()
                .all(|status| rules.success.contains(status))
        );
        assert!(
            [199, 301, 401, 500]
                .into_iter()
                .all(|status| !rules.success.contains(status))
        );
        assert_eq!(crate::minutes(rules), [1.0, 5.0, 30.0]);
        let headers = headers(&hinto, kind, COMPLETED, 1, 0);
        assert_eq!(
            header(&headers, "Ringback-Event-Id"),
            Some("evt_h1"),
            "ours, to tell duplicates by"
        );
    }
}
